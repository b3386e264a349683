//! Keys that nobody should choose, which S3 allows: archived, found and extracted like any other,
//! on a server that keeps them as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_sdk_s3::Client;
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use s3bundler_contract::ExitCode;
use s3bundler_testbed::client;
use s3bundler_testbed::install;
use s3bundler_testbed::inventory::{Column, Inventory, Published, Row};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};
use s3bundler_testbed::servers::S3Mock;

use super::{INVENTORIES, VAULT, expect_error, expect_no_control_characters, run};
use crate::world::archived::Archived;

/// As a key of its own: nothing may be written there.
const OUTSIDE: &str = "/tmp/s3bundler-was-here";

/// In the inventory and not in the bucket.
const MISSING: &str = "missing\u{1b}[2J";
/// The SDK takes a key of white space for none and cannot be made to ask for it: a dead letter, not
/// the group's end.
const BLANK: &str = "\n ";

fn hostile_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        // Paths that lead elsewhere, or nowhere.
        "a//b/../c",
        "../../etc/passwd",
        "../x",
        "..",
        ".",
        "./x",
        "x/./y",
        "x/..",
        "/",
        "//",
        "/leading",
        OUTSIDE,
        // A file where a directory has to be, in both orders, and data in what looks like a
        // directory.
        "f",
        "f/g",
        "f/g/h",
        "d/e/f",
        "d/e",
        "d",
        "folder/",
        "folder/file",
        "slashes//",
        // Escapes, also those that names are made with here.
        "%2F",
        "%2f",
        "a%2Fb",
        "a/b",
        "100%",
        "%",
        "%%",
        "%25",
        "50%/off",
        "a%00null",
        "+",
        "a b",
        "a+b",
        // For shells, options, and CSV.
        "-rf",
        "--checkpoint-action=exec=sh",
        "$(id)",
        "`id`",
        "'; id #",
        "*",
        "?[a-z]",
        "~",
        "quote\"comma,",
        "\"",
        "=cmd|' /C calc'!A0",
        "back\\slash",
        "\\",
        "C:\\x",
        "con",
        " leading",
        "trailing ",
        "#",
        // For terminals.
        "line\nbreak",
        "cr\rlf\n",
        "tab\t",
        "bell\u{7}",
        "\u{1b}[31mred\u{1b}[0m",
        "\u{1b}]0;title\u{7}",
        "\u{7f}",
        "nel\u{85}",
        "\u{9b}31m",
        "\u{202e}gpj.exe",
        "ls\u{2028}",
        // Of any language.
        "日本語/ファイル",
        "ä",
        "a\u{308}",
        "한",
        "\u{1112}\u{1161}\u{11ab}",
        "🎉",
        "\u{feff}bom",
        "SAME",
        "same",
    ]
    .map(str::to_owned)
    .into();
    // As long as S3 allows: one name, one of two-byte characters, and as deep as can be.
    keys.extend([
        "k".repeat(1024),
        "é".repeat(512),
        "z/".repeat(511) + "zz",
        format!("{}.", "\n".repeat(1023)),
    ]);
    keys
}

struct HostileWorld {
    _server: S3Mock,
    /// In front of it; answers for the objects that it cannot keep.
    proxy: Proxy,
    s3: Client,
    inventory: Published,
    refused: BTreeMap<String, String>,
    objects: BTreeMap<String, String>,
}

async fn hostile_world() -> HostileWorld {
    let server = S3Mock::start().await.unwrap();
    let s3 = client::s3(server.access());
    for bucket in ["hostile", INVENTORIES, VAULT] {
        client::create_bucket(&s3, bucket).await.unwrap();
    }
    // Every body is another one, so that each tells whose it is.
    let objects: BTreeMap<_, _> = hostile_keys()
        .into_iter()
        .enumerate()
        .map(|(n, key)| (key, format!("body of object {n}")))
        .collect();
    let mut refused = BTreeMap::new();
    for (key, body) in &objects {
        // Tomcat resolves the dots of a path before S3Mock sees it, and takes no backslash.
        let is_kept = !key.split('/').any(|part| matches!(part, "." | "..")) && !key.contains('\\');
        if is_kept {
            client::put_object(&s3, "hostile", key, body.clone())
                .await
                .unwrap();
        } else {
            refused.insert(key.clone(), body.clone());
        }
    }
    let proxy = Proxy::start(server.access()).unwrap();
    proxy.rule(answer_for(refused.clone()));
    let rows = hostile_keys()
        .into_iter()
        .map(|key| Row::new(key.clone(), objects[&key].len() as u64));
    let rows = rows.chain([Row::new(MISSING, 1), Row::new(BLANK, 1)]);
    let inventory = Inventory::new("hostile", INVENTORIES)
        .columns(Column::SEED)
        .publish(&s3, rows)
        .await
        .unwrap();
    HostileWorld {
        _server: server,
        proxy,
        s3,
        inventory,
        refused,
        objects,
    }
}

