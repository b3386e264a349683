//! Tags and restores.

use http::StatusCode;

use super::OfObject;
use super::answer::Answer;
use crate::simulator::object::{Object, Tier};
use crate::simulator::refusal::Refusal;
use crate::simulator::store::Found;
use crate::simulator::xml::{Xml, child, elements};

impl OfObject<'_> {
    /// Changes the version that the request names, or the latest.
    fn change(
        &self,
        change: impl FnOnce(&mut Object) -> Result<(), Refusal>,
    ) -> Result<Option<String>, Refusal> {
        let id = self.asked.query("versionId");
        self.bucket.change(&self.asked.key, id, change)
    }

    pub(super) fn tags(&self) -> Result<Answer, Refusal> {
        let Found { object, id } = self.found()?;
        let mut document = Xml::root("Tagging");
        document.element("TagSet", |set| {
            for (key, value) in &object.tags {
                set.element("Tag", |tag| {
                    tag.text("Key", key).text("Value", value);
                });
            }
        });
        let mut answer = Answer::xml(document.end("Tagging"));
        answer.set_version(id.as_deref());
        Ok(answer)
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
        let id = self.change(|object| {
            object.tags = tags;
            Ok(())
        })?;
        let mut answer = Answer::empty(StatusCode::OK);
        answer.set_version(id.as_deref());
        Ok(answer)
    }

    pub(super) fn remove_tags(&self) -> Result<Answer, Refusal> {
        let id = self.change(|object| {
            object.tags.clear();
            Ok(())
        })?;
        let mut answer = Answer::empty(StatusCode::NO_CONTENT);
        answer.set_version(id.as_deref());
        Ok(answer)
    }

    /// 202 for the first request, 409 until it is thawed, 200 after that.
    pub(super) fn restore(&self) -> Result<Answer, Refusal> {
        let mut status = StatusCode::ACCEPTED;
        let (thaw, now) = (self.settings.thaw, self.now);
        self.change(|object| {
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
