//! Ports for servers that must be told theirs. Ports lie below the range from which Linux takes
//! those of outgoing connections, and each one is held by a lock file while its server lives, so
//! that parallel test processes never pick the same.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, TcpListener};

use rand::RngExt;

/// Linux takes outgoing ports from 32,768 up unless told otherwise; well-known services sit low.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const ATTEMPTS: usize = 200;

/// A port that is ours until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// A port that nothing listens on at this address. An error if none is left.
    pub fn free(address: IpAddr) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!(
            "s3bundler-testbed-ports-{}",
            rustix::process::getuid()
        ));
        fs::create_dir_all(&folder)?;
        let mut last = io::Error::new(io::ErrorKind::AddrInUse, "every port tried is taken");
        for _ in 0..ATTEMPTS {
            let number = rand::rng().random_range(RANGE);
            let lock = File::create(folder.join(number.to_string()))?;
            if lock.try_lock().is_err() {
                continue;
            }
            match TcpListener::bind((address, number)) {
                Ok(_) => {
                    return Ok(Self {
                        number,
                        _lock: Some(lock),
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A port that the caller insists on.
    pub(super) fn given(number: u16) -> Self {
        Self {
            number,
            _lock: None,
        }
    }

    /// The port, for whoever is to listen on it.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests;
