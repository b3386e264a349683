//! `s3bundler submit`: manifests onto the queue. A group manifest or its dead letters become one
//! message; an inventory is grouped first, and its groups become theirs.
//!
//! ```text
//! arguments, standard input ──► what is it? ──► group manifest ──► HEAD (ETag) ──► message
//!                                    └────────► inventory ───────► group ────────► messages
//! ```
//!
//! An address that cannot be used is told, and the others are submitted all the same. Submitting
//! twice is harmless: a group is archived once however often it is delivered.

use std::io::BufRead;

use futures_util::{StreamExt, stream};
use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::group_manifest::Recorded;
use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{ExitCode, RunName, S3Address, etag};
use serde::Serialize;

use super::failures::Failures;
use super::output;
use crate::args::{AddressOrStdin, DestinationArgs, GlobalArgs, SubmitArgs};
use crate::group::{GroupRequest, Origin, group};
use crate::queue::{Queue, SqsQueue};
use crate::s3::{S3, load_config};

/// HEAD requests at a time.
const HEADS: usize = 16;
/// Messages that are sent together: SQS takes no more in a request.
const TOGETHER: usize = 10;
/// As in [`RunName`].
const LONGEST_NAME: usize = 48;

/// Puts manifests on a queue.
pub async fn submit(args: SubmitArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let options = global.s3_options(args.destination.as_ref())?;
    let config = load_config(&options).await?;
    let queue = SqsQueue::connect(&config, &args.queue).await?;
    let s3 = S3::new(config, &options);
    let submitting = async {
        let arguments = args.manifests.clone();
        let reading =
            tokio::task::spawn_blocking(move || addresses(&arguments, std::io::stdin().lock()));
        let given = reading
            .await
            .map_err(|error| Failure::new(ExitCode::Unexpected, error))??;
        submit_to(&s3, &queue, &args, given).await
    };
    let submitted = tokio::select! {
        submitted = submitting => submitted?,
        () = shutdown.token().cancelled() => {
            let exit = shutdown.by().unwrap_or(ExitCode::Terminated);
            return Err(Failure::new(exit, "ended by a signal; to submit again is harmless"));
        }
    };
    output::print(
        &submitted.summary,
        || submitted.summary.text(),
        global.output,
    );
    submitted.into_result()
}

/// What was given on the command line or on standard input, and where it was no address.
type Given = Vec<Result<S3Address, Failure>>;

/// The addresses, those of standard input in the place of `-`.
fn addresses(arguments: &[AddressOrStdin], mut stdin: impl BufRead) -> Result<Given, Failure> {
    let arguments = if arguments.is_empty() {
        &[AddressOrStdin::Stdin]
    } else {
        arguments
    };
    let mut given = Vec::new();
    for argument in arguments {
        match argument {
            AddressOrStdin::Address(address) => given.push(Ok(address.clone())),
            AddressOrStdin::Stdin => {
                for (number, line) in (1..).zip((&mut stdin).lines()) {
                    let failed = |error| {
                        Failure::new(
                            ExitCode::Local,
                            format!("cannot read standard input: {error}"),
                        )
                    };
                    given.extend(address_of(number, &line.map_err(failed)?));
                }
            }
        }
    }
    Ok(given)
}

/// The address in a line, if it is not blank or a comment.
fn address_of(number: u64, line: &str) -> Option<Result<S3Address, Failure>> {
    let line = line.trim();
    let wrong = |error| {
        Failure::new(
            ExitCode::Usage,
            format!("standard input, line {number}: {error}"),
        )
    };
    (!line.is_empty() && !line.starts_with('#')).then(|| line.parse().map_err(wrong))
}

/// What an address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A group manifest, one in the seed's form, or dead letters, which are one too.
    GroupManifest,
    /// The manifest of an S3 Inventory.
    Inventory,
}

