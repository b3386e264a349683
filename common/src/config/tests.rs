use super::*;

#[test]
fn a_queue_is_asked_at_its_own_host_unless_an_endpoint_is_configured() {
    let config = |endpoint: Option<&str>| {
        let mut config = SdkConfig::builder();
        config.set_endpoint_url(endpoint.map(str::to_owned));
        config.build()
    };
    let (found_by_region, configured) = (config(None), config(Some("http://moto:5000")));
    for (text, expected) in [
        ("https://sqs.eu-west-1.amazonaws.com/1/q", None),
        ("https://sqs-fips.us-east-2.amazonaws.com/1/q", None),
        ("https://queue.amazonaws.com/1/q", None),
        (
            "https://vpce-0a-b.sqs.eu-west-1.vpce.amazonaws.com/1/q",
            Some("https://vpce-0a-b.sqs.eu-west-1.vpce.amazonaws.com"),
        ),
        (
            "http://localhost:9324/000000000000/q",
            Some("http://localhost:9324"),
        ),
        (
            "http://amazonaws.com.example/1/q",
            Some("http://amazonaws.com.example"),
        ),
    ] {
        let url = QueueUrl::parse(text).expect(text);
        let endpoint = endpoint_of_queue(&found_by_region, &url);
        assert_eq!(endpoint.as_deref(), expected, "{text}");
        assert_eq!(endpoint_of_queue(&configured, &url), None, "{text}");
    }
}
