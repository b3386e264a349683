//! What an API server accepts and refuses: one row for each rule and bound of the ArchiveRun
//! schema. For tests that have an API server; `main.rs` proves what can be proven without one.

use serde_json::{Value, json};

/// An ArchiveRun for an API server to judge.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows; unique.
    pub name: &'static str,
    /// The object to create; its name is unique where it is a good one.
    pub object: Value,
    /// What to replace it with, where the case is about a change. Then the object itself is
    /// accepted.
    pub update: Option<Value>,
    /// A part of the message with which it is refused; none where it is accepted.
    pub refused: Option<&'static str>,
}

/// The smallest ArchiveRun.
pub fn smallest(name: &str) -> Value {
    json!({
        "apiVersion": "archive.s3bundler.dev/v1alpha1",
        "kind": "ArchiveRun",
        "metadata": {"name": name},
        "spec": {
            "source": {"inventory": {"manifest": "s3://inv/logs/daily/2026-11-22T01-00Z/manifest.json"}},
            "destination": {"bucket": "team-a-archive"},
        },
    })
}

/// Merges `patch` into `object`; null removes a field (RFC 7386).
fn merge(object: &mut Value, patch: &Value) {
    match patch {
        Value::Object(patch) => {
            if !object.is_object() {
                *object = json!({});
            }
            for (field, patch) in patch {
                if patch.is_null() {
                    object.as_object_mut().map(|object| object.remove(field));
                } else {
                    merge(&mut object[field], patch);
                }
            }
        }
        other => *object = other.clone(),
    }
}

fn merged(mut object: Value, spec: &Value) -> Value {
    merge(&mut object["spec"], spec);
    object
}

fn many(count: usize, text: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(text).collect()
}

fn map(count: usize) -> Value {
    Value::Object((0..count).map(|n| (format!("k{n}"), json!("v"))).collect())
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let mut cases = names();
    let number = |n: usize| format!("case-{n}");
    for (n, (name, spec, refused)) in creations().into_iter().enumerate() {
        let object = merged(smallest(&number(n)), &spec);
        cases.push(Case {
            name,
            object,
            update: None,
            refused,
        });
    }
    for (n, (name, before, change, refused)) in changes().into_iter().enumerate() {
        let object = merged(smallest(&format!("change-{n}")), &before);
        let update = Some(merged(object.clone(), &change));
        cases.push(Case {
            name,
            object,
            update,
            refused,
        });
    }
    cases
}

/// Rule 1, the name.
fn names() -> Vec<Case> {
    let refused = Some("the name of an ArchiveRun is a DNS label of up to 48 characters");
    [
        ("a name of 48 characters", "a".repeat(48), None),
        ("a name of 49 characters", "a".repeat(49), refused),
        ("a name with a dot", "logs.2026".to_owned(), refused),
    ]
    .into_iter()
    .map(|(name, run, refused)| Case {
        name,
        object: smallest(&run),
        update: None,
        refused,
    })
    .collect()
}

