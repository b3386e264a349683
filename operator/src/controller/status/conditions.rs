//! The conditions. Every one of them is there from the first time, but Verified only of a run that asks
//! for it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::outcome::Outcome;
use crate::controller::decide::{Phase, Verified};
use crate::controller::explanation::Explanation;
use crate::controller::failure::Failure;
use crate::controller::run::QueuePlan;
use crate::crd::{ArchiveRunStatus, Verify};

/// Longest message of a condition ("Condition" of meta/v1).
const MAX_MESSAGE: usize = 32_768;

/// Why the run is not accepted, if it is not.
pub(super) fn refusal(outcome: &Outcome<'_>) -> Option<Explanation> {
    let Outcome {
        decision, applied, ..
    } = *outcome;
    let invalid = match &applied.failed {
        Some((_, Failure::Refused(explanation))) => Some(explanation.clone()),
        _ => None,
    };
    invalid.or_else(|| decision.refused.clone())
}

/// The first status of a run: everything unknown, nothing hidden.
pub(super) fn conditions(
    status: &mut ArchiveRunStatus,
    outcome: &Outcome<'_>,
    refused: Option<Explanation>,
) {
    let Outcome {
        run,
        seen,
        decision,
        applied,
        generation,
        now,
    } = *outcome;
    let phase = decision.phase;
    let mut set = |name: &str, value: bool, explanation: Explanation| {
        set(status, name, value, &explanation, Some(generation), now);
    };
    let (stalled, degraded) = match applied.failed.as_ref().map(|(_, failure)| failure) {
        Some(Failure::Stalled(explanation)) => {
            (Some(explanation.clone()), decision.degraded.clone())
        }
        Some(Failure::Degraded(explanation)) => {
            (decision.stalled.clone(), Some(explanation.clone()))
        }
        Some(Failure::Refused(_)) | None => (decision.stalled.clone(), decision.degraded.clone()),
    };
    // What is not accepted is not begun, or goes on only until its pods have ended their groups.
    let is_at_work = seen.is_some_and(|seen| seen.pods.busy > 0);
    let stalled = stalled.or_else(|| refused.clone().filter(|_| !is_at_work));
    let degraded = match &applied.redriven {
        Some(Err(error)) => Some(Explanation::new("DeadLetters", error.to_string())),
        _ => degraded,
    };
    let failed = decision.failed.clone();
    let message = stalled
        .as_ref()
        .filter(|_| !phase.is_final())
        .map_or(&decision.message, |it| &it.message);
    set(
        "Ready",
        matches!(phase, Phase::Complete | Phase::CompleteWithFailures),
        Explanation::new(phase.reason(), message.clone()),
    );
    let progressing = || Explanation::new("Progressing", "nothing keeps it from going on");
    set(
        "Stalled",
        stalled.is_some(),
        stalled.unwrap_or_else(progressing),
    );
    set(
        "Degraded",
        degraded.is_some(),
        degraded.unwrap_or_else(|| Explanation::new("AsExpected", "nothing is wrong")),
    );
    set(
        "Accepted",
        refused.is_none(),
        refused.unwrap_or_else(|| Explanation::new("Valid", "the run can be carried out")),
    );
    let complete = matches!(phase, Phase::Complete | Phase::CompleteWithFailures);
    let not_yet = || Explanation::new("InProgress", "the run has not ended");
    let end = || Explanation::new(phase.reason(), decision.message.clone());
    set(
        "Complete",
        complete,
        if phase.is_final() { end() } else { not_yet() },
    );
    set(
        "Failed",
        failed.is_some(),
        failed.unwrap_or_else(|| if phase.is_final() { end() } else { not_yet() }),
    );
    let rests = phase == Phase::Suspended && seen.is_some_and(|seen| seen.pods.present == 0);
    let resting = match (phase, rests) {
        (Phase::Suspended, true) => Explanation::new(
            "Suspended",
            "no pod is left; set spec.suspend to false to go on",
        ),
        (Phase::Suspended, false) => Explanation::new("Suspending", decision.message.clone()),
        _ => Explanation::new("NotSuspended", "the run is not suspended"),
    };
    set("Suspended", rests, resting);

    // True once, and then only taken back by the end.
    let summary = seen.and_then(|seen| seen.summary.as_ref());
    let grouped = summary.map(|summary| {
        Explanation::new(
            "AllGroupsMade",
            format!("{} objects in {} groups", summary.objects, summary.groups),
        )
    });
    if let Some(explanation) = grouped {
        set("Grouped", true, explanation);
    }
    let managed = run.is_some_and(|run| matches!(run.queue, QueuePlan::Managed(_)));
    if applied.queues_deleted {
        let explanation = if phase.is_final() {
            Explanation::new("Deleted", "the run has ended")
        } else {
            Explanation::new("Pending", "there is no queue while the run waits")
        };
        set("QueueReady", false, explanation);
    } else if applied.queues.is_some() {
        let explanation = if managed {
            Explanation::new("Made", "made for this run")
        } else {
            Explanation::new("Existing", "brought by this run")
        };
        set("QueueReady", true, explanation);
    }
    verified(status, outcome);
    for (name, explanation) in [
        (
            "Grouped",
            Explanation::new("Pending", "the groups are not made yet"),
        ),
        (
            "QueueReady",
            Explanation::new("Pending", "there is no queue yet"),
        ),
    ] {
        match status.conditions.iter_mut().find(|it| it.type_ == name) {
            Some(known) => known.observed_generation = Some(generation),
            None => status.conditions.push(Condition {
                type_: name.to_owned(),
                status: "False".to_owned(),
                reason: explanation.reason.to_owned(),
                message: explanation.message,
                observed_generation: Some(generation),
                last_transition_time: Time(now),
            }),
        }
    }
}

