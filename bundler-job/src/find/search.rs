//! A search: entries in order, as they are found.

use std::collections::BTreeSet;
use std::sync::Arc;

use s3bundler_contract::record::RecordError;
use s3bundler_contract::{ExitCode, HasExitCode, RunName, S3Address};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;

use super::compacted::{self, ToRead};
use super::file::{Batch, Context, Counts, FileToRead, add};
use super::listing::{self, RunCatalogs};
use super::prune::Pruner;
use super::{Filter, Found, replaced};
use crate::catalog::{Bounds, CatalogError};
use crate::destination::Destination;
use crate::s3::{S3, S3Error};

/// What to search, and for what.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// Where the catalogs are. Its layout of keys does not matter: catalogs name their archives.
    pub destination: Destination,
    /// The runs to search, in this order; all of the destination, newest first, if there are none.
    pub runs: Vec<RunName>,
    pub filter: Filter,
    /// Catalogs to read at a time.
    pub catalogs: usize,
}

/// A part of the answer that is missing, and why.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// There is nothing of such a run.
    #[error("there is no catalog of a run {run} in {destination}")]
    NoSuchRun {
        run: RunName,
        destination: S3Address,
    },
    /// S3 could not be read.
    #[error(transparent)]
    Read(#[from] S3Error),
    /// A catalog is damaged, or of another format.
    #[error("{catalog}: {cause}")]
    Catalog {
        catalog: S3Address,
        cause: CatalogError,
    },
    /// It is the catalog of another group.
    #[error("{catalog} is not the catalog that it should be: {problem}")]
    Foreign {
        catalog: S3Address,
        /// What differs.
        problem: String,
    },
    /// The summary of a redo cannot be used.
    #[error("cannot use {address}: {cause}")]
    Record {
        address: S3Address,
        cause: RecordError,
    },
    /// A thread that read is gone.
    #[error("reading {catalog} ended unexpectedly: {cause}")]
    Stopped {
        catalog: S3Address,
        /// How.
        cause: tokio::task::JoinError,
    },
}

impl HasExitCode for SearchError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoSuchRun { .. } => ExitCode::Usage,
            Self::Read(error) => error.reading(),
            Self::Catalog { cause, .. } => cause.exit_code(),
            Self::Foreign { .. } | Self::Record { .. } => ExitCode::Unreadable,
            Self::Stopped { .. } => ExitCode::Unexpected,
        }
    }
}

/// What a search did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchFigures {
    /// Runs that were searched.
    pub runs: u64,
    /// Catalogs of these, or files of compacted catalogs in their place.
    pub catalogs: u64,
    /// Catalogs of which no row was read: their statistics or bloom filters ruled them out.
    pub pruned: u64,
    /// Requests to S3, without those that were sent again.
    pub requests: u64,
    /// Bytes of catalogs that were read.
    pub bytes: u64,
}

/// A search that is under way: newest run first; in a run redos and retry passes before its own
/// groups, in the order of these, or of keys where catalogs are compacted. Holds what is read of a
/// few catalogs. Dropping it ends it.
#[derive(Debug)]
pub struct Search {
    /// What is found in each file, in order.
    files: Receiver<Receiver<Batch>>,
    file: Option<Receiver<Batch>>,
    batch: std::vec::IntoIter<Found>,
    counts: Arc<Counts>,
    _work: JoinSet<()>,
}

impl Search {
    /// Starts a search. Must be called inside a tokio runtime.
    pub fn start(s3: &S3, request: SearchRequest) -> Self {
        let counts = Arc::new(Counts::default());
        let at_a_time = request.catalogs.max(1);
        let (files, receiver) = mpsc::channel(at_a_time);
        let searcher = Searcher {
            context: Context {
                s3: s3.clone(),
                destination: request.destination,
                pruner: Arc::new(Pruner::new(&request.filter)),
                filter: Arc::new(request.filter),
                counts: Arc::clone(&counts),
            },
            slots: Arc::new(Semaphore::new(at_a_time)),
            files,
            reading: JoinSet::new(),
        };
        let mut work = JoinSet::new();
        work.spawn(searcher.search(request.runs));
        Self {
            files: receiver,
            file: None,
            batch: Vec::new().into_iter(),
            counts,
            _work: work,
        }
    }

    /// The next object, or a part of the answer that is missing: the search goes on after it.
    /// `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Found, SearchError>> {
        loop {
            if let Some(found) = self.batch.next() {
                return Some(Ok(found));
            }
            match &mut self.file {
                Some(file) => match file.recv().await {
                    Some(Ok(batch)) => self.batch = batch.into_iter(),
                    Some(Err(error)) => return Some(Err(error)),
                    None => self.file = None,
                },
                None => self.file = Some(self.files.recv().await?),
            }
        }
    }

    /// What it did so far.
    pub fn figures(&self) -> SearchFigures {
        self.counts.figures()
    }
}

