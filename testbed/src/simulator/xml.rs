//! The little XML that S3 speaks.

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::Event;

use super::refusal::Refusal;

/// A document that is written from its beginning to its end.
#[derive(Debug)]
pub(super) struct Xml(String);

impl Xml {
    /// A document with this root, which [`Xml::end`] closes.
    pub(super) fn root(name: &str) -> Self {
        Self(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        ))
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        let _ = write!(self.0, "<{name}>{}</{name}>", escape(value));
        self
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// An element with what `inside` writes.
    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let _ = write!(self.0, "<{name}>");
        inside(self);
        let _ = write!(self.0, "</{name}>");
        self
    }

    pub(super) fn end(mut self, name: &str) -> String {
        let _ = write!(self.0, "</{name}>");
        self.0
    }
}

/// The elements `name` of a document, each as its children with their texts.
pub(super) fn elements(document: &[u8], name: &str) -> Result<Vec<Vec<(String, String)>>, Refusal> {
    let malformed = |_| Refusal::MALFORMED_XML;
    let document = std::str::from_utf8(document).map_err(|_| Refusal::MALFORMED_XML)?;
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    let (mut found, mut path, mut text) = (Vec::new(), Vec::<String>::new(), String::new());
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) => {
                let local = start.local_name().as_ref().to_owned();
                if local == name {
                    found.push(Vec::new());
                }
                path.push(local);
                text.clear();
            }
            Event::Text(part) => {
                text.push_str(&part.xml10_content());
            }
            Event::GeneralRef(reference) => {
                let reference = format!("&{};", reference.xml10_content());
                let meant = unescape(&reference).map_err(|_| Refusal::MALFORMED_XML)?;
                text.push_str(&meant);
            }
            Event::End(_) => {
                let ended = path.pop().ok_or(Refusal::MALFORMED_XML)?;
                if path.last().is_some_and(|parent| parent == name)
                    && let Some(element) = found.last_mut()
                {
                    element.push((ended, std::mem::take(&mut text)));
                }
            }
            Event::Eof if path.is_empty() => return Ok(found),
            Event::Eof => return Err(Refusal::MALFORMED_XML),
            _ => {}
        }
    }
}

/// A child's text.
pub(super) fn child<'a>(element: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, text) = element.iter().find(|(it, _)| it == name)?;
    Some(text)
}

#[cfg(test)]
mod tests;
