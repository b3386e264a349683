//! Texts from outside, such as keys and answers of servers, as they may be shown.

use std::borrow::Cow;

/// A text with its control characters escaped: on a terminal they would be obeyed, in a log they
/// would make lines of their own.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}
