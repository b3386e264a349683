//! The stages of a run, one after the other: its own groups, redos and retry passes that are
//! planned, new retry passes.

use std::sync::{Arc, Mutex, PoisonError};

use s3bundler_common::failure::Failure;
use s3bundler_contract::{Accounts, ExitCode, Reason, RunSummary, Stage};
use tokio_util::sync::CancellationToken;

use crate::bundle::Bundler;
use crate::commands::failures::Failures;
use crate::group::{self, Begun, GroupMade, GroupRequest, Grouped, RedoRequest, RetryRequest};
use crate::progress::Progress;
use crate::queue::{GroupFailure, MemoryQueue, WorkError, WorkerOptions, work};
use crate::run_totals::RunTotals;
use crate::s3::S3;

/// A run that was worked to its end.
pub(super) struct Worked {
    /// Of its own groups.
    pub(super) summary: RunSummary,
    /// Groups that an earlier start had archived.
    pub(super) groups_before: u64,
    pub(super) totals: RunTotals,
}

/// The retry passes that `run` plans itself, beside those that are planned already.
pub(super) struct RetryPolicy {
    pub(super) passes: u32,
    pub(super) reasons: Vec<Reason>,
}

/// What every stage is archived with.
pub(super) struct Scene<'a> {
    pub(super) s3: &'a S3,
    pub(super) request: &'a GroupRequest,
    pub(super) bundler: &'a Bundler,
    pub(super) progress: &'a Progress,
    pub(super) groups: usize,
    pub(super) shutdown: &'a CancellationToken,
}

/// A stage after the run's own groups.
enum After {
    Retry(RetryRequest),
    Redo(RedoRequest),
}

