//! Whether the body of a request goes out fast enough. A connection takes as much of it as fits its
//! buffers, so what it has taken by and by shows how fast the server reads.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::min_rate::{MinRate, WINDOW};

/// Bytes that a connection is given at once. A whole part at once would look as if it were sent.
const PIECE: usize = 64 * 1024;
/// Between two looks at what was taken.
const TICK: Duration = Duration::from_secs(1);

/// How much of a body was taken by its connection.
#[derive(Debug)]
pub(super) struct Sending {
    bytes: u64,
    taken: AtomicU64,
    all: Notify,
}

impl Sending {
    /// Watches the body of a request, which has so many bytes.
    pub(super) fn watch(request: &mut HttpRequest, bytes: u64) -> Arc<Self> {
        let sending = Arc::new(Self {
            bytes,
            taken: AtomicU64::new(0),
            all: Notify::new(),
        });
        let body = std::mem::replace(request.body_mut(), SdkBody::taken());
        let watched = Watched {
            body,
            rest: Bytes::new(),
            sending: Arc::clone(&sending),
        };
        *request.body_mut() = SdkBody::from_body_1_x(watched);
        sending
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) {
        if self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes >= self.bytes {
            self.all.notify_one();
        }
    }

    /// Returns how long it took until all of the body was taken, or why it is given up: less than 1
    /// KiB/s was taken.
    pub(super) async fn sent(&self) -> Result<Duration, String> {
        let (begun, mut rate, mut before) = (Instant::now(), MinRate::default(), 0);
        while self.taken() < self.bytes {
            let waited = Instant::now();
            let _ = timeout(TICK, self.all.notified()).await;
            rate.waited(waited.elapsed());
            let taken = self.taken();
            rate.came(taken - before);
            before = taken;
            if let Some(taken) = rate.too_slow() {
                return Err(format!(
                    "the server took {taken} bytes in {} s",
                    WINDOW.as_secs()
                ));
            }
        }
        Ok(begun.elapsed())
    }
}

/// A body that is given to its connection in small pieces, and counted.
struct Watched {
    body: SdkBody,
    /// What is left of the last frame.
    rest: Bytes,
    sending: Arc<Sending>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = <SdkBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.sending.take(length as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        match Body::size_hint(&self.body).exact() {
            Some(exact) => SizeHint::with_exact(exact + rest),
            None => SizeHint::new(),
        }
    }
}

#[cfg(test)]
mod tests;