/// What it shows, what is merged into the smallest spec, and the message.
fn creations() -> Vec<(&'static str, Value, Option<&'static str>)> {
    let one_source = Some("exactly one of inventory and manifests is needed");
    let one_inventory = Some("exactly one of manifest and latest is needed");
    let key_needs_kms = Some("kmsKeyID needs type SSEKMS or DSSEKMS");
    let existing = Some("existing is needed with type Existing, and only then");
    let ephemeral = Some("ephemeral is needed with type Ephemeral, and only then");
    let host_path = Some("hostPath is needed with type HostPath, and only then");
    let quantity = Some("must be a quantity greater than 0, such as 512Mi or 4Gi");
    let tag_key = Some(
        "keys of tags have 1 to 128 letters, digits, spaces and _.:/+@-, and aws: is reserved",
    );
    let reserved =
        Some("archive.s3bundler.dev/ and app.kubernetes.io/ are reserved for the operator");
    let unsupported = Some("Unsupported value");
    let required = Some("Required value");
    let duplicate = Some("Duplicate value");
    let too_long = Some("Too long");
    let too_many = Some("Too many");
    let pattern = Some("should match");
    let integer = Some("must be of type integer");

    let inventory = |inventory: Value| json!({"source": {"inventory": inventory}});
    let source = |source: Value| json!({"source": source});
    let destination = |destination: Value| json!({"destination": destination});
    let queue = |queue: Value| json!({"queue": queue});
    let scaling = |scaling: Value| json!({"workers": {"scaling": scaling}});
    let scratch = |scratch: Value| json!({"workers": {"scratch": scratch}});
    let template = |template: Value| json!({"workers": {"podTemplate": template}});
    let url = "https://sqs.eu-west-1.amazonaws.com/111122223333/logs";

    vec![
        ("the smallest run", json!({}), None),
        // What is required.
        ("no source", json!({"source": null}), required),
        ("no destination", json!({"destination": null}), required),
        ("no bucket", destination(json!({"bucket": null})), required),
        // Rule 4: where the rows come from.
        (
            "the newest inventory",
            inventory(json!({"manifest": null, "latest": {"prefix": "s3://inv/logs/daily/"}})),
            None,
        ),
        (
            "manifests",
            source(json!({"inventory": null, "manifests": {"prefix": "s3://dst/groups/seed/"}})),
            None,
        ),
        (
            "neither inventory nor manifests",
            source(json!({"inventory": null})),
            one_source,
        ),
        (
            "inventory and manifests",
            source(json!({"manifests": {"prefix": "s3://dst/groups/"}})),
            one_source,
        ),
        (
            "neither manifest nor latest",
            inventory(json!({"manifest": null})),
            one_inventory,
        ),
        (
            "manifest and latest",
            inventory(json!({"latest": {"prefix": "s3://inv/"}})),
            one_inventory,
        ),
        // Bounds of the source.
        (
            "a manifest that is no S3 address",
            inventory(json!({"manifest": "https://inv/manifest.json"})),
            pattern,
        ),
        (
            "a manifest of 1100 characters",
            inventory(json!({"manifest": format!("s3://inv/{}", "a".repeat(1091))})),
            None,
        ),
        (
            "a manifest of 1101 characters",
            inventory(json!({"manifest": format!("s3://inv/{}", "a".repeat(1092))})),
            too_long,
        ),
        (
            "latest under no S3 address",
            inventory(json!({"manifest": null, "latest": {"prefix": "inv/"}})),
            pattern,
        ),
        (
            "an age of an hour",
            inventory(
                json!({"manifest": null, "latest": {"prefix": "s3://inv", "maxAgeHours": 1}}),
            ),
            None,
        ),
        (
            "an age of no hours",
            inventory(
                json!({"manifest": null, "latest": {"prefix": "s3://inv", "maxAgeHours": 0}}),
            ),
            Some("should be greater than or equal to 1"),
        ),
        (
            "an age of more than ten years",
            inventory(
                json!({"manifest": null, "latest": {"prefix": "s3://inv", "maxAgeHours": 87_601}}),
            ),
            Some("should be less than or equal to 87600"),
        ),
        (
            "manifests under no S3 address",
            source(json!({"inventory": null, "manifests": {"prefix": "dst"}})),
            pattern,
        ),
        (
            "an owner of the source",
            source(json!({"expectedBucketOwner": "111122223333"})),
            None,
        ),
        (
            "an owner of 11 digits",
            source(json!({"expectedBucketOwner": "11112222333"})),
            pattern,
        ),
        (
            "a requester who pays",
            source(json!({"requestPayer": "Requester"})),
            None,
        ),
        (
            "another payer",
            source(json!({"requestPayer": "BucketOwner"})),
            unsupported,
        ),
        (
            "ten minutes to the first byte",
            source(json!({"firstByteTimeoutSeconds": 600})),
            None,
        ),
        (
            "more than ten minutes to the first byte",
            source(json!({"firstByteTimeoutSeconds": 601})),
            Some("should be less than or equal to 600"),
        ),
        (
            "a request a second",
            source(json!({"maxRequestsPerSecond": 1})),
            None,
        ),
        (
            "no request a second",
            source(json!({"maxRequestsPerSecond": 0})),
            Some("should be greater than or equal to 1"),
        ),
        (
            "more than a million requests a second",
            source(json!({"maxRequestsPerSecond": 1_000_001})),
            Some("should be less than or equal to 1000000"),
        ),
        (
            "an empty region",
            source(json!({"region": ""})),
            Some("should be at least 1 chars long"),
        ),
        // It becomes part of a host's name.
        (
            "a region with another host in it",
            source(json!({"region": "example.com/"})),
            Some("should match"),
        ),
        (
            "100 prefixes",
            source(json!({"includePrefixes": many(100, |n| format!("{n}/"))})),
            None,
        ),
        (
            "101 prefixes",
            source(json!({"includePrefixes": many(101, |n| format!("{n}/"))})),
            too_many,
        ),
        (
            "101 excluded prefixes",
            source(json!({"excludePrefixes": many(101, |n| format!("{n}/"))})),
            too_many,
        ),
        (
            "a prefix of 1024 characters",
            source(json!({"includePrefixes": ["a".repeat(1024)]})),
            None,
        ),
        (
            "a prefix of 1025 characters",
            source(json!({"includePrefixes": ["a".repeat(1025)]})),
            too_long,
        ),
        (
            "a prefix twice",
            source(json!({"excludePrefixes": ["a/", "a/"]})),
            duplicate,
        ),
        (
            "16 storage classes",
            source(json!({"storageClasses": many(16, |n| format!("CLASS_{n}"))})),
            None,
        ),
        (
            "17 storage classes",
            source(json!({"storageClasses": many(17, |n| format!("CLASS_{n}"))})),
            too_many,
        ),
        (
            "two storage classes in one",
            source(json!({"storageClasses": ["STANDARD,GLACIER_IR"]})),
            pattern,
        ),
        (
            "an instant",
            source(json!({"modifiedBefore": "2026-01-01T00:00:00Z"})),
            None,
        ),
        (
            "an instant with an offset",
            source(json!({"modifiedBefore": "2026-01-01T00:00:00+05:30"})),
            None,
        ),
        (
            "a day",
            source(json!({"modifiedBefore": "2026-01-01"})),
            pattern,
        ),
        (
            "a day that is none",
            source(json!({"modifiedBefore": "2026-02-30T00:00:00Z"})),
            Some("must be of type date-time"),
        ),
        (
            "an instant that not every reader knows",
            source(json!({"modifiedBefore": "9999-12-31T23:59:59Z"})),
            pattern,
        ),
        (
            "all versions, restored",
            source(json!({"versions": "All", "glacierObjects": "OnlyRestored"})),
            None,
        ),
        (
            "versions of no kind",
            source(json!({"versions": "all"})),
            unsupported,
        ),
        (
            "Glacier of no kind",
            source(json!({"glacierObjects": "Thaw"})),
            unsupported,
        ),
        // Rule 9: quantities.
        (
            "sizes",
            source(json!({"minSize": "1Ki", "maxSize": "1.5Gi"})),
            None,
        ),
        ("a size as a number", source(json!({"minSize": 1024})), None),
        (
            "a least size of nothing",
            source(json!({"minSize": "0"})),
            quantity,
        ),
        (
            "a least size of the number 0",
            source(json!({"minSize": 0})),
            quantity,
        ),
        (
            "a largest size in other words",
            source(json!({"maxSize": "1 gigabyte"})),
            quantity,
        ),
        (
            "a group of a negative size",
            json!({"group": {"maxSize": "-4Gi"}}),
            quantity,
        ),
        (
            "a group of a size that is none",
            json!({"group": {"maxSize": "4GiB"}}),
            quantity,
        ),
        (
            "objects of a size that is none",
            json!({"archive": {"maxObjectSize": "2KB"}}),
            quantity,
        ),
        (
            "a scratch of a size that is none",
            scratch(json!({"sizeLimit": "much"})),
            quantity,
        ),
        (
            "a scratch of the grouper",
            json!({"grouper": {"scratch": {"sizeLimit": "20Gi"}}}),
            None,
        ),
        (
            "a scratch of the grouper of no size",
            json!({"grouper": {"scratch": {"sizeLimit": "0"}}}),
            quantity,
        ),
        (
            "a size of a truth",
            source(json!({"minSize": true})),
            Some("must be of type integer,string"),
        ),
        // Bounds of the destination.
        (
            "a bucket of 2 characters",
            destination(json!({"bucket": "ab"})),
            Some("should be at least 3 chars long"),
        ),
        (
            "a bucket of 63 characters",
            destination(json!({"bucket": "b".repeat(63)})),
            None,
        ),
        (
            "a bucket of 64 characters",
            destination(json!({"bucket": "b".repeat(64)})),
            too_long,
        ),
        (
            "a bucket with a slash",
            destination(json!({"bucket": "a/../b"})),
            pattern,
        ),
        (
            "a prefix",
            destination(json!({"prefix": "logs/2026"})),
            None,
        ),
        (
            "a prefix that begins with a slash",
            destination(json!({"prefix": "/logs"})),
            pattern,
        ),
        (
            "a prefix that ends with a slash",
            destination(json!({"prefix": "logs/"})),
            pattern,
        ),
        (
            "a prefix with an empty part",
            destination(json!({"prefix": "logs//2026"})),
            pattern,
        ),
        (
            "a destination prefix of 512 characters",
            destination(json!({"prefix": "p".repeat(512)})),
            None,
        ),
        (
            "a destination prefix of 513 characters",
            destination(json!({"prefix": "p".repeat(513)})),
            too_long,
        ),
        (
            "an owner with letters",
            destination(json!({"expectedBucketOwner": "11112222333x"})),
            pattern,
        ),
        (
            "a storage class",
            destination(json!({"storageClass": "DEEP_ARCHIVE"})),
            None,
        ),
        (
            "no text as a storage class",
            destination(json!({"storageClass": ""})),
            Some("should be at least 1 chars long"),
        ),
        ("10 tags", destination(json!({"tags": map(10)})), None),
        ("11 tags", destination(json!({"tags": map(11)})), too_many),
        (
            "a tag without a key",
            destination(json!({"tags": {"": "a"}})),
            tag_key,
        ),
        (
            "a tag with a key of 129 characters",
            destination(json!({"tags": {("k".repeat(129)): "a"}})),
            tag_key,
        ),
        (
            "a tag of AWS's own",
            destination(json!({"tags": {"aws:team": "a"}})),
            tag_key,
        ),
        (
            "a tag with an equals sign in its key",
            destination(json!({"tags": {"a=b": "c"}})),
            tag_key,
        ),
        (
            "a tag with a dollar sign in its key",
            destination(json!({"tags": {"$a": "c"}})),
            tag_key,
        ),
        (
            "a tag with one in its value",
            destination(json!({"tags": {"a": "$(NAME)"}})),
            pattern,
        ),
        (
            "a tag with all that S3 takes",
            destination(json!({"tags": {"kö _.:/+@-2": "ü =_.:/+@-1"}})),
            None,
        ),
        (
            "a tag of 257 characters",
            destination(json!({"tags": {"team": "t".repeat(257)}})),
            too_long,
        ),
        (
            "a plain key layout",
            destination(json!({"keyLayout": "Plain"})),
            None,
        ),
        (
            "a key layout of no kind",
            destination(json!({"keyLayout": "plain"})),
            unsupported,
        ),
        // Rule 5: encryption.
        (
            "a KMS key",
            destination(json!({"encryption": {"type": "SSEKMS", "kmsKeyID": "alias/archive"}})),
            None,
        ),
        (
            "a KMS key twice over",
            destination(json!({"encryption": {"type": "DSSEKMS", "kmsKeyID": "alias/archive"}})),
            None,
        ),
        (
            "the KMS key of AWS",
            destination(json!({"encryption": {"type": "SSEKMS"}})),
            None,
        ),
        (
            "a KMS key with SSES3",
            destination(json!({"encryption": {"type": "SSES3", "kmsKeyID": "k"}})),
            key_needs_kms,
        ),
        (
            "a KMS key with the bucket's default",
            destination(json!({"encryption": {"kmsKeyID": "k"}})),
            key_needs_kms,
        ),
        (
            "encryption of no kind",
            destination(json!({"encryption": {"type": "AES256"}})),
            unsupported,
        ),
        // Bounds of groups and archives.
        (
            "groups of a million",
            json!({"group": {"maxObjects": 1_000_000}}),
            None,
        ),
        (
            "groups of more",
            json!({"group": {"maxObjects": 1_000_001}}),
            Some("should be less than or equal to 1000000"),
        ),
        (
            "groups of nothing",
            json!({"group": {"maxObjects": 0}}),
            Some("should be greater than or equal to 1"),
        ),
        (
            "groups of a half",
            json!({"group": {"maxObjects": 1.5}}),
            integer,
        ),
        ("SHA-256", json!({"archive": {"sha256": true}}), None),
        ("zstd", json!({"archive": {"format": "TarZstd"}}), None),
        ("zip", json!({"archive": {"format": "Zip"}}), unsupported),
        // Rule 6: the queue.
        (
            "a queue that is there",
            queue(json!({"type": "Existing", "existing": {"url": url, "deadLetterURL": url}})),
            None,
        ),
        (
            "events",
            queue(json!({"type": "Existing", "delivery": "S3Event", "existing": {"url": url}})),
            None,
        ),
        (
            "an existing queue without its URL",
            queue(json!({"type": "Existing", "existing": {}})),
            required,
        ),
        (
            "an existing queue that is not named",
            queue(json!({"type": "Existing"})),
            existing,
        ),
        (
            "a managed queue that is named",
            queue(json!({"existing": {"url": url}})),
            existing,
        ),
        (
            "events to a managed queue",
            queue(json!({"delivery": "S3Event"})),
            Some(
                "delivery S3Event needs type Existing: the operator never writes bucket \
                 notifications",
            ),
        ),
        (
            "a queue by its ARN",
            queue(json!({"type": "Existing", "existing": {"url": "arn:aws:sqs:::q"}})),
            pattern,
        ),
        (
            "a queue of no kind",
            queue(json!({"type": "Fifo"})),
            unsupported,
        ),
        (
            "a delivery of no kind",
            queue(json!({"delivery": "Pigeon"})),
            unsupported,
        ),
        // Who runs.
        (
            "a ServiceAccount and a Secret",
            json!({"serviceAccountName": "w", "credentialsSecretRef": {"name": "s"}}),
            None,
        ),
        (
            "a ServiceAccount of 254 characters",
            json!({"serviceAccountName": "w".repeat(254)}),
            too_long,
        ),
        (
            "a Secret without a name",
            json!({"credentialsSecretRef": {}}),
            required,
        ),
        // Rule 7: scaling.
        (
            "as many workers as that",
            scaling(json!({"minReplicas": 1000, "maxReplicas": 1000})),
            None,
        ),
        (
            "more workers at least than at most",
            scaling(json!({"minReplicas": 3, "maxReplicas": 2})),
            Some("minReplicas cannot be more than maxReplicas"),
        ),
        (
            "more workers at least than at most by default",
            scaling(json!({"minReplicas": 21})),
            Some("minReplicas cannot be more than maxReplicas"),
        ),
        (
            "KEDA",
            scaling(json!({"mode": "Keda", "keda": {"authenticationRef": {"name": "sqs"}}})),
            None,
        ),
        ("KEDA by default", scaling(json!({"mode": "Keda"})), None),
        (
            "KEDA's settings without KEDA",
            scaling(json!({"keda": {}})),
            Some("keda needs mode Keda"),
        ),
        ("somebody else", scaling(json!({"mode": "External"})), None),
        (
            "scaling of no kind",
            scaling(json!({"mode": "HPA"})),
            unsupported,
        ),
        (
            "1001 workers",
            scaling(json!({"maxReplicas": 1001})),
            Some("should be less than or equal to 1000"),
        ),
        (
            "no workers",
            scaling(json!({"maxReplicas": 0})),
            Some("should be greater than or equal to 1"),
        ),
        (
            "fewer than no workers",
            scaling(json!({"minReplicas": -1})),
            Some("should be greater than or equal to 0"),
        ),
        (
            "no groups for a worker",
            scaling(json!({"targetGroupsPerWorker": 0})),
            Some("should be greater than or equal to 1"),
        ),
        (
            "groups past int32",
            scaling(json!({"targetGroupsPerWorker": 2_147_483_648_i64})),
            Some("less than or equal to 2147483647"),
        ),
        (
            "a poll every 0 seconds",
            scaling(json!({"mode": "Keda", "keda": {"pollingIntervalSeconds": 0}})),
            Some("should be greater than or equal to 1"),
        ),
        (
            "an authentication of no kind",
            scaling(
                json!({"mode": "Keda", "keda": {"authenticationRef": {"name": "a", "kind": "Secret"}}}),
            ),
            unsupported,
        ),
        // Bounds of workers.
        (
            "an hour to drain",
            json!({"workers": {"drainSeconds": 3600}}),
            None,
        ),
        (
            "more than an hour to drain",
            json!({"workers": {"drainSeconds": 3601}}),
            Some("should be less than or equal to 3600"),
        ),
        (
            "recycling after nothing",
            json!({"workers": {"recycleAfterGroups": 0}}),
            Some("should be greater than or equal to 1"),
        ),
        (
            "resources",
            json!({"workers": {"resources": {"requests": {"cpu": 2, "memory": "2Gi"}, "limits": {"memory": "2Gi"}}}}),
            None,
        ),
        // Rule 8: scratch.
        (
            "an ephemeral volume",
            scratch(json!({"type": "Ephemeral", "ephemeral": {"storageClassName": "nvme"}})),
            None,
        ),
        (
            "an ephemeral volume by default",
            scratch(json!({"type": "Ephemeral", "ephemeral": {}})),
            None,
        ),
        (
            "an ephemeral volume that is not told",
            scratch(json!({"type": "Ephemeral"})),
            ephemeral,
        ),
        (
            "an ephemeral volume with an emptyDir",
            scratch(json!({"ephemeral": {}})),
            ephemeral,
        ),
        (
            "a directory of the node",
            scratch(json!({"type": "HostPath", "hostPath": {"path": "/mnt/nvme"}})),
            None,
        ),
        (
            "a directory that is not told",
            scratch(json!({"type": "HostPath"})),
            host_path,
        ),
        (
            "a directory with an emptyDir",
            scratch(json!({"hostPath": {"path": "/mnt/nvme"}})),
            host_path,
        ),
        (
            "a directory above",
            scratch(json!({"type": "HostPath", "hostPath": {"path": "/mnt/../etc"}})),
            Some("path cannot contain .."),
        ),
        (
            "a directory from nowhere",
            scratch(json!({"type": "HostPath", "hostPath": {"path": "mnt"}})),
            pattern,
        ),
        (
            "scratch of no kind",
            scratch(json!({"type": "Memory"})),
            unsupported,
        ),
        // Rule 10: pod templates.
        (
            "labels",
            template(
                json!({"metadata": {"labels": {"cost": "archive"}, "annotations": {"a": "b"}}}),
            ),
            None,
        ),
        (
            "a label of the operator's",
            template(json!({"metadata": {"labels": {"archive.s3bundler.dev/run": "x"}}})),
            reserved,
        ),
        (
            "a label of everybody's",
            template(json!({"metadata": {"labels": {"app.kubernetes.io/name": "x"}}})),
            reserved,
        ),
        (
            "an annotation of the operator's",
            template(json!({"metadata": {"annotations": {"archive.s3bundler.dev/run": "x"}}})),
            reserved,
        ),
        (
            "a label of the operator's on the grouper",
            json!({"grouper": {"podTemplate": {"metadata": {"labels": {"archive.s3bundler.dev/run": "x"}}}}}),
            reserved,
        ),
        (
            "32 labels",
            template(json!({"metadata": {"labels": map(32)}})),
            None,
        ),
        (
            "33 labels",
            template(json!({"metadata": {"labels": map(33)}})),
            too_many,
        ),
        (
            "33 annotations",
            template(json!({"metadata": {"annotations": map(33)}})),
            too_many,
        ),
        (
            "a label of 64 characters",
            template(json!({"metadata": {"labels": {"a": "v".repeat(64)}}})),
            too_long,
        ),
        ("placement", template(placement()), None),
        (
            "a toleration past int64",
            template(json!({"spec": {"tolerations": [{"tolerationSeconds": 1e19}]}})),
            integer,
        ),
        (
            "a weight past int32",
            template(
                json!({"spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 2_147_483_648_i64, "preference": {}}
                ]}}}}),
            ),
            Some("less than or equal to 2147483647"),
        ),
        // The rest.
        (
            "no second try",
            json!({"retry": {"maxObjectPasses": 0}}),
            None,
        ),
        (
            "11 tries",
            json!({"retry": {"maxObjectPasses": 11}}),
            Some("should be less than or equal to 10"),
        ),
        (
            "no failed object",
            json!({"failurePolicy": {"maxFailedObjects": 0}}),
            None,
        ),
        (
            "fewer than no failed objects",
            json!({"failurePolicy": {"maxFailedObjects": -1}}),
            Some("greater than or equal to 0"),
        ),
        (
            "failed objects past int64",
            json!({"failurePolicy": {"maxFailedObjects": 1e19}}),
            integer,
        ),
        (
            "a share of failed objects",
            json!({"failurePolicy": {"maxFailedObjects": "0.01%"}}),
            None,
        ),
        (
            "every failed object",
            json!({"failurePolicy": {"maxFailedObjects": "100%"}}),
            None,
        ),
        (
            "more failed objects than all",
            json!({"failurePolicy": {"maxFailedObjects": "100.1%"}}),
            pattern,
        ),
        (
            "failed objects as a text",
            json!({"failurePolicy": {"maxFailedObjects": "10"}}),
            pattern,
        ),
        (
            "no wait for outages",
            json!({"outageBudgetSeconds": 0}),
            None,
        ),
        (
            "a wait for outages of more than ten hours",
            json!({"outageBudgetSeconds": 36_001}),
            Some("should be less than or equal to 36000"),
        ),
        ("a minute", json!({"activeDeadlineSeconds": 60}), None),
        (
            "less than a minute",
            json!({"activeDeadlineSeconds": 59}),
            Some("should be greater than or equal to 60"),
        ),
        ("gone at once", json!({"ttlSecondsAfterFinished": 0}), None),
        (
            "gone before",
            json!({"ttlSecondsAfterFinished": -1}),
            Some("should be greater than or equal to 0"),
        ),
        (
            "verified by checksums",
            json!({"verify": "Checksums"}),
            None,
        ),
        ("verified byte for byte", json!({"verify": "Full"}), None),
        ("not verified", json!({"verify": "None"}), None),
        (
            "archives of a cold tier verified by checksums",
            json!({"verify": "Checksums", "destination": {"storageClass": "DEEP_ARCHIVE"}}),
            None,
        ),
        (
            "archives of a cold tier verified byte for byte",
            json!({"verify": "Full", "destination": {"storageClass": "DEEP_ARCHIVE"}}),
            Some("use Checksums"),
        ),
        (
            "archives that can be read verified byte for byte",
            json!({"verify": "Full", "destination": {"storageClass": "GLACIER_IR"}}),
            None,
        ),
        (
            "verified otherwise",
            json!({"verify": "Somehow"}),
            unsupported,
        ),
        ("suspended", json!({"suspend": true}), None),
        (
            "suspended by word",
            json!({"suspend": "yes"}),
            Some("must be of type boolean"),
        ),
    ]
}