impl Scene<'_> {
    /// The run's own groups, then what is planned already, then retry passes until nothing is left
    /// to retry.
    pub(super) async fn all_stages(&self, policy: &RetryPolicy) -> Result<Worked, Failure> {
        let Grouped {
            summary,
            already_archived: groups_before,
            ..
        } = self.archive(None).await?;
        let (mut totals, mut accounts) = self.count().await?;
        let planned: Vec<_> = accounts
            .summaries()
            .filter_map(|summary| self.planned(summary))
            .collect();
        for stage in &planned {
            self.archive(Some(stage)).await?;
        }
        if !planned.is_empty() {
            (totals, accounts) = self.count().await?;
        }
        if !totals.add_up() {
            // A retry pass would be made of figures that are wrong.
            return Ok(Worked {
                summary,
                groups_before,
                totals,
            });
        }
        let last = accounts
            .summaries()
            .filter_map(|summary| summary.stage().pass())
            .max()
            .unwrap_or(0);
        for pass in (last + 1..).take(usize::try_from(policy.passes).unwrap_or(usize::MAX)) {
            let is_wanted = totals.figures.failed_for_any(&policy.reasons) > 0;
            if !is_wanted && !self.is_begun(pass, &accounts).await? {
                break;
            }
            let retried = self
                .archive(Some(&After::Retry(
                    self.retry(pass, policy.reasons.clone()),
                )))
                .await?;
            let (groups, objects) = (retried.summary.groups, retried.summary.objects);
            tracing::info!(run = %self.request.run, pass, groups, objects, "archived a retry pass");
            (totals, accounts) = self.count().await?;
        }
        Ok(Worked {
            summary,
            groups_before,
            totals,
        })
    }

    /// A retry pass or a redo that was planned before; its groups may not all be archived.
    fn planned(&self, summary: &RunSummary) -> Option<After> {
        let GroupRequest {
            run,
            destination,
            manifest_storage_class,
            scratch,
            ..
        } = self.request;
        match summary.stage() {
            Stage::OWN => None,
            Stage::Pass(pass) => Some(After::Retry(
                self.retry(pass, summary.retried_reasons().to_vec()),
            )),
            Stage::Redo(redo) => Some(After::Redo(RedoRequest {
                run: run.clone(),
                destination: destination.clone(),
                redo,
                groups: summary.replaces.iter().map(|it| it.group.clone()).collect(),
                manifest_storage_class: manifest_storage_class.clone(),
                scratch: scratch.clone(),
            })),
        }
    }

    fn retry(&self, pass: u32, reasons: Vec<Reason>) -> RetryRequest {
        let GroupRequest {
            run,
            destination,
            manifest_storage_class,
            scratch,
            ..
        } = self.request.clone();
        RetryRequest {
            run,
            destination,
            pass,
            reasons,
            manifest_storage_class,
            scratch,
        }
    }

    async fn count(&self) -> Result<(RunTotals, Accounts), Failure> {
        let counted = RunTotals::count(self.s3, &self.request.destination, &self.request.run).await;
        Ok(counted?)
    }

    /// Whether an earlier start began to plan a retry pass.
    async fn is_begun(&self, pass: u32, accounts: &Accounts) -> Result<bool, Failure> {
        let GroupRequest {
            run, destination, ..
        } = self.request;
        let begun = group::begun(self.s3, destination, run, accounts, Stage::Pass(pass)).await;
        Ok(begun? != Begun::No)
    }

    /// Makes the run's own groups, or those of a later stage, and archives them meanwhile.
    async fn archive(&self, after: Option<&After>) -> Result<Grouped, Failure> {
        let Self {
            s3,
            request,
            progress,
            shutdown,
            ..
        } = *self;
        let queue = MemoryQueue::new(1);
        let grouping = async {
            let on_group = |made: &GroupMade| {
                if !made.already_archived {
                    progress.expect(1, made.objects.unwrap_or(0), made.bytes.unwrap_or(0));
                }
            };
            let grouping = async {
                match after {
                    None => group::group(s3, request, Some(&queue), on_group).await,
                    Some(After::Retry(retry)) => {
                        group::retry(s3, retry, Some(&queue), on_group).await
                    }
                    Some(After::Redo(redo)) => group::redo(s3, redo, Some(&queue), on_group).await,
                }
            };
            let grouped = tokio::select! {
                grouped = grouping => grouped.map_err(Failure::from),
                () = shutdown.cancelled() => Err(Failure::new(ExitCode::Terminated, "ended by a \
                    signal")),
            };
            queue.close();
            grouped
        };
        let failures = Arc::new(Mutex::new(Failures::default()));
        let options = WorkerOptions {
            groups: self.groups,
            drain: std::time::Duration::ZERO,
            ..WorkerOptions::default()
        };
        // A grouping that failed ends the work, but groups that are under way are worth finishing.
        let handler = {
            let (bundler, failures) = (self.bundler.clone(), Arc::clone(&failures));
            move |manifest, cancel: CancellationToken| {
                let (bundler, failures) = (bundler.clone(), Arc::clone(&failures));
                async move {
                    Box::pin(bundler.bundle(&manifest, &cancel))
                        .await
                        .map(|_| ())
                        .map_err(|error| {
                            let (disposition, failure) =
                                (error.disposition(), Failure::from(error));
                            failures
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .add(&failure);
                            GroupFailure::new(disposition, failure)
                        })
                }
            }
        };
        let working = work(&queue, &options, shutdown.clone(), handler);
        let (grouped, worked) = tokio::join!(grouping, working);
        let grouped = match (worked, grouped) {
            (Err(WorkError::Fatal(failure)), _) => return Err(failure),
            (Err(WorkError::Queue(error)), _) => return Err(error.into()),
            (Ok(_), grouped) => grouped?,
        };
        let failures =
            std::mem::take(&mut *failures.lock().unwrap_or_else(PoisonError::into_inner));
        let groups = failures.count();
        let what = if groups == 1 {
            "1 group was".to_owned()
        } else {
            format!("{groups} groups were")
        };
        failures.into_result(&format!("{what} not archived; run again to try again"))?;
        Ok(grouped)
    }
}
