use super::*;

#[test]
fn a_store_wants_equal_parts_if_its_endpoint_is_r2s() {
    let options = S3Options {
        path_style: PathStyle::Auto,
        region: None,
        requests: RequestOptions::default(),
        first_byte_timeout: None,
        outage_budget: Duration::ZERO,
        requests_per_second: None,
    };
    for (endpoint, expected) in [
        (Some("https://0123.r2.cloudflarestorage.com"), true),
        (Some("http://127.0.0.1:9000"), false),
        (None, false),
    ] {
        let mut config = SdkConfig::builder();
        config.set_endpoint_url(endpoint.map(str::to_owned));
        assert_eq!(
            S3::new(config.build(), &options).wants_equal_parts(),
            expected,
            "{endpoint:?}"
        );
    }
}

#[test]
fn r2_is_known_by_its_endpoint() {
    for (url, expected) in [
        ("https://0123456789abcdef.r2.cloudflarestorage.com", true),
        (
            "https://0123456789abcdef.eu.r2.cloudflarestorage.com/",
            true,
        ),
        (
            "https://0123456789ABCDEF.R2.CloudflareStorage.com:443/bucket",
            true,
        ),
        ("https://s3.eu-central-1.amazonaws.com", false),
        ("http://127.0.0.1:9000", false),
        ("https://r2.cloudflarestorage.com.example.org", false),
        ("https://notr2.cloudflarestorage.com", false),
        ("https://example.org/.r2.cloudflarestorage.com", false),
    ] {
        assert_eq!(is_r2(url), expected, "{url}");
    }
}