/// A GET of one of these objects is answered; everything else goes to the server.
fn answer_for(
    objects: BTreeMap<String, String>,
) -> impl Fn(&Seen) -> Fault + Send + Sync + 'static {
    move |seen| match objects.get(&seen.key()) {
        Some(body) if seen.operation == Operation::GetObject && seen.bucket() == "hostile" => {
            let etag = format!("\"{}\"", HEXLOWER.encode(&Md5::digest(body)));
            Fault::Respond {
                status: 200,
                headers: vec![("etag".to_owned(), etag)],
                body: body.clone().into(),
            }
        }
        _ => Fault::Forward,
    }
}

#[tokio::test]
async fn hostile_keys_are_archived_found_by_the_index_and_extracted_by_every_tar_inside_its_directory()
 {
    let HostileWorld {
        _server,
        proxy,
        s3,
        inventory,
        objects,
        ..
    } = hostile_world().await;
    // S3Mock has another idea of the checksum of a whole upload.
    let run = run(proxy.access(), "hostile", &inventory.manifest).args([
        "--log",
        "debug",
        "--output",
        "json",
        "--no-crc64nvme",
    ]);
    let outcome = run.run().await.unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["archived"], objects.len(), "{outcome}");
    assert_eq!(
        report["failed"],
        serde_json::json!({"NoSuchKey": 1, "Invalid": 1}),
        "{outcome}"
    );
    expect_no_control_characters(&outcome.stderr);

    let archived = Archived {
        s3: s3.clone(),
        bucket: VAULT.to_owned(),
        prefix: "hostile/".to_owned(),
    };
    let mut found = BTreeMap::new();
    for row in archived.index().await {
        if row["outcome"] == "archived" {
            let bytes = archived.bytes_of(&row).await;
            found.insert(
                row["key"].clone(),
                String::from_utf8(bytes.to_vec()).unwrap(),
            );
        } else {
            let expected = if row["key"] == MISSING {
                "NoSuchKey"
            } else {
                "Invalid"
            };
            assert_eq!(row["outcome"], expected, "{row:?}");
        }
    }
    assert_eq!(found, objects);

    let tar = archived
        .keys("archives")
        .await
        .into_iter()
        .find(|key| key.ends_with(".tar"))
        .unwrap();
    let bytes = archived.get(&format!("archives/{tar}")).await;
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("archive.tar");
    std::fs::write(&tar, &bytes).unwrap();
    tokio::task::spawn_blocking(install::bsdtar)
        .await
        .unwrap()
        .unwrap();
    for (name, program, arguments) in [
        ("GNU tar", "tar", &["--extract", "--file"][..]),
        ("bsdtar", "bsdtar", &["-x", "-f"]),
        (
            "Python's tarfile",
            "python3",
            &["-W", "error", "-c", PYTHON],
        ),
    ] {
        // Deep enough for ../.. to stay where it can be seen.
        let root = folder.path().join(program);
        let target = root.join("one/two/three");
        std::fs::create_dir_all(&target).unwrap();
        let output = Command::new(program)
            .args(arguments)
            .arg(&tar)
            .current_dir(&target)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty() && output.stdout.is_empty(),
            "{name}: {said}"
        );
        let mut files = Vec::new();
        collect(&root, &mut files);
        assert!(
            files
                .iter()
                .all(|file| file.starts_with(target.join("hostile"))),
            "{name}: {files:?}"
        );
        let bodies: BTreeSet<_> = files
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        let lost: Vec<_> = objects
            .iter()
            .filter(|(_, body)| !bodies.contains(*body))
            .collect();
        assert!(
            lost.is_empty() && files.len() == objects.len(),
            "{name} lost {lost:?}"
        );
    }
    assert!(!Path::new(OUTSIDE).exists());
}

/// `filter="data"` refuses what would leave the directory; older Pythons have no filter.
const PYTHON: &str = "
import sys, tarfile
with tarfile.open(sys.argv[1]) as tar:
    tar.extractall(**({'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}))
";

#[tokio::test]
async fn an_error_that_names_a_hostile_key_does_not_run_on_the_terminal() {
    let HostileWorld {
        _server,
        proxy,
        inventory,
        refused,
        ..
    } = hostile_world().await;
    let answer = answer_for(refused);
    // The description of a copy carries the key of its source in its own.
    proxy.rule(move |seen| {
        let refused = seen.operation == Operation::PutObject && seen.path.contains("/objects/");
        if refused {
            Fault::FailBefore {
                status: 403,
                code: "AccessDenied",
            }
        } else {
            answer(seen)
        }
    });
    let run = run(proxy.access(), "errors", &inventory.manifest).args([
        "--include",
        "\u{1b}]0;title\u{7}",
        "--max-object-size",
        "1",
        "--log",
        "debug",
    ]);
    let outcome = run.run().await.unwrap();
    expect_error(
        "copy",
        &outcome,
        ExitCode::Permission,
        &["\\u{1b}]0;title\\u{7}", "AccessDenied"],
    );
    expect_no_control_characters(&outcome.stderr);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
