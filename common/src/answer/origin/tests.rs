use aws_smithy_types::body::SdkBody;

use super::*;

fn answer(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body));
    for (name, value) in headers {
        response.headers_mut().insert(*name, *value);
    }
    response
}

#[test]
fn an_answer_of_s3_is_told_from_that_of_a_proxy() {
    let html = "<html><body>404 Not Found</body></html>";
    for (body, own) in [
        ("<Error><Code>NoSuchKey</Code></Error>", true),
        (
            "\u{feff}<?xml version=\"1.0\"?>\n<!-- a --><Error xmlns=\"x\"><Code>A</Code></Error>\n",
            true,
        ),
        ("<Error><Code>NoSuchKey</Code><Mess", false),
        ("<Error><Message>nothing</Message></Error>", false),
        ("<Error><Code></Code><Message/></Error>", false),
        ("<Error><Code> </Code></Error>", false),
        (
            "<e:Error xmlns:e=\"x\"><e:Code>NoSuchKey</e:Code></e:Error>",
            false,
        ),
        ("<ErrorPage><Code>1</Code></ErrorPage>", false),
        ("<?xml version=\"1.0\"", false),
        (html, false),
        ("Forbidden", false),
        ("{\"message\":\"Forbidden\"}", false),
        ("", false),
    ] {
        let origin = origin(Service::S3, false, &answer(404, &[], body));
        assert_eq!(origin == Origin::Service, own, "{body:?}");
    }
    let latin1 = HttpResponse::new(
        403.try_into().expect("a status"),
        SdkBody::from(&b"<Error>\xe4</Error>"[..]),
    );
    assert_eq!(origin(Service::S3, false, &latin1), Origin::Foreign);
}

#[test]
fn a_document_is_damaged_if_it_is_cut_off_or_a_bit_of_a_name_flipped() {
    let listing = "<?xml version=\"1.0\"?>\n<ListBucketResult \
        xmlns=\"x\"><Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents></ListBucketResult>";
    assert!(!is_damaged(listing.as_bytes()));
    assert!(!is_damaged(format!("\u{feff}{listing}\n").as_bytes()));
    for end in 1..listing.len() {
        assert!(
            is_damaged(&listing.as_bytes()[..end]),
            "{}",
            &listing[..end]
        );
    }
    for (at, _) in listing
        .match_indices("Contents>")
        .chain(listing.match_indices("Key>"))
    {
        let mut flipped = listing.as_bytes().to_vec();
        flipped[at] ^= 4;
        assert!(
            is_damaged(&flipped),
            "{}",
            String::from_utf8_lossy(&flipped)
        );
    }
    for (body, damaged) in [
        ("<a:R><a:B>1</a:B></a:R >", false),
        ("<Tagging/>", false),
        ("<Tagging xmlns='x' />", false),
        ("<R><Empty/>", true),
        ("<R><R2></R2>", true),
        ("<R/><R/>", true),
        ("<R></R>text", true),
        ("text<R></R>", false),
        ("<!-- < --><R><![CDATA[<a>]]><?p >?></R>", false),
        ("{\"a\": 1}", false),
        ("", false),
    ] {
        assert_eq!(is_damaged(body.as_bytes()), damaged, "{body}");
    }
}

#[test]
fn an_answer_to_head_has_no_body_but_no_type_of_a_page_either() {
    let (page, id) = (
        ("content-type", "text/html; charset=utf-8"),
        ("x-amz-request-id", "A1"),
    );
    let region = ("x-amz-bucket-region", "eu-west-1");
    for (status, headers, expected) in [
        (404, vec![], Origin::Service),
        (404, vec![page], Origin::Foreign),
        (
            404,
            vec![("content-type", "application/json")],
            Origin::Foreign,
        ),
        (403, vec![("content-type", "text/plain")], Origin::Foreign),
        (
            404,
            vec![("content-type", "application/xml")],
            Origin::Service,
        ),
        (304, vec![], Origin::Foreign),
        (404, vec![page, id], Origin::Service),
        (301, vec![], Origin::Foreign),
        (301, vec![region], Origin::Service),
        (
            405,
            vec![("x-amz-delete-marker", "true")],
            Origin::DeleteMarker,
        ),
    ] {
        assert_eq!(
            origin(Service::S3, true, &answer(status, &headers, "")),
            expected,
            "{status} {headers:?}"
        );
    }
    assert_eq!(
        origin(Service::S3, false, &answer(301, &[region], "")),
        Origin::Service
    );
    assert_eq!(
        origin(Service::S3, false, &answer(404, &[region], "")),
        Origin::Foreign
    );
}

#[test]
fn an_answer_of_success_tells_of_an_object() {
    let (etag, modified) = (
        ("etag", "\"e\""),
        ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
    );
    let page = ("content-type", "text/html");
    for (operation, status, headers, lacks) in [
        ("GetObject", 200, vec![page], true),
        ("GetObject", 204, vec![], true),
        ("GetObject", 206, vec![etag], false),
        ("GetObject", 200, vec![modified, page], false),
        ("GetObject", 404, vec![page], false),
        ("HeadObject", 200, vec![page], true),
        ("HeadObject", 200, vec![etag], false),
        ("PutObject", 200, vec![], false),
        ("PutObject", 200, vec![("content-length", "7")], true),
        ("PutObject", 200, vec![("content-length", "0")], false),
        ("PutObject", 200, vec![("content-length", "7"), etag], false),
        ("UploadPart", 200, vec![], true),
        ("DeleteObject", 204, vec![], false),
        ("ReceiveMessage", 200, vec![], false),
    ] {
        assert_eq!(
            lacks_object(operation, &answer(status, &headers, "")),
            lacks,
            "{operation} {status} {headers:?}"
        );
    }
    let mut portal = answer(200, &[page], "");
    portal.add_extension(Asked {
        is_head: false,
        region: None,
        token: None,
        lacks_object: true,
    });
    assert_eq!(origin(Service::S3, false, &portal), Origin::Foreign);
}

#[test]
fn an_answer_of_sqs_has_a_type() {
    for (headers, body, own) in [
        (
            vec![],
            "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"no\"}",
            true,
        ),
        (
            vec![(
                "x-amzn-query-error",
                "AWS.SimpleQueueService.NonExistentQueue;Sender",
            )],
            "{}",
            true,
        ),
        (
            vec![],
            "<ErrorResponse><Errors><Error><Code>AccessDenied</Code></Error></Errors></ErrorResponse>",
            true,
        ),
        (
            vec![],
            "<ErrorResponse><Errors><Error><Code>AccessDenied</Code>",
            false,
        ),
        (vec![], "{\"message\":\"Forbidden\"}", false),
        (vec![], "<html>403</html>", false),
        (vec![], "", false),
    ] {
        let origin = origin(Service::Sqs, false, &answer(400, &headers, body));
        assert_eq!(origin == Origin::Service, own, "{body}");
    }
}
