//! Finds objects in the catalogs of a destination.
//!
//! ```text
//! LIST of the catalogs ──► runs, newest first ──► a run: its compacted catalogs, if they are of exactly these ──► footer ──► rows
//!                                                    └──► else a catalog at a time: footer ──► rows
//! ```
//!
//! Catalogs are read by range: first the end of a file, whose statistics and bloom filters tell which
//! row groups can have an object that is asked for, then those. What cannot be read is a
//! [`SearchError`] that names it, and the search goes on: the answer is incomplete then.

pub(crate) mod compacted;
mod file;
mod filter;
mod found;
pub(crate) mod listing;
mod prune;
mod replaced;
mod search;

pub use filter::{Filter, OutcomeFilter, Pattern};
pub use found::{Found, Location};
pub use search::{Search, SearchError, SearchFigures, SearchRequest};
