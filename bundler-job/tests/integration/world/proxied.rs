//! A world whose program runs behind the proxy, so that a test can let requests fail.

use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::proxy::{Fault, Proxy, Seen};

use super::{World, assert_whole, gets_source};

/// A world, a destination bucket, and the proxy between the program and the server.
pub struct Proxied {
    pub world: World,
    pub bucket: String,
    pub proxy: Proxy,
}

impl Proxied {
    pub async fn of_groups(groups: usize) -> Self {
        Self::of(World::of_groups(groups).await).await
    }

    pub async fn of(world: World) -> Self {
        let bucket = world.destination("archive").await;
        let proxy = Proxy::start(world.access()).unwrap();
        Self {
            world,
            bucket,
            proxy,
        }
    }

    /// `s3bundler run` behind the proxy.
    pub fn program(&self) -> Program {
        self.world.program(&self.bucket).access(self.proxy.access())
    }

    /// Runs behind the proxy, however it ends.
    pub async fn run(&self) -> Outcome {
        self.program().run().await.unwrap()
    }

    /// Runs behind the proxy and expects this exit code.
    pub async fn run_ends_with(&self, code: i32) -> Outcome {
        let done = self.run().await;
        assert_eq!(done.code, Some(code), "{done}");
        done
    }

    /// Runs behind the proxy and expects everything to be archived.
    pub async fn run_whole(&self) -> Outcome {
        let done = self.run_ends_with(0).await;
        assert_whole(&self.world, &self.bucket).await;
        done
    }

    /// What happens to GETs of source objects.
    pub fn fault_sources(&self, fault: impl Fn(&Seen) -> Fault + Send + Sync + 'static) {
        self.proxy.rule(move |seen| {
            if gets_source(seen) {
                fault(seen)
            } else {
                Fault::Forward
            }
        });
    }
}
