//! The grouper of a pass: a Job that makes groups and puts their messages on the queue. It may run
//! as often as it likes.

use k8s_openapi::api::batch::v1::Job;
use s3bundler_contract::ExitCode;

use super::job::{GRACE_SECONDS, NOT_DISRUPTED, job};
use super::pod::{Pod, SCRATCH, empty_dir, scratch_size, with_disk};
use super::requests::request_args;
use super::{GROUPER, destination};
use crate::controller::run::Run;
use crate::crd::{Delivery, Origin};
use crate::defaults::Defaults;

/// What no other try changes.
const FOR_GOOD: [ExitCode; 4] = [
    ExitCode::Local,
    ExitCode::Unreadable,
    ExitCode::Usage,
    ExitCode::Permission,
];

/// The name of the Job of a pass: 63 characters at most, because it is a label of its pods.
pub(crate) fn grouper_name(run: &Run, pass: u32) -> String {
    if pass == 0 {
        format!("{}-grouper", run.name)
    } else {
        format!("{}-grouper-{pass}", run.name)
    }
}

/// Whether the grouper sends messages itself. Groups that are there already make no events of S3:
/// whoever comes again has to send them. Two messages for a group do no harm.
pub(crate) fn sends(run: &Run, are_made: bool) -> bool {
    run.delivery == Delivery::Direct || are_made
}

/// The Job of a pass. `inventory` is what the run has claimed its name for, once that is known: a
/// manifest.json, or the prefix of given group manifests. Before, the grouper finds it, claims the
/// name and acknowledges the run. `queue` is where its messages go, none where events of S3 tell of
/// the groups that it makes.
pub(crate) fn grouper(
    run: &Run,
    defaults: &Defaults,
    pass: u32,
    inventory: Option<&str>,
    queue: Option<&str>,
) -> Job {
    let pod = Pod {
        run,
        defaults,
        component: GROUPER,
        annotations: &[NOT_DISRUPTED],
        template: &run.grouper_template,
        resources: &with_disk(&run.grouper_resources, &run.grouper_scratch.size_limit),
        args: grouper_args(run, defaults, pass, inventory, queue),
        scratch: empty_dir(&run.grouper_scratch.size_limit),
        scratch_sub_path: None,
        fs_group: None,
        grace_seconds: GRACE_SECONDS,
        restart_policy: "Never",
    };
    job(grouper_name(run, pass), pod, &FOR_GOOD)
}

fn grouper_args(
    run: &Run,
    defaults: &Defaults,
    pass: u32,
    inventory: Option<&str>,
    queue: Option<&str>,
) -> Vec<String> {
    let mut args = request_args(run);
    let mut arg =
        |name: &str, value: &dyn std::fmt::Display| args.push(format!("--{name}={value}"));
    arg("destination", &destination(run));
    arg("name", &run.name);
    if let Some(queue) = queue {
        arg("queue", &queue);
    }
    arg("region", &run.source_region);
    arg("scratch", &SCRATCH);
    arg("scratch-size", &scratch_size(run.grouper_scratch_size));
    if let Some(seconds) = run.outage_budget {
        arg("outage-budget", &seconds);
    }
    if pass > 0 {
        arg("retry-pass", &pass);
        let reasons: Vec<_> = run
            .retry_reasons
            .iter()
            .map(|reason| reason.as_str())
            .collect();
        arg("retry-reasons", &reasons.join(","));
        return [vec!["group".to_owned()], args].concat();
    }
    match (inventory, &run.origin) {
        (Some(prefix), Origin::Manifests(_)) => arg("manifests", &prefix),
        (Some(manifest), _) => arg("inventory", &manifest),
        (None, Origin::Manifests(prefix)) => arg("manifests", prefix),
        (None, Origin::Inventory(manifest)) => arg("inventory", manifest),
        (None, Origin::Latest { prefix, max_age }) => {
            arg("inventory-latest", prefix);
            if let Some(age) = max_age {
                arg("max-inventory-age", &(age.as_secs() / 3600));
            }
        }
    }
    if inventory.is_none() {
        arg("owner", &run.claim_owner(&defaults.cluster));
        arg("acknowledge", &run.uid);
    }
    arg("max-objects", &run.group.max_objects);
    arg("max-size", &run.group.max_size.bytes());
    arg("format", &run.archive.format);
    arg("max-object-size", &run.archive.max_object_size.bytes());
    arg("archive-storage-class", &run.archive.storage_class);
    arg("key-layout", &key_layout(run));
    for prefix in &run.select.include {
        arg("include", prefix);
    }
    for prefix in &run.select.exclude {
        arg("exclude", prefix);
    }
    for class in &run.select.storage_classes {
        arg("storage-class", class);
    }
    if let Some(instant) = &run.select.modified_before {
        arg("modified-before", instant);
    }
    if let Some(size) = run.select.min_size {
        arg("min-source-size", &size.bytes());
    }
    if let Some(size) = run.select.max_size {
        arg("max-source-size", &size.bytes());
    }
    arg(
        "versions",
        if run.select.all_versions {
            &"all"
        } else {
            &"current"
        },
    );
    arg(
        "glacier",
        if run.select.only_restored {
            &"only-restored"
        } else {
            &"skip"
        },
    );
    [vec!["group".to_owned()], args].concat()
}

fn key_layout(run: &Run) -> &'static str {
    match run.archive.key_layout {
        s3bundler_contract::KeyLayout::Hashed => "hashed",
        s3bundler_contract::KeyLayout::Plain => "plain",
    }
}

#[cfg(test)]
mod tests;
