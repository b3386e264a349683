//! Servers that the tests of this process share, each with buckets and queues of its own. They end
//! with the process.

use s3bundler_testbed::servers::{Access, ElasticMq, Moto, VersityGw};
use tokio::sync::OnceCell;

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
