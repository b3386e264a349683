//! The health that Argo CD and Flux derive from statuses that the operator wrote in this cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::scene::{Scene, archive_run, condition, denied, source};
use super::{InteropError, say, wrong};
use crate::health::{self, ArgoCdHealth};

const TEAM: &str = "gitops";
/// Suspended at first, then complete.
const RESTED: &str = "rested";
/// Its service account does not exist.
const REFUSED: &str = "refused";
/// Its objects are denied.
const DENIED: &str = "denied";
/// A team whose source is denied.
const DENIED_TEAM: &str = "gitops-denied";

/// A run from its suspension to its end, one that is refused, and one that is stalled.
pub(super) async fn play(scene: &Scene) -> Result<(), InteropError> {
    say("Runs for the health checks: suspended, resumed and complete; refused; stalled");
    for team in [TEAM, DENIED_TEAM] {
        scene.team(team).await?;
    }
    scene.rule(source(DENIED_TEAM), denied);
    let (manifest, of_denied) = (
        scene.inventory(TEAM, 12).await?,
        scene.inventory(DENIED_TEAM, 4).await?,
    );
    let account = json!({"serviceAccountName": "missing"});
    for (team, run, manifest, spec) in [
        (TEAM, RESTED, &manifest, json!({"suspend": true})),
        (TEAM, REFUSED, &manifest, account),
        (DENIED_TEAM, DENIED, &of_denied, json!({})),
    ] {
        scene
            .apply(&archive_run(team, run, manifest, &spec))
            .await?;
    }
    scene.condition(TEAM, RESTED, "Suspended", "True").await?;
    scene
        .patch(TEAM, RESTED, &json!({"spec": {"suspend": false}}))
        .await?;
    scene.condition(TEAM, RESTED, "Complete", "True").await?;
    scene.condition(TEAM, REFUSED, "Accepted", "False").await?;
    scene
        .condition(DENIED_TEAM, DENIED, "Stalled", "True")
        .await?;
    Ok(())
}

/// What both make of a status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Verdict {
    /// The reason of Ready, which is the column STATUS.
    status: String,
    argo_cd: String,
    flux: &'static str,
}

/// Evaluates every status that was seen.
pub(super) fn judge(runs: &[Value]) -> Result<(), InteropError> {
    let (mut counted, mut of_run) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, Vec<_>>::new());
    for run in runs {
        let ArgoCdHealth { status, message } = health::argo_cd(run)?;
        let verdict = Verdict {
            status: reason(run),
            argo_cd: status,
            flux: health::flux(run)?,
        };
        if message.is_empty() {
            return Err(wrong(format!("Argo CD shows no message for {verdict:?}")));
        }
        let history = of_run.entry(name(run)).or_default();
        if history.last() != Some(&verdict) {
            history.push(verdict.clone());
        }
        *counted.entry(verdict).or_default() += 1;
    }
    say(&format!(
        "Health by Argo CD and Flux of {} statuses of {} runs",
        runs.len(),
        of_run.len()
    ));
    println!("    STATUS                     ARGO CD      FLUX        STATUSES");
    for (verdict, number) in &counted {
        let Verdict {
            status,
            argo_cd,
            flux,
        } = verdict;
        println!("    {status:<25}  {argo_cd:<11}  {flux:<10}  {number:>8}");
        if !agree(argo_cd, flux) {
            return Err(wrong(format!("Argo CD and Flux disagree: {verdict:?}")));
        }
    }
    for (run, wanted) in [
        (
            format!("{TEAM}/{RESTED}"),
            &["Suspended", "Progressing", "Healthy"][..],
        ),
        (format!("{TEAM}/{REFUSED}"), &["Degraded"]),
        (format!("{DENIED_TEAM}/{DENIED}"), &["Degraded"]),
    ] {
        let history = of_run.remove(&run).unwrap_or_default();
        let seen = phases(&history);
        if !seen.ends_with(wanted) {
            return Err(wrong(format!(
                "Argo CD showed {run} as {seen:?}, not as {wanted:?}"
            )));
        }
        println!("    {run}: {}", seen.join(" ─► "));
    }
    Ok(())
}

/// What Argo CD showed one after another.
fn phases(history: &[Verdict]) -> Vec<&str> {
    let mut phases: Vec<_> = history.iter().map(|it| it.argo_cd.as_str()).collect();
    phases.dedup();
    phases
}

/// Whether Flux and Argo CD mean the same.
fn agree(argo_cd: &str, flux: &str) -> bool {
    match argo_cd {
        "Healthy" => flux == "Current",
        "Degraded" => flux == "Failed",
        _ => flux == "InProgress",
    }
}

fn name(run: &Value) -> String {
    let part = |field: &str| run["metadata"][field].as_str().unwrap_or_default();
    format!("{}/{}", part("namespace"), part("name"))
}

fn reason(run: &Value) -> String {
    let ready = condition(run, "Ready").map(|ready| &ready["reason"]);
    ready.and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
