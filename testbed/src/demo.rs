//! The main job before one's eyes: real files become objects, an inventory of them becomes archives, one object comes
//! back with a single ranged GET and is compared with the file it was.
//!
//! ```text
//! moto ──► upload files ──► inventory ──► s3bundler run ──► s3bundler verify ──► tar --list ──► index ──► GET range
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::primitives::ByteStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use thiserror::Error;

use crate::cli::{CliError, Outcome, Program};
use crate::client::{self, ClientError};
use crate::inventory::{Inventory, InventoryError, inventory_of_bucket};
use crate::servers::{Access, Moto, ServerError};

const SOURCE: &str = "demo-sources";
const INVENTORIES: &str = "demo-inventories";
const ARCHIVES: &str = "demo-archives";
/// Small files to upload: thousands, and still a matter of seconds.
const FILES: usize = 3000;
/// Files over this size are worth one of the few places for large ones.
const LARGE: u64 = 2 << 20;
const LARGE_FILES: usize = 3;
const UPLOADS_AT_A_TIME: usize = 8;

/// Why the demo ended early.
#[derive(Debug, Error)]
pub enum DemoError {
    /// A server did not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The inventory could not be written.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// A program could not be run.
    #[error(transparent)]
    Cli(#[from] CliError),
    /// A program failed.
    #[error("{0} failed: {1}")]
    Program(&'static str, String),
    /// A file could not be read.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// What came back is not what was sent.
    #[error("{0}")]
    Wrong(String),
}

/// A file and the key it is uploaded under.
#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    key: String,
}

/// A folder of thousands of real files that is on most machines that can build this project.
pub fn real_files() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = cargo.map(|cargo| cargo.join("registry").join("src")).filter(|sources| sources.is_dir());
    sources.or_else(|| {
        let asked = Command::new("python3").args(["-c", "import os; print(os.path.dirname(os.__file__))"]).output();
        let folder = PathBuf::from(String::from_utf8(asked.ok()?.stdout).ok()?.trim());
        folder.is_dir().then_some(folder)
    })
}

/// Runs the demo; gives the server that still holds everything.
pub async fn demo(s3bundler: &Path, files: &Path) -> Result<Moto, DemoError> {
    say("Starting a local S3 (moto)");
    let server = Moto::start().await?;
    // Moto without its C library says that a CRC32 of something else is the CRC64NVME of a multipart object.
    let config = client::s3(server.access()).config().to_builder();
    let client =
        Client::from_conf(config.response_checksum_validation(ResponseChecksumValidation::WhenRequired).build());
    for bucket in [SOURCE, INVENTORIES, ARCHIVES] {
        client::create_bucket(&client, bucket).await?;
    }
    let sources = choose(files)?;
    say(&format!("Uploading {} files from {}", sources.len(), files.display()));
    upload(&client, &sources).await?;
    say("Writing an S3 Inventory of them");
    let inventory = inventory_of_bucket(&client, &Inventory::new(SOURCE, INVENTORIES)).await?;
    println!("    {} rows, {}", inventory.rows, inventory.manifest);

    let destination = format!("s3://{ARCHIVES}/logs");
    run(
        s3bundler,
        server.access(),
        &[
            "run",
            "--inventory",
            &inventory.manifest,
            "--destination",
            &destination,
            "--name",
            "demo",
            "--max-objects",
            "1000",
            "--max-object-size",
            "8MiB",
        ],
    )
    .await?;
    run(s3bundler, server.access(), &["verify", "--destination", &destination, "--name", "demo", "--full"]).await?;

    let keys = client::list_keys(&client, ARCHIVES, "logs/archives/").await?;
    let archive = keys.iter().find(|key| key.ends_with(".tar")).ok_or_else(|| wrong("no archive was written"))?;
    list(&client, archive).await?;
    read_one_back(&client, &keys, &sources).await?;
    Ok(server)
}

/// What to look at while the server is up.
pub fn where_to_look(server: &Moto, s3bundler: &Path) -> String {
    let exports = server.access().environment().into_iter().map(|(name, value)| format!("    export {name}={value}\n"));
    format!(
        "The server is up until Ctrl-C. In another shell:\n{}    {} verify --destination s3://{ARCHIVES}/logs --name demo\n    \
         aws s3 ls --recursive s3://{ARCHIVES}/",
        exports.collect::<String>(),
        s3bundler.display()
    )
}

fn say(what: &str) {
    println!("==> {what}");
}

fn wrong(what: impl Into<String>) -> DemoError {
    DemoError::Wrong(what.into())
}

/// Thousands of small files and a few large ones, in a stable order.
fn choose(root: &Path) -> Result<Vec<Source>, DemoError> {
    let (mut small, mut large) = (Vec::new(), Vec::new());
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let fail = |cause| DemoError::File { path: folder.clone(), cause };
        let mut entries: Vec<_> = std::fs::read_dir(&folder).and_then(Iterator::collect).map_err(fail)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().map_err(fail)?;
            let Some(key) = entry.path().strip_prefix(root).ok().and_then(Path::to_str).map(|key| format!("src/{key}"))
            else {
                continue;
            };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let size = entry.metadata().map_err(fail)?.len();
                let source = Source { path: entry.path(), key };
                if size > LARGE { large.push(source) } else { small.push(source) }
            }
        }
        if small.len() >= FILES && large.len() >= LARGE_FILES {
            break;
        }
    }
    small.truncate(FILES);
    large.truncate(LARGE_FILES);
    if small.is_empty() {
        return Err(wrong(format!("no files to upload in {}", root.display())));
    }
    small.append(&mut large);
    Ok(small)
}

