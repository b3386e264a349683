use aws_smithy_types::body::SdkBody;

use super::*;

#[test]
fn an_expired_token_is_told_from_other_trouble() {
    let json = "{\"__type\":\"com.amazonaws.sqs#ExpiredToken\",\"message\":\"The security token \
        has expired\"}";
    let (query, region) = (
        ("x-amzn-query-error", "ExpiredToken;Sender"),
        ("x-amz-bucket-region", "eu-west-1"),
    );
    for (is_head, status, header, body, expected) in [
        (
            false,
            400,
            None,
            "<Error><Code>ExpiredToken</Code><Message>m</Message></Error>",
            true,
        ),
        (
            false,
            403,
            None,
            "<ErrorResponse><Error><Code>ExpiredTokenException</Code></Error></ErrorResponse>",
            true,
        ),
        (false, 400, None, json, true),
        (
            false,
            400,
            None,
            "{\"__type\": \"ExpiredTokenException\"}",
            true,
        ),
        (false, 400, Some(query), "{}", true),
        (
            false,
            403,
            None,
            "<Error><Code>AccessDenied</Code><Message>ExpiredToken</Message></Error>",
            false,
        ),
        (
            false,
            400,
            None,
            "<Error><Code>InvalidToken</Code></Error>",
            false,
        ),
        (false, 200, None, "<Code>ExpiredToken</Code>", false),
        (true, 400, None, "", true),
        (true, 400, Some(region), "", false),
        (true, 403, None, "", false),
    ] {
        let mut response = HttpResponse::new(
            u16::try_into(status).expect("a status"),
            SdkBody::from(body),
        );
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        assert_eq!(says_so(is_head, &response), expected, "{status} {body}");
    }
    assert_eq!(format!("{:?}", ExpiredToken::new("secret")), "ExpiredToken");
}
