//! etcd, the API server, the controllers and the scheduler. No kube-proxy and no DNS: the API is an
//! address of the bridge that its service has by construction, and everything else that pods talk
//! to has an address of its own.

use std::path::Path;

use super::certificates::Certificates;
use super::node::Node;
use super::{KubeError, NODE_ADDRESS};

/// The first address of it is [`SERVICE_ADDRESS`](super::SERVICE_ADDRESS), which is the API's.
const SERVICES: &str = "10.96.0.0/16";
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// Starts etcd and the API server.
pub(super) fn start_api(
    node: &mut Node,
    programs: &Path,
    folder: &Path,
    keys: &Certificates,
) -> Result<(), KubeError> {
    node.run(
        "etcd",
        &programs.join("etcd"),
        &[
            format!("--data-dir={}", folder.join("etcd").display()),
            format!("--listen-client-urls={ETCD}"),
            format!("--advertise-client-urls={ETCD}"),
            format!("--listen-peer-urls={ETCD_PEER}"),
            format!("--initial-advertise-peer-urls={ETCD_PEER}"),
            format!("--initial-cluster=default={ETCD_PEER}"),
            // Nothing in it survives the machine anyway.
            "--unsafe-no-fsync".to_owned(),
        ],
    )?;
    node.run(
        "kube-apiserver",
        &programs.join("kube-apiserver"),
        &[
            format!("--etcd-servers={ETCD}"),
            "--secure-port=443".to_owned(),
            "--bind-address=0.0.0.0".to_owned(),
            format!("--advertise-address={NODE_ADDRESS}"),
            format!("--service-cluster-ip-range={SERVICES}"),
            // The service's address is reached without endpoints.
            "--endpoint-reconciler-type=none".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            // MutatingAdmissionPolicies, beta in this version, do for pods what webhooks of clouds
            // do.
            "--feature-gates=MutatingAdmissionPolicy=true".to_owned(),
            "--runtime-config=admissionregistration.k8s.io/v1beta1=true".to_owned(),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            keys.option("service-account-key-file", "tokens.pub"),
            keys.option("service-account-signing-key-file", "tokens.key"),
            keys.option("client-ca-file", "ca.pem"),
            keys.option("tls-cert-file", "apiserver.pem"),
            keys.option("tls-private-key-file", "apiserver.key"),
            keys.option("kubelet-client-certificate", "apiserver-to-kubelet.pem"),
            keys.option("kubelet-client-key", "apiserver-to-kubelet.key"),
            // Aggregated APIs, such as the metrics that autoscalers read, are asked at their pods'
            // addresses.
            "--enable-aggregator-routing=true".to_owned(),
            keys.option("requestheader-client-ca-file", "ca.pem"),
            "--requestheader-allowed-names=front-proxy-client".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            keys.option("proxy-client-cert-file", "aggregator.pem"),
            keys.option("proxy-client-key-file", "aggregator.key"),
        ],
    )
}

/// Starts what works through the API: the controllers and the scheduler.
pub(super) fn start_controllers(
    node: &mut Node,
    programs: &Path,
    folder: &Path,
    keys: &Certificates,
) -> Result<(), KubeError> {
    node.run(
        "kube-controller-manager",
        &programs.join("kube-controller-manager"),
        &[
            keys.option("kubeconfig", "controllers.kubeconfig"),
            "--leader-elect=false".to_owned(),
            "--use-service-account-credentials=true".to_owned(),
            keys.option("service-account-private-key-file", "tokens.key"),
            keys.option("root-ca-file", "ca.pem"),
            // Made where it is not, and by default in a folder of the machine.
            format!(
                "--flex-volume-plugin-dir={}",
                folder.join("volume-plugins").display()
            ),
            // Autoscalers show in seconds what takes them minutes by default (15 s and 5 min).
            "--horizontal-pod-autoscaler-sync-period=5s".to_owned(),
            "--horizontal-pod-autoscaler-downscale-stabilization=15s".to_owned(),
            keys.option("cluster-signing-cert-file", "ca.pem"),
            keys.option("cluster-signing-key-file", "ca.key"),
        ],
    )?;
    node.run(
        "kube-scheduler",
        &programs.join("kube-scheduler"),
        &[
            keys.option("kubeconfig", "scheduler.kubeconfig"),
            "--leader-elect=false".to_owned(),
        ],
    )
}