impl Kind {
    /// By the key alone ("Locating your inventory list", S3 user guide).
    fn of(address: &S3Address) -> Result<Self, Failure> {
        let usage = |problem: &str| {
            Err(Failure::new(
                ExitCode::Usage,
                format!("{address} {problem}"),
            ))
        };
        match address.file_name() {
            "" => usage("names no object"),
            "manifest.json" => Ok(Self::Inventory),
            "manifest.checksum" | "symlink.txt" => {
                usage("belongs to an inventory: give its manifest.json")
            }
            _ => Ok(Self::GroupManifest),
        }
    }
}

/// What came of submitting.
#[derive(Debug, Default)]
struct Submitted {
    summary: Summary,
    failures: Failures,
    given: usize,
}

/// What `submit` says at its end.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    /// Messages sent, those of inventories' groups included.
    messages: u64,
    /// Manifests and dead letters submitted by their own address.
    manifests: u64,
    inventories: Vec<SubmittedInventory>,
    /// Addresses that were not submitted.
    failed: u64,
}

/// An inventory that was grouped.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubmittedInventory {
    inventory: String,
    run: String,
    groups: u64,
    objects: u64,
    bytes: u64,
    messages: u64,
    /// Groups that were archived before, and got no message.
    already_archived: u64,
}

impl Summary {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} messages sent, {} of them for given manifests",
            self.messages, self.manifests
        )];
        lines.extend(self.inventories.iter().map(|it| {
            let SubmittedInventory {
                run,
                groups,
                objects,
                already_archived,
                ..
            } = it;
            let bytes = indicatif::BinaryBytes(it.bytes);
            format!(
                "  run {run}: {groups} groups of {objects} objects, {bytes}; {already_archived} \
                 were archived already"
            )
        }));
        if self.failed > 0 {
            lines.push(format!("{} addresses were not submitted", self.failed));
        }
        lines.join("\n") + "\n"
    }
}

impl Submitted {
    fn fail(&mut self, failure: &Failure) {
        tracing::warn!(cause = %failure, "address not submitted");
        self.summary.failed += 1;
        self.failures.add(failure);
    }

    fn into_result(self) -> Result<(), Failure> {
        let what = format!(
            "{} of {} addresses not submitted",
            self.failures.count(),
            self.given
        );
        self.failures.into_result(&what)
    }
}

/// Submits all that can be. An error is one that ends it: the queue takes nothing.
async fn submit_to<Q: Queue>(
    s3: &S3,
    queue: &Q,
    args: &SubmitArgs,
    given: Given,
) -> Result<Submitted, Failure> {
    let mut submitted = Submitted {
        given: given.len(),
        ..Submitted::default()
    };
    let (mut manifests, mut inventories) = (Vec::new(), Vec::new());
    for address in given {
        match address.and_then(|address| Kind::of(&address).map(|kind| (kind, address))) {
            Ok((Kind::GroupManifest, address)) => manifests.push(address),
            Ok((Kind::Inventory, address)) => inventories.push(address),
            Err(failure) => submitted.fail(&failure),
        }
    }
    if args.name.is_some() && inventories.len() > 1 {
        let problem = format!(
            "--name names one run, but {} inventories are given: submit them one by one",
            inventories.len()
        );
        return Err(Failure::new(ExitCode::Usage, problem));
    }

    let mut found = stream::iter(manifests)
        .map(|address| find(s3, address))
        .buffered(HEADS)
        .chunks(TOGETHER);
    while let Some(chunk) = found.next().await {
        let mut batch = Vec::with_capacity(TOGETHER);
        for manifest in chunk {
            match manifest {
                Ok(manifest) => batch.push(manifest),
                Err(failure) => submitted.fail(&failure),
            }
        }
        queue.send(&batch).await?;
        submitted.summary.messages += batch.len() as u64;
        submitted.summary.manifests += batch.len() as u64;
    }
    for address in inventories {
        match submit_inventory(s3, queue, args, address).await {
            Ok(inventory) => {
                submitted.summary.messages += inventory.messages;
                submitted.summary.inventories.push(inventory);
            }
            Err(failure) => submitted.fail(&failure),
        }
    }
    Ok(submitted)
}

