//! Whether an answer is the service's own. Proxies, load balancers and gateways answer too, with
//! pages or with nothing.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::asked::Asked;
use super::{Origin, Service};

/// The root of S3's error documents, and where it begins at the latest.
const ERROR: &[u8] = b"<Error";
const DECLARATION: usize = 256;

/// Tells an answer of the service from that of something in between.
pub(super) fn origin(service: Service, is_head: bool, response: &HttpResponse) -> Origin {
    let header = |name: &str| response.headers().get(name);
    let body = response.body().bytes().unwrap_or_default();
    let is_own = match service {
        _ if response
            .extension::<Asked>()
            .is_some_and(|asked| asked.lacks_object) =>
        {
            false
        }
        Service::S3 if is_head => is_head_of_s3(response),
        // Servers other than Amazon's may answer a denial with the document of the query protocol.
        Service::S3 => {
            is_document(body, &["Error", "ErrorResponse", "Response"]) || names_region(response)
        }
        // The JSON protocol puts the code into the body, or into headers for clients of the query
        // protocol. Servers other than Amazon's answer a denial with the document of the query
        // protocol whatever the client speaks.
        Service::Sqs => {
            is_typed(body)
                || is_document(body, &["ErrorResponse", "Response"])
                || header("x-amzn-query-error").is_some()
                || header("x-amzn-errortype").is_some()
        }
    };
    match (is_own, header("x-amz-delete-marker")) {
        (false, _) => Origin::Foreign,
        (true, Some("true")) => Origin::DeleteMarker,
        (true, _) => Origin::Service,
    }
}

/// Whether an answer of success lacks what every answer of S3 to this operation has: the ETag of
/// the object that was read or of the part that was written ("GetObject", "UploadPart", S3 API
/// reference). Stores that know no ETags say at least when the object was modified. A captive
/// portal answers every request with success and a page.
pub(super) fn lacks_object(operation: &str, response: &HttpResponse) -> bool {
    let has = |name: &str| response.headers().get(name).is_some();
    response.status().is_success()
        && match operation {
            "GetObject" | "HeadObject" => !has("etag") && !has("last-modified"),
            // S3 answers a PUT without a body. One without an ETag either is decided by a HEAD
            // (`s3/put.rs`).
            "PutObject" => {
                !has("etag")
                    && response
                        .headers()
                        .get("content-length")
                        .is_some_and(|length| length != "0")
            }
            "UploadPart" => !has("etag"),
            _ => false,
        }
}

/// An answer to HEAD has no body. A page of a proxy has the type of a page, and no id that S3 gives
/// to a request. The program sends no condition to which 304 is the answer.
fn is_head_of_s3(response: &HttpResponse) -> bool {
    let headers = response.headers();
    let is_page = headers
        .get("content-type")
        .is_some_and(|kind| !kind.contains("xml") && !kind.contains("octet-stream"));
    let has_id = ["x-amz-request-id", "x-amzn-requestid", "x-amz-id-2"]
        .iter()
        .any(|name| headers.get(name).is_some());
    let is_redirect = (300..400).contains(&response.status().as_u16());
    (!is_page || has_id) && (!is_redirect || names_region(response))
}

/// S3 names the region in redirects ("HeadBucket", S3 API reference); no other server does.
fn names_region(response: &HttpResponse) -> bool {
    matches!(response.status().as_u16(), 301 | 307)
        && response.headers().get("x-amz-bucket-region").is_some()
}

/// Whether a body is a whole document with a code under one of these roots ("Error responses", S3
/// API reference).
fn is_document(body: &[u8], roots: &[&str]) -> bool {
    code_of_document(body, roots).is_some()
}

/// The code of S3's error document, whatever the HTTP status; `None` if the answer is not one. The
/// body has to be there.
pub(super) fn code_of_error(response: &HttpResponse) -> Option<&str> {
    let body = response.body().bytes()?;
    // Listings are long, and are no errors.
    let start = &body[..body.len().min(DECLARATION)];
    if start.windows(ERROR.len()).any(|it| it == ERROR) {
        code_of_document(body, &["Error"])
    } else {
        None
    }
}

/// The code of such a document.
pub(super) fn code_of_document<'a>(body: &'a [u8], roots: &[&str]) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    let (code, _) = text.split_once("<Code>")?.1.split_once("</Code>")?;
    let code = code.trim();
    let is_one =
        !code.is_empty() && root_of_whole(text).is_some_and(|root| roots.contains(&root.as_str()));
    is_one.then_some(code)
}

/// Whether a body is an XML document without its end, or with an element that ends under another
/// name. The SDK parses such a document as if it were a shorter one: it skips elements whose names
/// it does not know.
pub(super) fn is_damaged(body: &[u8]) -> bool {
    let begins = body
        .strip_prefix(BOM.as_bytes())
        .unwrap_or(body)
        .trim_ascii_start()
        .starts_with(b"<");
    begins
        && std::str::from_utf8(body)
            .ok()
            .and_then(root_of_whole)
            .is_none()
}

const BOM: &str = "\u{feff}";

/// The name of a document's root element, if every element ends under its own name and nothing is
/// beside the root.
fn root_of_whole(document: &str) -> Option<String> {
    let mut reader = Reader::from_str(document.trim_start_matches(BOM));
    let (mut root, mut depth) = (None, 0_usize);
    loop {
        let event = reader.read_event().ok()?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) if depth == 0 => {
                let name = tag.name().as_ref().to_owned();
                if root.replace(name).is_some() {
                    return None;
                }
            }
            Event::Text(text) if depth == 0 && !text.trim().is_empty() => return None,
            Event::CData(_) | Event::GeneralRef(_) if depth == 0 => return None,
            Event::Eof => return root.filter(|root| depth == 0 && !root.is_empty()),
            _ => {}
        }
        match event {
            Event::Start(_) => depth += 1,
            // The reader compares the names, and refuses an end without a start.
            Event::End(_) => depth -= 1,
            _ => {}
        }
    }
}

/// Whether a body is a JSON object with a `__type` ("Common errors", SQS API reference). It is
/// parsed by the SDK; here it only has to be told from a page.
fn is_typed(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    text.starts_with('{') && text.ends_with('}') && text.contains("\"__type\"")
}

#[cfg(test)]
mod tests;
