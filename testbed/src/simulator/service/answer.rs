//! An answer to a request, and the times in it.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::simulator::checksum::Checksum;
use crate::simulator::refusal::Refusal;
use crate::simulator::xml::Xml;

/// An answer to a request.
#[derive(Debug)]
pub(in crate::simulator) struct Answer {
    pub(in crate::simulator) status: StatusCode,
    pub(in crate::simulator) headers: HeaderMap,
    pub(in crate::simulator) body: Bytes,
    /// Length of the body that a HEAD does not send.
    pub(in crate::simulator) length: Option<u64>,
}

impl Answer {
    pub(super) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            length: None,
        }
    }

    pub(super) fn xml(document: String) -> Self {
        let mut answer = Self::empty(StatusCode::OK);
        answer.set(header::CONTENT_TYPE, "application/xml");
        answer.body = document.into();
        answer
    }

    pub(super) fn set(&mut self, name: impl TryInto<HeaderName>, value: impl AsRef<[u8]>) {
        if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::from_bytes(value.as_ref())) {
            self.headers.insert(name, value);
        }
    }

    /// Adds a checksum.
    pub(super) fn set_checksum(&mut self, checksum: &Checksum) {
        let name = checksum.algorithm.header();
        self.headers.insert(name, checksum.value.clone());
        self.set("x-amz-checksum-type", checksum.kind.name());
    }

    /// Adds the version that was read or written.
    pub(super) fn set_version(&mut self, id: Option<&str>) {
        if let Some(id) = id {
            self.set("x-amz-version-id", id);
        }
    }

    /// An error document.
    pub(in crate::simulator) fn of(refusal: &Refusal, resource: &str) -> Self {
        let mut answer = Self::empty(refusal.status);
        for (name, value) in &refusal.headers {
            answer.set(*name, value);
        }
        if refusal.status == StatusCode::NOT_MODIFIED {
            return answer;
        }
        let mut document = Xml::root("Error");
        document
            .text("Code", refusal.code)
            .text("Message", &refusal.message)
            .text("Resource", resource)
            .text("RequestId", "SIMULATED")
            .text("HostId", "simulator");
        answer.set(header::CONTENT_TYPE, "application/xml");
        answer.body = document.end("Error").into();
        answer
    }
}

pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).expect("a time between 2024 and the year 9999")
}

pub(super) fn seconds(time: SystemTime) -> i64 {
    timestamp(time).as_second()
}

/// A time in an XML document: `2026-11-27T22:00:00.000Z`.
pub(super) fn iso(time: SystemTime) -> String {
    format!("{:.3}", timestamp(time))
}

/// A time in a header.
pub(super) fn http_date(time: SystemTime) -> String {
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&timestamp(time))
        .expect("a year of four digits")
}
