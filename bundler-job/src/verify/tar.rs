//! Walks through a tar as its bytes arrive, as an extracting tool would: headers with right checksums, pax sizes, data,
//! padding, and the end.
//!
//! ```text
//! header ──► data ──► padding ──► header … ──► two zero blocks ──► zeros
//! ```

use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// No pax header needs more: a path of 1,024 bytes, link names, times and a little.
const MAX_PAX_BYTES: u64 = 1 << 20;

/// A file in a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// Where its data begins.
    pub(super) start: u64,
    /// Bytes of data.
    pub(super) size: u64,
}

/// Why a tar is none, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub(super) struct TarError {
    /// Bytes from the start.
    pub(super) at: u64,
    /// What is wrong.
    pub(super) problem: String,
}

/// A walk through a tar.
#[derive(Debug)]
pub(super) struct Walk {
    at: u64,
    state: State,
    block: Vec<u8>,
    /// Size that a pax header gave the next member.
    pax_size: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// In a header block.
    Header,
    /// In a pax header's data, so many bytes of which are still to come.
    Pax { left: u64, text: Vec<u8> },
    /// In data that is not looked at.
    Data { left: u64 },
    /// In what fills the last block of data.
    Padding { left: u64 },
    /// After zero blocks.
    End { blocks: u64 },
}

impl Walk {
    pub(super) const fn new() -> Self {
        Self { at: 0, state: State::Header, block: Vec::new(), pax_size: None }
    }

    /// Walks on over `bytes`, telling every file whose header ends in them.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Member)) -> Result<(), TarError> {
        loop {
            let n = self.step(bytes, &mut each)?;
            if n == 0 && bytes.is_empty() {
                return Ok(());
            }
            bytes = &bytes[n..];
            self.at += n as u64;
        }
    }

    /// Whether it ended as a tar does.
    pub(super) fn finish(&self) -> Result<(), TarError> {
        match &self.state {
            State::End { blocks } if *blocks >= 2 && self.block.is_empty() => Ok(()),
            State::End { .. } | State::Header => Err(self.error("it does not end in two zero blocks".to_owned())),
            _ => Err(self.error("it ends in the middle of a member".to_owned())),
        }
    }

    fn error(&self, problem: String) -> TarError {
        TarError { at: self.at, problem }
    }

    /// Takes what it can of `bytes` and says how much that was. With none left, states that need none still move on.
    fn step(&mut self, bytes: &[u8], each: &mut impl FnMut(Member)) -> Result<usize, TarError> {
        let up_to = |left: u64| usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let taken = match &mut self.state {
            State::Header | State::End { .. } => {
                let n = bytes.len().min(BLOCK - self.block.len());
                self.block.extend_from_slice(&bytes[..n]);
                if self.block.len() == BLOCK {
                    self.at += n as u64;
                    let block = std::mem::take(&mut self.block);
                    let result = self.block_ended(&block, each);
                    self.block = block;
                    self.block.clear();
                    self.at -= n as u64;
                    result?;
                }
                n
            }
            State::Pax { left, text } => {
                let n = up_to(*left);
                text.extend_from_slice(&bytes[..n]);
                *left -= n as u64;
                n
            }
            State::Data { left } | State::Padding { left } => {
                let n = up_to(*left);
                *left -= n as u64;
                n
            }
        };
        let end = self.at + taken as u64;
        match &mut self.state {
            State::Pax { left: 0, text } => {
                let size = pax_size(text).map_err(|problem| TarError { at: end, problem })?;
                self.pax_size = size.or(self.pax_size);
                self.state = padding(end);
            }
            State::Data { left: 0 } => self.state = padding(end),
            State::Padding { left: 0 } => self.state = State::Header,
            _ => {}
        }
        Ok(taken)
    }

    /// `at` is the end of the block.
    fn block_ended(&mut self, block: &[u8], each: &mut impl FnMut(Member)) -> Result<(), TarError> {
        let zero = block.iter().all(|byte| *byte == 0);
        if let State::End { blocks } = &mut self.state {
            return if zero {
                *blocks += 1;
                Ok(())
            } else if *blocks == 1 {
                Err(self.error("a lone zero block stands between members".to_owned()))
            } else {
                Err(self.error("something follows the end".to_owned()))
            };
        }
        if zero {
            self.state = State::End { blocks: 1 };
            return Ok(());
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        if header.cksum().ok() != Some(checksum(block)) {
            return Err(self.error("a header's checksum is wrong".to_owned()));
        }
        let size = header.entry_size().map_err(|error| self.error(format!("a header's size: {error}")))?;
        self.state = match header.entry_type() {
            EntryType::XHeader if size > MAX_PAX_BYTES => {
                return Err(self.error(format!("a pax header has {size} bytes")));
            }
            EntryType::XHeader => State::Pax { left: size, text: Vec::new() },
            EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink => State::Data { left: size },
            _ => {
                let size = self.pax_size.take().unwrap_or(size);
                if self.at.checked_add(size).is_none() {
                    return Err(self.error(format!("a member has {size} bytes")));
                }
                each(Member { start: self.at, size });
                State::Data { left: size }
            }
        };
        Ok(())
    }
}