/// A group manifest that is there, with its ETag.
async fn find(s3: &S3, address: S3Address) -> Result<ManifestRef, Failure> {
    let failed = |error: crate::s3::S3Error| Failure::new(error.reading(), error);
    let Some(head) = s3.head(&address).await.map_err(failed)? else {
        return Err(Failure::new(
            ExitCode::Unreadable,
            format!("{address} does not exist"),
        ));
    };
    if head.content_length() == Some(0) {
        return Err(Failure::new(
            ExitCode::Unreadable,
            format!("{address} is empty, and so is no group manifest"),
        ));
    }
    let etag = Some(etag::unquoted(head.e_tag()).to_owned()).filter(|etag| !etag.is_empty());
    let kind = if address.key.ends_with(DEAD_LETTERS_SUFFIX) {
        "dead letters"
    } else {
        "group manifest"
    };
    tracing::debug!(manifest = %address, kind, "manifest found");
    let manifest = ManifestRef::new(address, etag);
    Ok(manifest.with_recorded(
        head.metadata()
            .map(Recorded::in_metadata)
            .unwrap_or_default(),
    ))
}

/// Groups an inventory onto the queue.
async fn submit_inventory<Q: Queue>(
    s3: &S3,
    queue: &Q,
    args: &SubmitArgs,
    address: S3Address,
) -> Result<SubmittedInventory, Failure> {
    let usage = |problem: String| Failure::new(ExitCode::Usage, problem);
    let destination = args.destination.clone().ok_or_else(|| {
        usage(format!(
            "{address} is an inventory: say where its groups go with --destination \
            s3://BUCKET/PREFIX"
        ))
    })?;
    let run = args
        .name
        .clone()
        .or_else(|| run_name(&address))
        .ok_or_else(|| {
            usage(format!(
                "{address} is not under an inventory's usual key, so give the run a name \
            with --name"
            ))
        })?;
    let archive = args.archive.options();
    let request = GroupRequest {
        origin: Origin::Inventory(address.clone()),
        run,
        destination: DestinationArgs { destination }.resolve(archive.key_layout)?,
        select: args.grouping.select(),
        group: args.grouping.group(),
        archive,
        manifest_storage_class: args.grouping.manifest_storage_class.clone(),
        owner: "s3bundler submit".to_owned(),
        acknowledge: None,
        scratch: super::scratch(None, None)?,
    };
    tracing::info!(inventory = %address, run = %request.run, "grouping an inventory");
    let grouped = group(s3, &request, Some(queue), |_| {}).await?;
    Ok(SubmittedInventory {
        inventory: address.to_string(),
        run: request.run.to_string(),
        groups: grouped.summary.groups,
        objects: grouped.summary.objects,
        bytes: grouped.summary.bytes,
        messages: grouped.sent,
        already_archived: grouped.already_archived,
    })
}

/// `<source bucket>-<date>` from `…/<source bucket>/<configuration>/<date>/manifest.json`
/// ("Locating your inventory list", S3 user guide). Of a long bucket's name the end is cut off,
/// never the date: runs of two days are two.
fn run_name(inventory: &S3Address) -> Option<RunName> {
    let mut parts = inventory.key.rsplit('/').skip(1);
    let (date, _configuration, bucket) = (parts.next()?, parts.next()?, parts.next()?);
    let clean = |text: &str| -> String {
        let text = text.to_ascii_lowercase();
        text.chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect()
    };
    let (bucket, date) = (clean(bucket), clean(date));
    let room = LONGEST_NAME.checked_sub(date.len() + 1)?;
    let name = format!("{}-{date}", &bucket[..room.min(bucket.len())]);
    name.trim_matches('-').parse().ok()
}

#[cfg(test)]
mod tests;
