//! Conditions of reads and writes.

use jiff::fmt::rfc2822::DateTimeParser;

use super::OfObject;
use super::answer::seconds;
use crate::simulator::object::Object;
use crate::simulator::refusal::Refusal;
use crate::simulator::store::etag;

impl OfObject<'_> {
    /// Conditions of a read; `of` is what the headers of a copy's source begin with.
    pub(super) fn check_read(&self, object: &Object, of: &str) -> Result<(), Refusal> {
        let etag = etag(object.body.sums());
        let names = |list: &str| {
            list.split(',')
                .map(|it| it.trim().trim_matches('"'))
                .any(|it| it == "*" || it == etag.trim_matches('"'))
        };
        let header = |name: &str| self.asked.header(&format!("{of}{name}"));
        if header("if-match").is_some_and(|list| !names(list)) {
            return Err(Refusal::PRECONDITION_FAILED);
        }
        if header("if-none-match").is_some_and(names) {
            return Err(if of.is_empty() {
                Refusal::NOT_MODIFIED
            } else {
                Refusal::PRECONDITION_FAILED
            });
        }
        let since = |name| {
            let date = header(name)?;
            let parsed = DateTimeParser::new().parse_timestamp(date).ok()?;
            Some(seconds(object.modified) > parsed.as_second())
        };
        if since("if-unmodified-since") == Some(true) && header("if-match").is_none() {
            return Err(Refusal::PRECONDITION_FAILED);
        }
        if since("if-modified-since") == Some(false) && header("if-none-match").is_none() {
            return Err(Refusal::NOT_MODIFIED);
        }
        Ok(())
    }

    /// Checks the conditions of a write against the object that it replaces.
    pub(super) fn check_write(&self, there: Option<&Object>) -> Result<(), Refusal> {
        if self.asked.header("if-none-match") == Some("*") && there.is_some() {
            return Err(Refusal::PRECONDITION_FAILED);
        }
        match (self.asked.header("if-match"), there) {
            (Some(_), None) => Err(Refusal::NO_SUCH_KEY),
            (Some(wanted), Some(there))
                if wanted.trim_matches('"') != etag(there.body.sums()).trim_matches('"') =>
            {
                Err(Refusal::PRECONDITION_FAILED)
            }
            _ => Ok(()),
        }
    }
}
