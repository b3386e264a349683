//! What the demo archives: files of this machine as objects, and an inventory of them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{ARCHIVES, DemoError, INVENTORIES, SOURCE, say, wrong};
use crate::client;
use crate::inventory::{Inventory, inventory_of_bucket};

/// Small files to upload: thousands, and still a matter of seconds.
const FILES: usize = 3000;
/// Files over this size are worth one of the few places for large ones.
const LARGE: u64 = 2 << 20;
const LARGE_FILES: usize = 3;
const UPLOADS_AT_A_TIME: usize = 8;

/// A file and the key it is uploaded under.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) key: String,
}

/// A folder of thousands of real files that is on most machines that can build this project.
pub fn real_files() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = cargo
        .map(|cargo| cargo.join("registry").join("src"))
        .filter(|sources| sources.is_dir());
    sources.or_else(|| {
        let asked = Command::new("python3")
            .args(["-c", "import os; print(os.path.dirname(os.__file__))"])
            .output();
        let folder = PathBuf::from(String::from_utf8(asked.ok()?.stdout).ok()?.trim());
        folder.is_dir().then_some(folder)
    })
}

/// Makes the demo's buckets, fills one with files of this folder, and writes an inventory of it.
/// Gives the files and the URL of the inventory's manifest.
pub(super) async fn lay_out(
    client: &Client,
    files: &Path,
) -> Result<(Vec<Source>, String), DemoError> {
    for bucket in [SOURCE, INVENTORIES, ARCHIVES] {
        client::create_bucket(client, bucket).await?;
    }
    let sources = choose(files)?;
    say(&format!(
        "Uploading {} files from {}",
        sources.len(),
        files.display()
    ));
    upload(client, &sources).await?;
    say("Writing an S3 Inventory of them");
    let inventory = inventory_of_bucket(client, &Inventory::new(SOURCE, INVENTORIES)).await?;
    println!("    {} rows, {}", inventory.rows, inventory.manifest);
    Ok((sources, inventory.manifest))
}

/// Thousands of small files and a few large ones, in a stable order.
fn choose(root: &Path) -> Result<Vec<Source>, DemoError> {
    let (mut small, mut large) = (Vec::new(), Vec::new());
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let fail = |cause| DemoError::File {
            path: folder.clone(),
            cause,
        };
        let mut entries: Vec<_> = std::fs::read_dir(&folder)
            .and_then(Iterator::collect)
            .map_err(fail)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().map_err(fail)?;
            let Some(key) = entry
                .path()
                .strip_prefix(root)
                .ok()
                .and_then(Path::to_str)
                .map(|key| format!("src/{key}"))
            else {
                continue;
            };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let size = entry.metadata().map_err(fail)?.len();
                let source = Source {
                    path: entry.path(),
                    key,
                };
                if size > LARGE {
                    large.push(source);
                } else {
                    small.push(source);
                }
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
            let fail = |cause: io::Error| DemoError::File {
                path: source.path.clone(),
                cause,
            };
            let body = tokio::fs::read(&source.path).await.map_err(fail)?;
            let mut put = client
                .put_object()
                .bucket(SOURCE)
                .key(&source.key)
                .body(ByteStream::from(body));
            if n % 3 == 0 {
                put = put
                    .metadata("origin", "demo")
                    .metadata("number", n.to_string());
            }
            if n % 50 == 0 {
                put = put.tagging("kind=source&team=demo");
            }
            let put = put.send().await;
            put.map(|_| ())
                .map_err(|error| wrong(format!("uploading {}: {error:?}", source.key)))
        })
        .buffer_unordered(UPLOADS_AT_A_TIME)
        .try_collect()
        .await
}