/// The search did not wait for its end.
struct Dropped;

/// Goes from run to run, and reads a few files at a time.
struct Searcher {
    context: Context,
    slots: Arc<Semaphore>,
    files: Sender<Receiver<Batch>>,
    reading: JoinSet<()>,
}

impl Searcher {
    async fn search(mut self, runs: Vec<RunName>) {
        let ended = if runs.is_empty() {
            self.search_listed(None).await
        } else {
            self.search_named(&runs).await
        };
        if ended.is_ok() {
            while self.reading.join_next().await.is_some() {}
        }
    }

    async fn search_named(&mut self, runs: &[RunName]) -> Result<(), Dropped> {
        for run in runs {
            self.search_listed(Some(run)).await?;
        }
        Ok(())
    }

    /// Searches a run, or all runs of the destination.
    async fn search_listed(&mut self, run: Option<&RunName>) -> Result<(), Dropped> {
        let Context {
            s3,
            destination,
            counts,
            ..
        } = &self.context;
        let runs = match listing::list(s3, destination, run).await {
            Ok((runs, requests)) => {
                add(&counts.requests, requests);
                runs
            }
            Err(error) => return self.fail(error.into()).await,
        };
        if let Some(run) = run
            && runs.is_empty()
        {
            let destination = destination.address(destination.layout.root());
            let run = run.clone();
            return self.fail(SearchError::NoSuchRun { run, destination }).await;
        }
        for run in runs {
            self.search_run(run).await?;
        }
        Ok(())
    }

    async fn search_run(&mut self, listed: RunCatalogs) -> Result<(), Dropped> {
        let RunCatalogs { run, catalogs, .. } = listed;
        let Context {
            s3,
            destination,
            counts,
            ..
        } = &self.context;
        let (s3, destination, counts) = (s3.clone(), destination.clone(), Arc::clone(counts));
        add(&counts.runs, 1);
        let count = |requests| add(&counts.requests, requests);
        // Rows of groups that are replaced are found then, too: the answer is reported as incomplete,
        // and has more than it should, not less.
        let replaced = match replaced::read(&s3, &destination, &run, &catalogs, count).await {
            Ok(replaced) => replaced,
            Err(error) => {
                self.fail(error).await?;
                BTreeSet::new()
            }
        };
        add(&counts.requests, 1);
        let manifest = match compacted::manifest(&s3, &destination, &run).await {
            Ok(manifest) => manifest,
            Err(error) => {
                tracing::warn!(%run, %error, "the compacted catalogs are not used");
                None
            }
        };
        let ToRead {
            files,
            mut catalogs,
        } = compacted::to_read(catalogs, manifest);
        catalogs.retain(|it| !replaced.contains(&it.group));
        catalogs.sort_by_cached_key(|it| listing::place_of(&it.group, &run));
        let replaced = Arc::new(replaced);
        let layout = &destination.layout;
        let of_catalogs = catalogs.into_iter().map(|it| FileToRead {
            run: run.clone(),
            address: destination.address(layout.catalog(&run, &it.group)),
            size: it.size,
            etag: it.etag,
            group: Some(it.group),
            replaced: Arc::clone(&replaced),
        });
        let of_files = files
            .into_iter()
            .filter(|file| {
                self.context.pruner.may_have_key(Bounds {
                    min: file.first.as_bytes(),
                    max: file.last.as_bytes(),
                })
            })
            .map(|file| FileToRead {
                run: run.clone(),
                address: destination.address(format!("{}{}", layout.compacted(&run), file.name)),
                size: file.size,
                etag: file.etag,
                group: None,
                replaced: Arc::clone(&replaced),
            });
        for file in of_catalogs.chain(of_files).collect::<Vec<_>>() {
            self.read(file).await?;
        }
        Ok(())
    }

    /// Begins to read a file once there is a slot.
    async fn read(&mut self, file: FileToRead) -> Result<(), Dropped> {
        let slots = Arc::clone(&self.slots);
        let slot = slots.acquire_owned().await.map_err(|_| Dropped)?;
        let (found, receiver) = mpsc::channel(2);
        self.files.send(receiver).await.map_err(|_| Dropped)?;
        let context = self.context.clone();
        while self.reading.try_join_next().is_some() {}
        self.reading.spawn(async move {
            context.read(file, found).await;
            drop(slot);
        });
        Ok(())
    }

    async fn fail(&mut self, error: SearchError) -> Result<(), Dropped> {
        let (found, receiver) = mpsc::channel(1);
        let _ = found.try_send(Err(error));
        self.files.send(receiver).await.map_err(|_| Dropped)
    }
}
