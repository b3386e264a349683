{{- define "s3bundler.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 46 | trimSuffix "-" }}
{{- end }}

{{- /* A Service has 63 characters, of which "-operator-metrics" takes 17. */ -}}
{{- define "s3bundler.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" }}
{{- else }}
{{- $name := include "s3bundler.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 46 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A value as it was written: Helm reads numbers of files as floats, which print as 1e+06. */ -}}
{{- define "s3bundler.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{- /* An argument as it is: the kubelet takes $(NAME) for a variable and $$ for $. */ -}}
{{- define "s3bundler.argument" -}}
{{- . | replace "$" "$$" | toJson }}
{{- end }}

{{- define "s3bundler.operatorName" -}}
{{- printf "%s-operator" (include "s3bundler.fullname" .) }}
{{- end }}

{{- /* Never changes: a Deployment's selector cannot. */ -}}
{{- define "s3bundler.selectorLabels" -}}
app.kubernetes.io/name: {{ include "s3bundler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- /* Replicas prefer nodes without another one, unless the values have a podAntiAffinity. */ -}}
{{- define "s3bundler.affinity" -}}
{{- with .Values.operator.affinity }}
{{- toYaml . }}
{{- end }}
{{- if not (hasKey .Values.operator.affinity "podAntiAffinity") }}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "s3bundler.selectorLabels" . | nindent 12 }}
{{- end }}
{{- end }}

{{- define "s3bundler.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "s3bundler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: s3bundler
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Of (dict "root" $ "own" (dict …)): the annotations of an object, its own and those that all have. */ -}}
{{- define "s3bundler.annotations" -}}
{{- with mustMergeOverwrite (dict) .root.Values.commonAnnotations (default dict .own) }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "s3bundler.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "s3bundler.operatorName" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* Of (dict "root" $ "values" "operator.image" "image" .Values.operator.image). A name without a registry would be pulled from
   the container runtime's default, where whoever takes the name may push. */ -}}
{{- define "s3bundler.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry }}
{{- $host := .image.repository | splitList "/" | first }}
{{- if not (or $registry (and (contains "/" .image.repository) (regexMatch "[.:]|^localhost$" $host))) }}
{{- fail (printf "global.imageRegistry is required: the registry with your images of the operator and the worker. Or set %s.repository to a full name, such as registry.example/%s" .values .image.repository) }}
{{- end }}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .root.Chart.AppVersion .image.tag }}{{ end }}
{{- end }}

{{- /* The sinks of notifications whose headers are in a Secret, as a list in YAML. */ -}}
{{- define "s3bundler.sinksWithHeaders" -}}
{{- $sinks := list }}
{{- range .Values.notifications.sinks }}
{{- if .headersSecretName }}
{{- $sinks = append $sinks . }}
{{- end }}
{{- end }}
{{- toYaml $sinks }}
{{- end }}

{{- define "s3bundler.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Pods that the operator makes: groupers and workers of all runs. */ -}}
{{- define "s3bundler.runPods" -}}
matchLabels:
  app.kubernetes.io/name: s3bundler
  app.kubernetes.io/managed-by: s3bundler-operator
{{- end }}

{{- /* What the operator does in a namespace with runs: exactly the calls of operator/src/controller. */ -}}
{{- define "s3bundler.rules" -}}
# Finalizers are patched into runs; those past their ttlSecondsAfterFinished are deleted.
- apiGroups: [archive.s3bundler.dev]
  resources: [archiveruns]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [archive.s3bundler.dev]
  resources: [archiveruns/status]
  verbs: [patch]
# Owner references that block the owner's deletion, where the cluster asks for this (OpenShift does).
- apiGroups: [archive.s3bundler.dev]
  resources: [archiveruns/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
# Earlier releases created budgets for workers, which are deleted.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Workers above a run's share are asked by an annotation to take no other group.
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
# Why a grouper has no pod: a Job has no condition for that.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
# Whether a run's service account is there.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
{{- if .Values.policy.rules }}
# The labels of a run's namespace, which policies go by.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.keda.enabled }}
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, create, patch, delete]
{{- end }}
{{- end }}
