//! Runs of real objects that a real server would not give, and the commands after them.

use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Proxy};
use serde_json::Value;

use crate::world::{self, PREFIX, RUN, World, gets_source, key};

/// A world, a destination, and objects that a proxy does not let through.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) bucket: String,
    pub(super) proxy: Proxy,
}

/// A request that may succeed later.
pub(super) const FAILING: Fault = Fault::FailBefore {
    status: 500,
    code: "InternalError",
};

impl Scene {
    /// Two groups; objects of more than 600 bytes are copied, for which a failing request gives up
    /// sooner.
    pub(super) async fn start() -> Self {
        let mut world = World::of_groups(2).await;
        world.max_object_size = Some(600);
        let bucket = world.destination("retried").await;
        let proxy = Proxy::start(world.access()).unwrap();
        Self {
            world,
            bucket,
            proxy,
        }
    }

    /// Fails every GET of these objects, and of no others.
    pub(super) fn fail(&self, objects: &[usize]) {
        self.fault(objects, FAILING);
    }

    pub(super) fn fault(&self, objects: &[usize], fault: Fault) {
        let keys: Vec<String> = objects.iter().map(|n| key(*n)).collect();
        self.proxy.rule(move |seen| {
            if gets_source(seen) && keys.contains(&seen.key()) {
                fault.clone()
            } else {
                Fault::Forward
            }
        });
    }

    /// Runs without retry passes of its own.
    pub(super) async fn run(&self) -> Outcome {
        self.run_with(&["--retry-passes", "0"], 0).await
    }

    pub(super) async fn run_with(&self, args: &[&str], code: i32) -> Outcome {
        let program = self
            .world
            .program(&self.bucket)
            .access(self.proxy.access())
            .args(args);
        let done = program.run().await.unwrap();
        assert_eq!(done.code, Some(code), "{done}");
        done
    }

    /// Answers every GET of these objects with 403, and no other.
    pub(super) fn deny(&self, objects: &[usize]) {
        self.fault(
            objects,
            Fault::FailBefore {
                status: 403,
                code: "AccessDenied",
            },
        );
    }

    pub(super) async fn command(&self, command: &str, code: i32, more: &[&str]) -> Outcome {
        let program = world::s3bundler().access(self.proxy.access());
        let program = program.args([
            command,
            "--destination",
            &format!("s3://{}/{PREFIX}", self.bucket),
        ]);
        let done = program.args(more).run().await.unwrap();
        assert_eq!(done.code, Some(code), "{done}");
        done
    }

    /// Plans a pass; gives what it says.
    pub(super) async fn plan(&self, pass: &str) -> Value {
        let done = self
            .command(
                "group",
                0,
                &["--name", RUN, "--retry-pass", pass, "--output", "json"],
            )
            .await;
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// Archives the one group of a pass.
    pub(super) async fn bundle(&self, pass: &str) -> Outcome {
        let manifest = format!(
            "s3://{}/{PREFIX}/groups/{RUN}/{RUN}.retry{pass}.000000.index",
            self.bucket
        );
        self.command("bundle", 0, &["--manifest", &manifest]).await
    }

    pub(super) async fn verify(&self, code: i32, more: &[&str]) -> Value {
        let done = self
            .command(
                "verify",
                code,
                &[&["--name", RUN, "--output", "json"], more].concat(),
            )
            .await;
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// The findings, by name.
    pub(super) async fn found(&self) -> Vec<String> {
        let report = self.verify(8, &[]).await;
        let findings = report["findings"].as_array().unwrap();
        findings
            .iter()
            .map(|it| it["finding"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(super) async fn keys_with(&self, part: &str) -> Vec<String> {
        let keys = client::list_keys(&self.world.s3, &self.bucket, PREFIX)
            .await
            .unwrap();
        keys.into_iter().filter(|key| key.contains(part)).collect()
    }

    pub(super) async fn get(&self, key: &str) -> Vec<u8> {
        client::get_bytes(&self.world.s3, &self.bucket, key)
            .await
            .unwrap()
            .to_vec()
    }

    pub(super) async fn put(&self, key: &str, bytes: Vec<u8>) {
        client::put_object(&self.world.s3, &self.bucket, key, bytes)
            .await
            .unwrap();
    }

    pub(super) async fn delete(&self, key: &str) {
        self.world
            .s3
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .unwrap();
    }
}
