//! The blocks before a member's data: a ustar header, and a pax header before it where ustar cannot
//! hold the truth.
//!
//! Written here and not by `tar::Builder`, which rewrites paths (`a//b`, `./x`), refuses others,
//! and uses GNU long names. Source: POSIX.1-2017, "pax Interchange Format"; `tar::Header` fills the
//! fields and the checksum.

use tar::{EntryType, Header};

/// Everything in a tar comes in blocks of this size.
pub(super) const BLOCK: u64 = 512;
/// Largest number an octal field of 11 digits holds: 8 GiB − 1.
const MAX_OCTAL_11: u64 = 0o777_7777_7777;
/// Longest path of the ustar name field (its prefix field is left alone: pax says it better).
const MAX_USTAR_NAME: usize = 100;

/// The two zero blocks that end an archive.
pub(super) const END: [u8; 1024] = [0; 1024];

/// Zero bytes after `size` bytes of data.
pub(super) fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or(0)
}

/// Bytes of a member with this name in a plain tar: header blocks, data and padding.
pub(super) fn member(name: &str, size: u64) -> u64 {
    // A time that needs a pax record is thousands of years away.
    let records = records(name, size, 0).len() as u64;
    let pax = if records > 0 {
        BLOCK + records.next_multiple_of(BLOCK)
    } else {
        0
    };
    let data = size
        .checked_next_multiple_of(BLOCK)
        .unwrap_or(u64::MAX - BLOCK);
    data.saturating_add(pax + BLOCK)
}

/// Appends the header blocks of a regular file.
pub(super) fn write(name: &str, size: u64, mtime: u64, out: &mut Vec<u8>) {
    let mut records = records(name, size, mtime);
    if !records.is_empty() {
        let length = records.len() as u64;
        block("pax_header", EntryType::XHeader, length, 0, out);
        out.append(&mut records);
        out.resize(out.len() + padding(length), 0);
    }
    block(name, EntryType::Regular, size, mtime, out);
}

/// The pax records that say what ustar cannot; empty if it can say all.
fn records(name: &str, size: u64, mtime: u64) -> Vec<u8> {
    let mut records = Vec::new();
    if name.len() > MAX_USTAR_NAME || !name.is_ascii() {
        record("path", name, &mut records);
    }
    if size > MAX_OCTAL_11 {
        record("size", &size.to_string(), &mut records);
    }
    if mtime > MAX_OCTAL_11 {
        record("mtime", &mtime.to_string(), &mut records);
    }
    records
}

fn block(name: &str, kind: EntryType, size: u64, mtime: u64, out: &mut Vec<u8>) {
    let mut header = Header::new_ustar();
    // What a reader without pax sees of a name it could not hold anyway.
    let short: Vec<u8> = name
        .bytes()
        .map(|b| if b.is_ascii() { b } else { b'_' })
        .take(MAX_USTAR_NAME)
        .collect();
    header.as_mut_bytes()[..short.len()].copy_from_slice(&short);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size.min(MAX_OCTAL_11));
    header.set_mtime(mtime.min(MAX_OCTAL_11));
    header.set_entry_type(kind);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
}

/// `<length> <keyword>=<value>\n`, where the length counts its own digits.
fn record(keyword: &str, value: &str, out: &mut Vec<u8>) {
    let rest = keyword.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    out.extend_from_slice(format!("{length} {keyword}={value}\n").as_bytes());
}

fn digits(n: usize) -> usize {
    n.to_string().len()
}

#[cfg(test)]
mod tests;
