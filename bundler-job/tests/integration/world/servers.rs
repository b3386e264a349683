//! Servers that the tests of this process share. They end with the process. Each test has buckets
//! and queues of its own there, all of them from [`create_bucket`] and [`create_queue`]: two tests
//! that chose the same name would disturb each other only now and then.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use s3bundler_testbed::client;
use s3bundler_testbed::servers::{Access, ElasticMq, Moto, VersityGw};
use tokio::sync::OnceCell;

/// A new bucket on a shared server.
pub async fn create_bucket(access: &Access, name: &str) {
    take(access, "bucket", name);
    client::create_bucket(&client::s3(access), name)
        .await
        .unwrap();
}

/// A new queue on a shared server, by its URL.
pub async fn create_queue(access: &Access, name: &str) -> String {
    take(access, "queue", name);
    client::create_queue(&client::sqs(access), name)
        .await
        .unwrap()
}

/// Panics if a test has this name already, so that a collision fails every time.
pub fn take(access: &Access, kind: &str, name: &str) {
    static TAKEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let named = format!("{kind} {name:?} at {}", access.endpoint);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(
        taken.insert(named.clone()),
        "another test has the {named}: choose another name"
    );
}

pub async fn moto() -> &'static Access {
    static SERVER: OnceCell<Moto> = OnceCell::const_new();
    SERVER
        .get_or_init(async || Moto::start().await.unwrap())
        .await
        .access()
}

pub async fn elasticmq() -> &'static Access {
    static SERVER: OnceCell<ElasticMq> = OnceCell::const_new();
    SERVER
        .get_or_init(async || ElasticMq::start().await.unwrap())
        .await
        .access()
}

pub async fn versitygw() -> &'static Access {
    static SERVER: OnceCell<VersityGw> = OnceCell::const_new();
    SERVER
        .get_or_init(async || VersityGw::start().await.unwrap())
        .await
        .access()
}
