use super::*;

fn put(headers: &[(&str, &str)], body: &'static str) -> Result<Asked, Refusal> {
    let headers = headers.iter().map(|(name, value)| {
        (
            http::HeaderName::try_from(*name).expect("a name"),
            http::HeaderValue::try_from(*value).expect("a value"),
        )
    });
    let uri = Uri::from_static("/b/a%20%2B%C3%A4//c?partNumber=1&uploadId=x");
    Asked::of(
        Method::PUT,
        &uri,
        headers.collect(),
        Bytes::from_static(body.as_bytes()),
        None,
    )
}

#[test]
fn a_key_is_decoded_and_a_query_is_taken_apart() {
    let asked = put(&[], "x").expect("good");
    assert_eq!(
        (asked.bucket.as_str(), asked.key.as_str()),
        ("b", "a +ä//c")
    );
    assert_eq!(asked.query("partNumber"), Some("1"));
}

#[test]
fn chunks_are_joined_and_trailers_are_headers() {
    let streamed = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let asked = put(
        &[streamed],
        "5;chunk-signature=ab\r\nhello\r\n1\r\n!\r\n0\r\nx-amz-checksum-crc32:nRFFKg==\r\n\r\n",
    );
    assert_eq!(asked.map(|_| ()), Err(Refusal::BAD_DIGEST));
    let asked = put(&[streamed], "5\r\nhello\r\n1\r\n!\r\n0\r\nx-more:1\r\n\r\n").expect("good");
    assert_eq!(
        (&asked.body[..], asked.header("x-more")),
        (&b"hello!"[..], Some("1"))
    );
    for half in ["5\r\nhell", "x\r\n", ""] {
        assert_eq!(
            put(&[streamed], half).map(|_| ()),
            Err(Refusal::INVALID_REQUEST)
        );
    }
}

#[test]
fn checksums_have_to_hold() {
    for (header, good) in [
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ("x-amz-checksum-crc32", "NhCmhg=="),
    ] {
        assert_eq!(
            put(&[(header, good)], "hello").map(|_| ()),
            Ok(()),
            "{header}"
        );
        assert_eq!(
            put(&[(header, good)], "hallo").map(|_| ()),
            Err(Refusal::BAD_DIGEST)
        );
    }
}

#[test]
fn ranges_are_those_of_s3() {
    assert_eq!(range("bytes=0-0", 10), Ok(Some((0, 1))));
    assert_eq!(range("bytes=3-100", 10), Ok(Some((3, 10))));
    assert_eq!(range("bytes=3-", 10), Ok(Some((3, 10))));
    assert_eq!(range("bytes=-3", 10), Ok(Some((7, 10))));
    assert_eq!(range("bytes=10-11", 10), Err(Refusal::INVALID_RANGE));
    assert_eq!(range("bytes=0-0", 0), Err(Refusal::INVALID_RANGE));
    assert_eq!(range("bytes=5-3", 10), Ok(None));
    assert_eq!(range("lines=1-2", 10), Ok(None));
}

#[test]
fn buckets_are_subdomains_of_the_hosts() {
    let hosts = ["s3.localhost", "s3.example"].map(str::to_owned);
    for (header, wanted) in [
        ("photos.s3.localhost", Some("photos")),
        ("photos.s3.localhost:9000", Some("photos")),
        ("my.photos.S3.Example", Some("my.photos")),
        ("s3.localhost:9000", None),
        (".s3.localhost", None),
        ("photoss3.localhost", None),
        ("127.0.0.1:9000", None),
        ("[::1]:9000", None),
        ("ä", None),
    ] {
        assert_eq!(bucket_of_host(header, &hosts), wanted, "{header}");
    }
}

#[test]
fn the_whole_path_is_the_key_if_the_host_names_the_bucket() {
    let uri = Uri::from_static("/a//b?tagging");
    let (headers, body) = (HeaderMap::new(), Bytes::new());
    let asked = Asked::of(Method::GET, &uri, headers, body, Some("photos")).expect("good");
    assert_eq!(
        (asked.bucket.as_str(), asked.key.as_str()),
        ("photos", "a//b")
    );
    assert!(asked.is("tagging"));
}
