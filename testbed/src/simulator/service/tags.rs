//! Tags and restores.

use http::StatusCode;

use super::OfObject;
use super::answer::Answer;
use crate::simulator::object::Tier;
use crate::simulator::refusal::Refusal;
use crate::simulator::xml::{Xml, child, elements};

impl OfObject<'_> {
    pub(super) fn tags(&self) -> Result<Answer, Refusal> {
        let object = self.object()?;
        let mut document = Xml::root("Tagging");
        document.element("TagSet", |set| {
            for (key, value) in &object.tags {
                set.element("Tag", |tag| {
                    tag.text("Key", key).text("Value", value);
                });
            }
        });
        Ok(Answer::xml(document.end("Tagging")))
    }

    pub(super) fn set_tags(&self) -> Result<Answer, Refusal> {
        let tags = elements(&self.asked.body, "Tag")?
            .iter()
            .map(|tag| {
                let key = child(tag, "Key").ok_or(Refusal::MALFORMED_XML)?;
                let value = child(tag, "Value").unwrap_or_default();
                Ok((key.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, Refusal>>()?;
        self.bucket.change(&self.asked.key, |object| {
            object.tags = tags;
            Ok(())
        })?;
        Ok(Answer::empty(StatusCode::OK))
    }

    pub(super) fn remove_tags(&self) -> Result<Answer, Refusal> {
        self.bucket.change(&self.asked.key, |object| {
            object.tags.clear();
            Ok(())
        })?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    /// 202 for the first request, 409 until it is thawed, 200 after that.
    pub(super) fn restore(&self) -> Result<Answer, Refusal> {
        let mut status = StatusCode::ACCEPTED;
        let (thaw, now) = (self.settings.thaw, self.now);
        self.bucket.change(&self.asked.key, |object| {
            match object.tier(thaw, now) {
                Tier::Open => return Err(Refusal::INVALID_STATE),
                Tier::Thawing => return Err(Refusal::RESTORE_IN_PROGRESS),
                Tier::Thawed => status = StatusCode::OK,
                Tier::Frozen => object.thawing_since = Some(now),
            }
            Ok(())
        })?;
        Ok(Answer::empty(status))
    }
}