/// Sets Verified, of a run that asks for it.
fn verified(status: &mut ArchiveRunStatus, outcome: &Outcome<'_>) {
    let Outcome {
        run,
        decision,
        generation,
        now,
        ..
    } = *outcome;
    let Some(verified) = &decision.verified else {
        let is_unasked = run.is_some_and(|run| run.verify == Verify::None);
        status
            .conditions
            .retain(|it| it.type_ != "Verified" || it.status != "Unknown" || !is_unasked);
        let known = status
            .conditions
            .iter_mut()
            .find(|it| it.type_ == "Verified");
        if let Some(known) = known {
            known.observed_generation = Some(generation);
        }
        return;
    };
    let (value, explanation) = match verified {
        Verified::NotYet(explanation) => ("Unknown", explanation),
        Verified::Yes(explanation) => ("True", explanation),
        Verified::No(explanation) => ("False", explanation),
    };
    set_to(
        status,
        "Verified",
        value,
        explanation,
        Some(generation),
        now,
    );
}

/// The status of a run that somebody has to help before anything else can be said of it.
pub(crate) fn stalled_status(
    prior: &ArchiveRunStatus,
    why: &Explanation,
    generation: Option<i64>,
    now: Timestamp,
) -> ArchiveRunStatus {
    let mut status = prior.clone();
    set(&mut status, "Stalled", true, why, generation, now);
    for name in [
        "Ready",
        "Degraded",
        "Accepted",
        "Complete",
        "Failed",
        "Suspended",
        "Grouped",
        "QueueReady",
    ] {
        // The schema's own of a new run tells of no generation.
        if status
            .condition(name)
            .is_none_or(|it| it.observed_generation.is_none())
        {
            let unknown = Explanation::new("Pending", format!("not known yet: {}", why.message));
            set(&mut status, name, false, &unknown, generation, now);
        }
    }
    status.observed_generation = status.observed_generation.or(generation);
    status.state = Some(why.reason.to_owned());
    status
}

fn set(
    status: &mut ArchiveRunStatus,
    name: &str,
    value: bool,
    explanation: &Explanation,
    generation: Option<i64>,
    now: Timestamp,
) {
    let value = if value { "True" } else { "False" };
    set_to(status, name, value, explanation, generation, now);
}

fn set_to(
    status: &mut ArchiveRunStatus,
    name: &str,
    value: &str,
    explanation: &Explanation,
    generation: Option<i64>,
    now: Timestamp,
) {
    let message: String = explanation.message.chars().take(MAX_MESSAGE / 4).collect();
    let known = status.conditions.iter().position(|it| it.type_ == name);
    // Another reason to be stalled begins anew: a person has not known of it.
    let is_same = |it: &&Condition| {
        it.status == value && (name != "Stalled" || it.reason == explanation.reason)
    };
    let since = known.map(|at| &status.conditions[at]).filter(is_same);
    let since = since.map_or(Time(now), |it| it.last_transition_time.clone());
    let new = Condition {
        type_: name.to_owned(),
        status: value.to_owned(),
        reason: explanation.reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    };
    match known {
        Some(at) => status.conditions[at] = new,
        None => status.conditions.push(new),
    }
}
