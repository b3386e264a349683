//! What the demo shows of the archives: a listing by GNU tar, and one object that an index leads
//! to.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use aws_sdk_s3::Client;

use super::source::Source;
use super::{ARCHIVES, DemoError, PREFIX, say, wrong};
use crate::client;

/// Lists an archive, and reads one object back that must be the file it was.
pub(super) async fn look_inside(client: &Client, sources: &[Source]) -> Result<(), DemoError> {
    let mut keys = client::list_keys(client, ARCHIVES, &format!("{PREFIX}/archives/")).await?;
    // By number, without the hash that spreads them: the first group is a full one.
    keys.sort_by(|a, b| a.rsplit('/').next().cmp(&b.rsplit('/').next()));
    let archive = keys
        .iter()
        .find(|key| key.ends_with(".tar"))
        .ok_or_else(|| wrong("no archive was written"))?;
    list(client, archive).await?;
    read_one_back(client, &keys, sources).await
}

/// Plain GNU tar lists an archive.
async fn list(client: &Client, archive: &str) -> Result<(), DemoError> {
    say(&format!("GNU tar lists s3://{ARCHIVES}/{archive}"));
    let bytes = client::get_bytes(client, ARCHIVES, archive).await?;
    let file = tempfile::NamedTempFile::new()
        .and_then(|file| std::fs::write(file.path(), &bytes).map(|()| file));
    let file = file.map_err(|cause| DemoError::File {
        path: std::env::temp_dir(),
        cause,
    })?;
    let listed = Command::new("tar")
        .arg("--list")
        .arg("--verbose")
        .arg("--file")
        .arg(file.path())
        .stdin(Stdio::null())
        .output();
    let listed = listed.map_err(|cause| DemoError::Program("tar", cause.to_string()))?;
    if !listed.status.success() || !listed.stderr.is_empty() {
        return Err(DemoError::Program(
            "tar",
            String::from_utf8_lossy(&listed.stderr).into_owned(),
        ));
    }
    let text = String::from_utf8_lossy(&listed.stdout);
    for line in text.lines().take(3) {
        println!("    {line}");
    }
    println!(
        "    … {} members, {} bytes",
        text.lines().count(),
        bytes.len()
    );
    Ok(())
}

/// One object, with one GET of the range that the index names, compared with the file it was.
async fn read_one_back(
    client: &Client,
    keys: &[String],
    sources: &[Source],
) -> Result<(), DemoError> {
    let index = keys
        .iter()
        .find(|key| key.ends_with(".index"))
        .ok_or_else(|| wrong("no index was written"))?;
    say(&format!(
        "One object back, from the index s3://{ARCHIVES}/{index}"
    ));
    let bytes = client::get_bytes(client, ARCHIVES, index).await?;
    let mut reader = csv::Reader::from_reader(bytes.as_ref());
    let rows = reader
        .deserialize()
        .collect::<Result<Vec<BTreeMap<String, String>>, _>>();
    let rows = rows.map_err(|error| wrong(format!("the index {index}: {error}")))?;
    let row = rows
        .iter()
        .filter(|row| row["outcome"] == "archived" && row["length"] != "0")
        .nth(rows.len() / 2);
    let row = row
        .or_else(|| rows.first())
        .ok_or_else(|| wrong("the index is empty"))?;
    let number = |column: &str| {
        row[column]
            .parse::<u64>()
            .map_err(|_| wrong(format!("{column} of the index: {row:?}")))
    };
    let (offset, length) = (number("offset")?, number("length")?);
    let range = format!("bytes={offset}-{}", offset + length - 1);
    println!("    key      {}", row["key"]);
    println!(
        "    checksum {}  metadata {}",
        row["checksum"], row["metadata"]
    );
    println!("    GET s3://{ARCHIVES}/{} Range: {range}", row["archive"]);
    let got = client
        .get_object()
        .bucket(ARCHIVES)
        .key(&row["archive"])
        .range(range)
        .send()
        .await;
    let got = got
        .map_err(|error| wrong(format!("the ranged GET: {error:?}")))?
        .body
        .collect()
        .await;
    let got = got
        .map_err(|error| wrong(format!("the ranged GET: {error}")))?
        .into_bytes();
    let source = sources.iter().find(|source| source.key == row["key"]);
    let source = source.ok_or_else(|| wrong(format!("{} was never uploaded", row["key"])))?;
    let file = std::fs::read(&source.path).map_err(|cause| DemoError::File {
        path: source.path.clone(),
        cause,
    })?;
    if file != got.as_ref() {
        return Err(wrong(format!(
            "{} came back different from {}",
            row["key"],
            source.path.display()
        )));
    }
    println!(
        "    {} bytes, the same as {}",
        got.len(),
        source.path.display()
    );
    Ok(())
}