/// Every third object has metadata, every fiftieth has tags.
async fn upload(client: &Client, sources: &[Source]) -> Result<(), DemoError> {
    stream::iter(sources.iter().enumerate())
        .map(|(n, source)| async move {
            let fail = |cause: io::Error| DemoError::File { path: source.path.clone(), cause };
            let body = tokio::fs::read(&source.path).await.map_err(fail)?;
            let mut put = client.put_object().bucket(SOURCE).key(&source.key).body(ByteStream::from(body));
            if n % 3 == 0 {
                put = put.metadata("origin", "demo").metadata("number", n.to_string());
            }
            if n % 50 == 0 {
                put = put.tagging("kind=source&team=demo");
            }
            let put = put.send().await;
            put.map(|_| ()).map_err(|error| wrong(format!("uploading {}: {error:?}", source.key)))
        })
        .buffer_unordered(UPLOADS_AT_A_TIME)
        .try_collect()
        .await
}

async fn run(s3bundler: &Path, access: &Access, arguments: &[&str]) -> Result<Outcome, DemoError> {
    say(&format!("s3bundler {}", arguments.join(" ")));
    let outcome = Program::new(s3bundler).access(access).args(arguments).run().await?;
    for line in outcome.stdout.lines() {
        println!("    {line}");
    }
    if outcome.code == Some(0) { Ok(outcome) } else { Err(DemoError::Program("s3bundler", outcome.to_string())) }
}

/// Plain GNU tar lists an archive.
async fn list(client: &Client, archive: &str) -> Result<(), DemoError> {
    say(&format!("GNU tar lists s3://{ARCHIVES}/{archive}"));
    let bytes = client::get_bytes(client, ARCHIVES, archive).await?;
    let file = tempfile::NamedTempFile::new().and_then(|file| std::fs::write(file.path(), &bytes).map(|()| file));
    let file = file.map_err(|cause| DemoError::File { path: std::env::temp_dir(), cause })?;
    let listed =
        Command::new("tar").arg("--list").arg("--verbose").arg("--file").arg(file.path()).stdin(Stdio::null()).output();
    let listed = listed.map_err(|cause| DemoError::Program("tar", cause.to_string()))?;
    if !listed.status.success() || !listed.stderr.is_empty() {
        return Err(DemoError::Program("tar", String::from_utf8_lossy(&listed.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&listed.stdout);
    for line in text.lines().take(3) {
        println!("    {line}");
    }
    println!("    … {} members, {} bytes", text.lines().count(), bytes.len());
    Ok(())
}

/// One object, with one GET of the range that the index names, compared with the file it was.
async fn read_one_back(client: &Client, keys: &[String], sources: &[Source]) -> Result<(), DemoError> {
    let index = keys.iter().find(|key| key.ends_with(".index")).ok_or_else(|| wrong("no index was written"))?;
    say(&format!("One object back, from the index s3://{ARCHIVES}/{index}"));
    let bytes = client::get_bytes(client, ARCHIVES, index).await?;
    let mut reader = csv::Reader::from_reader(bytes.as_ref());
    let rows = reader.deserialize().collect::<Result<Vec<BTreeMap<String, String>>, _>>();
    let rows = rows.map_err(|error| wrong(format!("the index {index}: {error}")))?;
    let row = rows.iter().filter(|row| row["outcome"] == "archived" && row["length"] != "0").nth(rows.len() / 2);
    let row = row.or_else(|| rows.first()).ok_or_else(|| wrong("the index is empty"))?;
    let number =
        |column: &str| row[column].parse::<u64>().map_err(|_| wrong(format!("{column} of the index: {row:?}")));
    let (offset, length) = (number("offset")?, number("length")?);
    let range = format!("bytes={offset}-{}", offset + length - 1);
    println!("    key      {}", row["key"]);
    println!("    checksum {}  metadata {}", row["checksum"], row["metadata"]);
    println!("    GET s3://{ARCHIVES}/{} Range: {range}", row["archive"]);
    let got = client.get_object().bucket(ARCHIVES).key(&row["archive"]).range(range).send().await;
    let got = got.map_err(|error| wrong(format!("the ranged GET: {error:?}")))?.body.collect().await;
    let got = got.map_err(|error| wrong(format!("the ranged GET: {error}")))?.into_bytes();
    let source = sources.iter().find(|source| source.key == row["key"]);
    let source = source.ok_or_else(|| wrong(format!("{} was never uploaded", row["key"])))?;
    let file = std::fs::read(&source.path).map_err(|cause| DemoError::File { path: source.path.clone(), cause })?;
    if file != got.as_ref() {
        return Err(wrong(format!("{} came back different from {}", row["key"], source.path.display())));
    }
    println!("    {} bytes, the same as {}", got.len(), source.path.display());
    Ok(())
}
