//! `s3bundler find`: prints the objects that are found, as they are found.

mod print;

use std::io::{self, BufWriter};

use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::{ExitCode, HasExitCode as _, KeyLayout};

use crate::args::{FindArgs, GlobalArgs};
use crate::find::{Search, SearchError, SearchRequest};
use crate::s3::{S3, load_config};

use print::Printer;

/// Searches the catalogs of a destination.
pub async fn find(args: FindArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let options = global.s3_options(Some(&args.destination.destination))?;
    let request = SearchRequest {
        destination: args.destination.resolve(KeyLayout::Hashed)?,
        runs: args.run,
        filter: args.filter.filter()?,
        catalogs: args.catalogs.into(),
    };
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let s3 = S3::new(load_config(&options).await?, &options);
    let mut search = Search::start(&s3, request);
    let ended = tokio::select! {
        ended = print(&mut search, global) => ended,
        () = shutdown.token().cancelled() => {
            let exit = shutdown.by().unwrap_or(ExitCode::Terminated);
            return Err(Failure::new(exit, "ended by a signal, with the search incomplete"));
        }
    };
    let Ended { found, missing } = ended
        .map_err(|error| Failure::new(ExitCode::Local, format!("standard output: {error}")))?;
    let figures = search.figures();
    tracing::info!(
        found,
        runs = figures.runs,
        catalogs = figures.catalogs,
        pruned = figures.pruned,
        requests = figures.requests,
        bytes = figures.bytes,
        "searched"
    );
    match missing {
        Some(error) => Err(Failure::new(
            error.exit_code(),
            format!("the answer is incomplete: {error}"),
        )),
        None if found == 0 => Err(Failure::new(ExitCode::NothingFound, "nothing was found")),
        None => Ok(()),
    }
}

/// How a search ended.
struct Ended {
    found: u64,
    /// The first part of the answer that is missing.
    missing: Option<SearchError>,
}

/// Prints what is found until the end of the search, or of the reader: one that has read enough, such
/// as `head`, is no error.
async fn print(search: &mut Search, global: &GlobalArgs) -> io::Result<Ended> {
    let mut printer = Printer::new(BufWriter::new(io::stdout()), global.output);
    let mut ended = Ended {
        found: 0,
        missing: None,
    };
    loop {
        let written = match search.next().await {
            Some(Ok(found)) => {
                ended.found += 1;
                printer.print(&found)
            }
            Some(Err(error)) => {
                // The first is the last line, as the error of the command.
                match &ended.missing {
                    Some(_) => tracing::error!("{error}"),
                    None => ended.missing = Some(error),
                }
                Ok(())
            }
            None => {
                let flushed = printer.finish();
                return flushed.or_else(of_reader).map(|()| ended);
            }
        };
        if let Err(error) = written {
            return of_reader(error).map(|()| ended);
        }
    }
}

/// Nothing if the reader of a pipe has ended.
fn of_reader(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(error)
    }
}