fn padding(at: u64) -> State {
    State::Padding { left: at.next_multiple_of(BLOCK as u64) - at }
}

/// The sum of a header's bytes, those of the checksum itself counted as spaces (POSIX, "ustar Interchange Format").
fn checksum(block: &[u8]) -> u32 {
    block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum()
}

/// The `size` of a pax header's records, `<length> <keyword>=<value>\n` each. By their lengths: a value may hold newlines.
fn pax_size(mut text: &[u8]) -> Result<Option<u64>, String> {
    let broken = || "a pax header cannot be read".to_owned();
    let mut size = None;
    while !text.is_empty() {
        let space = text.iter().take(20).position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = std::str::from_utf8(&text[..space]).ok().and_then(|digits| digits.parse().ok());
        let length: usize = length.filter(|length| *length > space + 1).ok_or_else(broken)?;
        let record = text.get(space + 1..length).and_then(|it| it.strip_suffix(b"\n")).ok_or_else(broken)?;
        if let Some(value) = record.strip_prefix(b"size=") {
            let value = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            size = Some(value.ok_or_else(broken)?);
        }
        text = &text[length..];
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(bytes: &[u8], piece: usize) -> Result<Vec<Member>, TarError> {
        let (mut walk, mut members) = (Walk::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            walk.feed(piece, |member| members.push(member))?;
        }
        walk.finish().map(|()| members)
    }

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, data) in members {
            let mut header = Header::new_ustar();
            header.set_size(data.len() as u64);
            builder.append_data(&mut header, name, *data).expect("memory");
        }
        builder.into_inner().expect("memory")
    }

    fn with_pax(records: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(records.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(records);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    #[test]
    fn members_are_where_an_extracting_tool_finds_them() {
        let long = "x/".repeat(150);
        let bytes = tar(&[("a", b"12345"), ("empty", b""), (&format!("{long}b"), &[7; 1024])]);
        for piece in [1, 7, 511, 512, 513, 100_000] {
            let members = walk(&bytes, piece).expect("a tar");
            let places: Vec<_> = members.iter().map(|it| (it.start, it.size)).collect();
            // The long name takes a header and a block before the last.
            assert_eq!(places, [(512, 5), (1536, 0), (3072, 1024)]);
        }
    }

    #[test]
    fn a_pax_size_wins_and_a_newline_in_a_path_does_not_fake_one() {
        let mut bytes = with_pax(b"29 path=a\n12 size=1000000000\n9 size=6\n");
        let mut header = Header::new_ustar();
        header.set_size(0);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[1; 512]);
        bytes.extend_from_slice(&[0; 1024]);
        assert_eq!(walk(&bytes, 512), Ok(vec![Member { start: 1536, size: 6 }]));
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let good = tar(&[("a", b"12345"), ("b", b"1")]);
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let mut lone = good[..1024].to_vec();
        lone.extend_from_slice(&[0; 512]);
        lone.extend_from_slice(&good[1024..]);
        for (bytes, at, problem) in [
            (changed(1024, b'z'), 1536, "a header's checksum is wrong"),
            (good[..good.len() - 512].to_vec(), 2560, "it does not end in two zero blocks"),
            (good[..good.len() - 1024].to_vec(), 2048, "it does not end in two zero blocks"),
            (good[..1500].to_vec(), 1500, "it does not end in two zero blocks"),
            (good[..1700].to_vec(), 1700, "it ends in the middle of a member"),
            (lone, 2048, "a lone zero block stands between members"),
            ([good.clone(), good.clone()].concat(), 3584, "something follows the end"),
            (with_pax(b"99 size=6\n"), 522, "a pax header cannot be read"),
            (with_pax(b"0 size=6\n"), 521, "a pax header cannot be read"),
            (with_pax(b"no record"), 521, "a pax header cannot be read"),
        ] {
            assert_eq!(walk(&bytes, 100), Err(TarError { at, problem: problem.to_owned() }));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_walk_or_fail_without_panic(
            damage in proptest::collection::vec((0..3072_usize, any::<u8>()), 0..12),
            fixed in any::<bool>(),
        ) {
            let mut bytes = with_pax(b"9 size=6\n");
            bytes.extend(tar(&[("a", b"12345")]));
            for (at, byte) in damage {
                if at < bytes.len() { bytes[at] = byte; }
            }
            if fixed {
                let sum = format!("{:06o}\0 ", checksum(&bytes[..BLOCK]));
                bytes[148..156].copy_from_slice(sum.as_bytes());
            }
            let _ = walk(&bytes, 100);
        }
    }
}
