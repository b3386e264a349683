use aws_smithy_types::body::SdkBody;

use super::*;

#[test]
fn a_signed_request_names_its_region() {
    let of = |authorization: &'static str| {
        let mut headers = Headers::new();
        headers.insert("authorization", authorization);
        signed_for(&headers)
    };
    let scope = "AWS4-HMAC-SHA256 Credential=AKIA/20261122/eu-west-1/s3/aws4_request, \
        SignedHeaders=host, Signature=0";
    assert_eq!(of(scope).as_deref(), Some("eu-west-1"));
    assert_eq!(
        of("AWS4-HMAC-SHA256 Credential=a/b/20261122/us-east-1/s3/aws4_request").as_deref(),
        Some("us-east-1")
    );
    assert_eq!(of("Bearer abc"), None);
    assert_eq!(of("Credential=a"), None);
    assert_eq!(signed_for(&Headers::new()), None);
}

#[test]
fn an_answer_names_the_region_of_its_bucket() {
    let document =
        "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
    for (header, body, signed_for, sentence) in [
        (
            Some("eu-west-1"),
            "",
            Some("us-east-1"),
            Some("the request was signed for us-east-1, and the bucket is in eu-west-1"),
        ),
        (
            None,
            document,
            Some("us-east-1"),
            Some("the request was signed for us-east-1, and the bucket is in eu-west-1"),
        ),
        (
            Some("eu-north-1"),
            document,
            None,
            Some("the bucket is in eu-north-1"),
        ),
        (
            None,
            "<Error/>",
            Some("us-east-1"),
            Some("the request was signed for us-east-1, and the bucket is in another region"),
        ),
        (Some("a b; rm"), "", None, None),
        (None, "<Region>", None, None),
    ] {
        let mut answer = HttpResponse::new(400.try_into().expect("a status"), SdkBody::from(body));
        if let Some(header) = header {
            answer.headers_mut().insert("x-amz-bucket-region", header);
        }
        answer.add_extension(Asked {
            is_head: false,
            region: signed_for.map(str::to_owned),
            token: None,
            lacks_object: false,
        });
        assert_eq!(
            Regions::of_answer(&answer).sentence().as_deref(),
            sentence,
            "{header:?} {body}"
        );
    }
}
