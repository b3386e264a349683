use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;

#[derive(Debug)]
struct Shown(Traffic);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.encode(&mut encoder)
    }
}

#[test]
fn requests_count_by_side_and_outcome() {
    let traffic = Traffic::default();
    traffic.answered(false, Outcome::Ok);
    traffic.answered(false, Outcome::Throttled);
    traffic.answered(true, Outcome::Ok);
    traffic.got(Duration::from_millis(30));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(traffic)));
    let mut page = String::new();
    encode(&mut page, &registry).expect("a page");
    for line in [
        r#"worker_requests_total{side="source",outcome="ok"} 1"#,
        r#"worker_requests_total{side="source",outcome="throttled"} 1"#,
        r#"worker_requests_total{side="destination",outcome="ok"} 1"#,
        r#"worker_get_duration_seconds_bucket{le="0.025"} 0"#,
        r#"worker_get_duration_seconds_bucket{le="0.05"} 1"#,
        "worker_get_duration_seconds_count 1",
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
}
