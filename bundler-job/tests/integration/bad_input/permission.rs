//! Credentials that are no good, or may not do what a run has to do.

use s3bundler_contract::ExitCode;
use s3bundler_testbed::servers::Access;
use serde_json::{Value, json};

use super::{INVENTORIES, VAULT, World, expect_consistent, expect_error, expect_nothing, run};

/// Everything a run does, but for what is denied.
fn policy(denied_actions: &[&str], denied_resource: &str) -> String {
    let statement = |effect: &str, actions: Value, resource: String| json!({"Effect": effect, "Action": actions, "Resource": resource});
    json!({"Version": "2012-10-17", "Statement": [
        statement("Allow", json!("s3:*"), "*".to_owned()),
        statement("Deny", json!(denied_actions), format!("arn:aws:s3:::{denied_resource}")),
    ]})
    .to_string()
}

#[tokio::test]
async fn what_is_denied_is_named_and_nothing_is_committed() {
    let world = World::start().await;
    let archives = format!("{VAULT}/*");
    let cases: &[(&str, &[&str], &str, &[&str])] = &[
        (
            "inventory-denied",
            &["s3:GetObject"],
            "inventories/*",
            &[
                "GetObject of {manifest} failed",
                "AccessDenied",
                "allow s3:GetObject on the inventory",
            ],
        ),
        (
            "data-denied",
            &["s3:GetObject"],
            "inventories/inventory/photos/data-denied/data/*",
            &["{file}", "access denied"],
        ),
        (
            "source-denied",
            &["s3:GetObject"],
            "photos/*",
            &[
                "every object of s3://photos in this group was denied",
                "allow s3:GetObject",
            ],
        ),
        (
            "destination-denied",
            &["s3:PutObject"],
            &archives,
            &[
                "the destination cannot be written",
                "PutObject of s3://vault/destination-denied/",
                "AccessDenied",
            ],
        ),
        (
            "catalog-denied",
            &["s3:PutObject"],
            "vault/catalog-denied/catalog/*",
            &[
                "PutObject of s3://vault/catalog-denied/catalog/",
                "AccessDenied",
            ],
        ),
    ];
    let mut users = Vec::new();
    let mut inventories = Vec::new();
    for (case, actions, resource, _) in cases {
        users.push(
            world
                .moto
                .user_with_policy(case, &policy(actions, resource))
                .await
                .unwrap(),
        );
        inventories.push(world.inventory(case).await);
    }
    let other = world
        .moto
        .user_with_policy("other", &policy(&["s3:GetObject"], "nothing"))
        .await
        .unwrap();
    for (((case, _, _, words), user), inventory) in cases.iter().zip(users).zip(&inventories) {
        world.moto.enforce_iam().await.unwrap();
        let outcome = run(&user, case, &inventory.manifest).run().await.unwrap();
        world.moto.relax_iam().await.unwrap();
        let file = format!("s3://{INVENTORIES}/{}", inventory.files[0].key);
        let words: Vec<_> = words
            .iter()
            .map(|it| {
                it.replace("{manifest}", &inventory.manifest)
                    .replace("{file}", &file)
            })
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        expect_error(case, &outcome, ExitCode::Permission, &words);
        if *case != "catalog-denied" {
            // There an archive is left that nothing names: a commit whose answer is an error may
            // still land, so it is removed by whoever commits the group.
            expect_nothing(&world.archived(case)).await;
        }

        world.moto.enforce_iam().await.unwrap();
        let outcome = run(&other, case, &inventory.manifest).run().await.unwrap();
        world.moto.relax_iam().await.unwrap();
        assert_eq!(outcome.code, Some(0), "{case}: {outcome}");
        world.expect_whole(case).await;
    }
}

#[tokio::test]
async fn a_receipt_that_was_denied_is_written_by_the_next_run_and_the_archive_stays() {
    let world = World::start().await;
    let case = "receipt-denied";
    let inventory = world.inventory(case).await;
    let user = world
        .moto
        .user_with_policy(
            case,
            &policy(&["s3:PutObject"], "vault/receipt-denied/receipts/*"),
        )
        .await
        .unwrap();
    world.moto.enforce_iam().await.unwrap();
    let outcome = run(&user, case, &inventory.manifest).run().await.unwrap();
    world.moto.relax_iam().await.unwrap();
    expect_error(
        case,
        &outcome,
        ExitCode::Permission,
        &["receipts/", "AccessDenied"],
    );
    let archived = world.archived(case);
    let archives = archived.keys("archives").await;
    assert_eq!(archives.len(), 2, "{archives:?}");

    let outcome = world.run(case, &inventory.manifest).run().await.unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(archived.keys("archives").await, archives);
    world.expect_whole(case).await;
}

#[tokio::test]
async fn credentials_that_are_no_good_or_not_there_are_the_error() {
    let world = World::start().await;
    let case = "credentials";
    let inventory = world.inventory(case).await;
    let good = world
        .moto
        .user_with_policy(case, &policy(&["s3:GetObject"], "nothing"))
        .await
        .unwrap();
    world.moto.enforce_iam().await.unwrap();
    let stranger = Access {
        access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        ..good.clone()
    };
    let mistyped = Access {
        secret_key: "wrong".to_owned(),
        ..good.clone()
    };
    let write = "the destination cannot be written: PutObject of s3://vault/credentials/";
    for (name, program, words) in [
        (
            "a key of nobody",
            run(&stranger, case, &inventory.manifest),
            [write, "InvalidAccessKeyId"],
        ),
        (
            "a wrong secret",
            run(&mistyped, case, &inventory.manifest),
            [write, "SignatureDoesNotMatch"],
        ),
        (
            "no credentials",
            run(&good, case, &inventory.manifest)
                .env_remove("AWS_ACCESS_KEY_ID")
                .env_remove("AWS_SECRET_ACCESS_KEY"),
            [write, "no credentials found"],
        ),
    ] {
        let outcome = program.run().await.unwrap();
        let line = expect_error(name, &outcome, ExitCode::Permission, &words);
        assert!(
            !line.contains(&good.secret_key) && !outcome.stderr.contains("wrong"),
            "{outcome}"
        );
    }
    world.moto.relax_iam().await.unwrap();
    expect_consistent(&world.archived(case)).await;
}
