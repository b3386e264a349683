use std::net::SocketAddr;

use super::*;
use crate::metrics::Metrics;

/// Serves the pages of an operator.
async fn serve(metrics: &Metrics) -> SocketAddr {
    let listener = http_pages::listen("127.0.0.1:0".parse().expect("an address"))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    let metrics = metrics.clone();
    tokio::spawn(http_pages::serve(listener, move |path| metrics.page(path)));
    address
}

#[tokio::test]
async fn an_operator_is_waited_for_until_it_is_ready() {
    let metrics = Metrics::default();
    let address = serve(&metrics).await.to_string();
    let refused = ready(&address, Duration::ZERO).await;
    let refused = refused.expect_err("it has not started");
    assert!(
        refused.contains("503") && refused.contains("starting"),
        "{refused}"
    );
    let (waiting, ()) = tokio::join!(ready(&address, Duration::from_mins(10)), async {
        metrics.ready();
    });
    assert_eq!(waiting, Ok(()));
}
