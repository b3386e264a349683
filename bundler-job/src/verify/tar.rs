//! Walks through a tar as its bytes arrive, as an extracting tool would: headers with right
//! checksums, pax sizes, data, padding, and the end.
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
        Self {
            at: 0,
            state: State::Header,
            block: Vec::new(),
            pax_size: None,
        }
    }

    /// Walks on over `bytes`, telling every file whose header ends in them.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Member),
    ) -> Result<(), TarError> {
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
            State::End { .. } | State::Header => {
                Err(self.error("it does not end in two zero blocks".to_owned()))
            }
            _ => Err(self.error("it ends in the middle of a member".to_owned())),
        }
    }

    fn error(&self, problem: String) -> TarError {
        TarError {
            at: self.at,
            problem,
        }
    }

    /// Takes what it can of `bytes` and says how much that was. With none left, states that need
    /// none still move on.
    fn step(&mut self, bytes: &[u8], each: &mut impl FnMut(Member)) -> Result<usize, TarError> {
        let up_to =
            |left: u64| usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
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
        let size = header
            .entry_size()
            .map_err(|error| self.error(format!("a header's size: {error}")))?;
        self.state = match header.entry_type() {
            EntryType::XHeader if size > MAX_PAX_BYTES => {
                return Err(self.error(format!("a pax header has {size} bytes")));
            }
            EntryType::XHeader => State::Pax {
                left: size,
                text: Vec::new(),
            },
            EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink => {
                State::Data { left: size }
            }
            _ => {
                let size = self.pax_size.take().unwrap_or(size);
                if self.at.checked_add(size).is_none() {
                    return Err(self.error(format!("a member has {size} bytes")));
                }
                each(Member {
                    start: self.at,
                    size,
                });
                State::Data { left: size }
            }
        };
        Ok(())
    }
}

fn padding(at: u64) -> State {
    State::Padding {
        left: at.next_multiple_of(BLOCK as u64) - at,
    }
}

/// The sum of a header's bytes, those of the checksum itself counted as spaces (POSIX, "ustar
/// Interchange Format").
fn checksum(block: &[u8]) -> u32 {
    block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u32::from(*byte)
            }
        })
        .sum()
}

/// The `size` of a pax header's records, `<length> <keyword>=<value>\n` each. By their lengths: a
/// value may hold newlines.
fn pax_size(mut text: &[u8]) -> Result<Option<u64>, String> {
    let broken = || "a pax header cannot be read".to_owned();
    let mut size = None;
    while !text.is_empty() {
        let space = text
            .iter()
            .take(20)
            .position(|byte| *byte == b' ')
            .ok_or_else(broken)?;
        let length = std::str::from_utf8(&text[..space])
            .ok()
            .and_then(|digits| digits.parse().ok());
        let length: usize = length
            .filter(|length| *length > space + 1)
            .ok_or_else(broken)?;
        let record = text
            .get(space + 1..length)
            .and_then(|it| it.strip_suffix(b"\n"))
            .ok_or_else(broken)?;
        if let Some(value) = record.strip_prefix(b"size=") {
            let value = std::str::from_utf8(value)
                .ok()
                .and_then(|digits| digits.parse().ok());
            size = Some(value.ok_or_else(broken)?);
        }
        text = &text[length..];
    }
    Ok(size)
}

#[cfg(test)]
mod tests;
