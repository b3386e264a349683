//! The verifier: a Job that proves what the run has archived. It writes nothing.

use k8s_openapi::api::batch::v1::Job;
use s3bundler_contract::ExitCode;

use super::job::{GRACE_SECONDS, NOT_DISRUPTED, job};
use super::pod::{Pod, SCRATCH, empty_dir, with_disk};
use super::requests::request_args;
use super::{VERIFIER, destination};
use crate::controller::run::Run;
use crate::crd::Verify;
use crate::defaults::Defaults;

/// The annotation of the Job with what it proves.
pub(crate) const VERIFY_ANNOTATION: &str = "archive.s3bundler.dev/verify";
/// What no other try changes.
const FOR_GOOD: [ExitCode; 5] = [
    ExitCode::Local,
    ExitCode::Unreadable,
    ExitCode::Usage,
    ExitCode::Permission,
    ExitCode::Findings,
];

/// The name of the Job: 55 characters at most.
pub(crate) fn verifier_name(run: &Run) -> String {
    format!("{}-verify", run.name)
}

/// What a Job proves.
pub(crate) fn verify_mode(job: &Job) -> Verify {
    let annotations = job.metadata.annotations.as_ref();
    let mode = annotations.and_then(|all| all.get(VERIFY_ANNOTATION));
    mode.and_then(|mode| Verify::of(mode)).unwrap_or_default()
}

/// The Job. Its pod is placed as the grouper's, whose disk it needs too: catalogs are read there.
pub(crate) fn verifier(run: &Run, defaults: &Defaults) -> Job {
    let pod = Pod {
        run,
        defaults,
        component: VERIFIER,
        annotations: &[NOT_DISRUPTED],
        template: &run.grouper_template,
        resources: &with_disk(&run.grouper_resources, &run.grouper_scratch.size_limit),
        args: verifier_args(run),
        scratch: empty_dir(&run.grouper_scratch.size_limit),
        scratch_sub_path: None,
        fs_group: None,
        grace_seconds: GRACE_SECONDS,
        restart_policy: "Never",
    };
    let mut job = job(verifier_name(run), pod, &FOR_GOOD);
    let mode = run.verify.as_str().to_owned();
    job.metadata.annotations = Some([(VERIFY_ANNOTATION.to_owned(), mode)].into());
    job
}

/// Every release knows these.
fn verifier_args(run: &Run) -> Vec<String> {
    let mut args = vec![
        "verify".to_owned(),
        format!("--destination={}", destination(run)),
        format!("--name={}", run.name),
        format!("--region={}", run.destination_region),
        format!("--scratch={SCRATCH}"),
    ];
    if run.verify == Verify::Full {
        args.push("--full".to_owned());
    }
    args.extend(request_args(run));
    args
}

#[cfg(test)]
mod tests;
