//! The name of a member: `bucket/key` where that is a safe path, otherwise an injective
//! percent-encoding of it.
//!
//! Safe means that GNU tar, bsdtar and Python's tarfile all extract it to a regular file of that
//! name inside the target directory. S3 keys know no directories, so two keys can need one path to
//! be both file and directory; the later one gives way. So does the later of two that differ only
//! in how Unicode composes them (`ä` as one character or as two): libarchive writes both in
//! normalization form C, one over the other and without a word (tried, 3.6). The literal key is in
//! the index.
//!
//! Decoding is one rule: `%` and two hex digits are that byte, `%/` is nothing. A literal `%` that
//! would read as one of them is written `%25`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};

use icu_normalizer::ComposingNormalizerBorrowed;

/// Longest file name of the usual file systems, in bytes; longer parts continue in a directory
/// `part%/`.
const MAX_PART: usize = 255;

/// The names given out in one archive.
#[derive(Debug, Default)]
pub(super) struct MemberNames {
    // Hashes of paths. Two paths with one hash would only have one of them encoded without need.
    files: HashSet<u64>,
    directories: HashSet<u64>,
    hasher: RandomState,
}

impl MemberNames {
    /// The member name of an object; no two calls give the same.
    pub(super) fn name(&mut self, bucket: &str, key: &str, version_id: Option<&str>) -> String {
        let plain = usual_name(bucket, key);
        if self.claim(&plain) {
            return plain;
        }
        // A file stands where a directory is needed: no directories.
        let flat = join(bucket, &encode(key, true));
        if self.claim(&flat) {
            return flat;
        }
        // Another version of the same key, or a directory stands where the file is needed. No S3
        // key of an archive ends like this, since a literal NUL is always encoded as what it is.
        let version = version_id.unwrap_or("null");
        for n in 0_u64.. {
            let suffix = if n == 0 {
                format!("{key}\0{version}")
            } else {
                format!("{key}\0{version}\0{n}")
            };
            let name = join(bucket, &encode(&suffix, true));
            if self.claim(&name) {
                return name;
            }
        }
        unreachable!("one of 2^64 names is free")
    }

    /// Takes the path if neither it nor one of its parents is taken for the other kind.
    fn claim(&mut self, path: &str) -> bool {
        let path = &ComposingNormalizerBorrowed::new_nfc().normalize(path);
        let hash = |text: &str| self.hasher.hash_one(text);
        let own = hash(path);
        let parents = || path.match_indices('/').map(|(at, _)| hash(&path[..at]));
        if self.files.contains(&own)
            || self.directories.contains(&own)
            || parents().any(|it| self.files.contains(&it))
        {
            return false;
        }
        let parents: Vec<u64> = parents().collect();
        self.directories.extend(parents);
        self.files.insert(own)
    }
}

/// The name of an object's member unless another member of its archive has taken it.
pub(super) fn usual_name(bucket: &str, key: &str) -> String {
    join(bucket, &encode(key, false))
}

fn join(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

/// Encodes what is unsafe. `flat` encodes every slash, otherwise only those that would make an
/// empty part.
fn encode(key: &str, flat: bool) -> String {
    let bytes = key.as_bytes();
    let mut path = String::with_capacity(key.len() + 8);
    let mut part = 0;
    for (at, c) in key.char_indices() {
        let next = bytes.get(at + 1..).unwrap_or_default();
        let dividing = c == '/' && !flat && path.len() > part && !matches!(next, [] | [b'/', ..]);
        let ambiguous = c == '%'
            && match next {
                [] | [b'/', ..] => true,
                [a, b, ..] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
                [_] => false,
            };
        if dividing {
            encode_dots(&mut path, part);
            path.push('/');
            part = path.len();
        } else if c == '/' || ambiguous || c.is_ascii_control() {
            let _ = write!(path, "%{:02X}", u32::from(c));
        } else {
            path.push(c);
        }
    }
    encode_dots(&mut path, part);
    chunk(&path)
}

/// `.` and `..` are not names.
fn encode_dots(path: &mut String, part: usize) {
    if matches!(&path[part..], "." | "..") {
        let dots = path.split_off(part);
        path.push_str(&dots.replace('.', "%2E"));
    }
}

/// Cuts parts that no file system takes.
fn chunk(path: &str) -> String {
    if path.split('/').all(|part| part.len() <= MAX_PART) {
        return path.to_owned();
    }
    let mut out = String::with_capacity(path.len() + 16);
    for (n, part) in path.split('/').enumerate() {
        if n > 0 {
            out.push('/');
        }
        let mut rest = part;
        while rest.len() > MAX_PART {
            let mut end = MAX_PART - 1;
            // Neither inside a character nor inside an escape.
            while !rest.is_char_boundary(end)
                || rest[..end].bytes().rev().take(2).any(|b| b == b'%')
            {
                end -= 1;
            }
            out.push_str(&rest[..end]);
            out.push_str("%/");
            rest = &rest[end..];
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests;