fn placement() -> Value {
    json!({"spec": {
        "nodeSelector": {"karpenter.sh/capacity-type": "spot"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64", "amd64"]}]}
        ]}}},
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"cost": "archive"}},
        }],
        "priorityClassName": "low", "runtimeClassName": "gvisor", "schedulerName": "default-scheduler",
        "imagePullSecrets": [{"name": "registry"}],
    }})
}

/// What it shows, what is merged into the smallest spec at first, what changes, and the message.
fn changes() -> Vec<(&'static str, Value, Value, Option<&'static str>)> {
    let none = || json!({});
    let account = Some("serviceAccountName cannot be changed: make a new ArchiveRun");
    let secret = Some("credentialsSecretRef cannot be changed: make a new ArchiveRun");
    vec![
        // Rule 2: fields that are always there.
        (
            "another source",
            none(),
            json!({"source": {"versions": "All"}}),
            Some("source cannot be changed: make a new ArchiveRun"),
        ),
        (
            "another destination",
            none(),
            json!({"destination": {"prefix": "x"}}),
            Some("destination cannot be changed: make a new ArchiveRun"),
        ),
        (
            "another group",
            none(),
            json!({"group": {"maxObjects": 1}}),
            Some("group cannot be changed: make a new ArchiveRun"),
        ),
        (
            "another archive",
            none(),
            json!({"archive": {"format": "TarGzip"}}),
            Some("archive cannot be changed: make a new ArchiveRun"),
        ),
        (
            "another queue",
            none(),
            json!({"queue": {"type": "Existing", "existing": {"url": "https://sqs"}}}),
            Some("queue cannot be changed: make a new ArchiveRun"),
        ),
        (
            "another grouper",
            none(),
            json!({"grouper": {"resources": {"requests": {"cpu": "2"}}}}),
            Some("grouper cannot be changed: make a new ArchiveRun"),
        ),
        (
            "another scratch",
            none(),
            json!({"workers": {"scratch": {"sizeLimit": "1Gi"}}}),
            Some("workers.scratch cannot be changed: make a new ArchiveRun"),
        ),
        (
            "another scratch of the grouper",
            none(),
            json!({"grouper": {"scratch": {"sizeLimit": "1Gi"}}}),
            Some("grouper cannot be changed: make a new ArchiveRun"),
        ),
        (
            "another way of scaling",
            none(),
            json!({"workers": {"scaling": {"mode": "External"}}}),
            Some("workers.scaling.mode cannot be changed: make a new ArchiveRun"),
        ),
        (
            "the defaults in words",
            none(),
            json!({
                "source": {"versions": "Current"}, "destination": {"prefix": "", "encryption": {}},
                "group": {"maxSize": "4Gi"}, "archive": {}, "queue": {"type": "Managed"}, "grouper": {"scratch": {}},
                "workers": {"scratch": {"type": "EmptyDir"}, "scaling": {"mode": "Builtin"}},
            }),
            None,
        ),
        // Rule 3: fields that may be missing.
        (
            "another ServiceAccount",
            json!({"serviceAccountName": "a"}),
            json!({"serviceAccountName": "b"}),
            account,
        ),
        (
            "a ServiceAccount after all",
            none(),
            json!({"serviceAccountName": "a"}),
            account,
        ),
        (
            "no ServiceAccount any more",
            json!({"serviceAccountName": "a"}),
            json!({"serviceAccountName": null}),
            account,
        ),
        (
            "another Secret",
            json!({"credentialsSecretRef": {"name": "a"}}),
            json!({"credentialsSecretRef": {"name": "b"}}),
            secret,
        ),
        (
            "a Secret after all",
            none(),
            json!({"credentialsSecretRef": {"name": "a"}}),
            secret,
        ),
        (
            "no Secret any more",
            json!({"credentialsSecretRef": {"name": "a"}}),
            json!({"credentialsSecretRef": null}),
            secret,
        ),
        (
            "the same ServiceAccount and Secret",
            json!({"serviceAccountName": "a", "credentialsSecretRef": {"name": "a"}}),
            json!({"suspend": true}),
            None,
        ),
        // What may change.
        (
            "all that may change",
            json!({"workers": {"scaling": {"mode": "Keda"}}}),
            json!({
                "workers": {
                    "scaling": {
                        "minReplicas": 1, "maxReplicas": 2, "targetGroupsPerWorker": 3,
                        "keda": {"authenticationRef": {"name": "sqs"}, "pollingIntervalSeconds": 30},
                    },
                    "drainSeconds": 1, "recycleAfterGroups": 2,
                    "resources": {"limits": {"memory": "4Gi"}}, "podTemplate": placement(),
                },
                "retry": {"maxObjectPasses": 3}, "failurePolicy": {"maxFailedObjects": 4},
                "outageBudgetSeconds": 60, "activeDeadlineSeconds": 65, "suspend": true, "ttlSecondsAfterFinished": 6,
                "verify": "Full",
            }),
            None,
        ),
    ]
}
