//! Answer bodies on their way to the client: whole, cut short, stalled, without a length or with
//! one byte changed. Each carries the request's place in the log, which ends with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::log::InFlight;

/// Time for what was already written to reach the client before the connection is cut.
const FLUSH: Duration = Duration::from_millis(50);

/// What becomes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    Truncate(u64),
    Stall(u64),
    Corrupt(u64),
    /// Without a length, and perhaps ended early.
    Unframed(Option<u64>),
}

type Inner = BoxBody<Bytes, hyper::Error>;

/// The body of an answer.
#[derive(Debug)]
pub(super) struct AnswerBody {
    inner: Inner,
    damage: Damage,
    sent: u64,
    cut: Option<Pin<Box<Sleep>>>,
    _in_flight: InFlight,
}

impl AnswerBody {
    pub(super) fn streamed(body: Incoming, damage: Damage, in_flight: InFlight) -> Self {
        Self {
            inner: body.boxed(),
            damage,
            sent: 0,
            cut: None,
            _in_flight: in_flight,
        }
    }

    pub(super) fn whole(body: Bytes, damage: Damage, in_flight: InFlight) -> Self {
        let inner = Full::new(body).map_err(|never| match never {}).boxed();
        Self {
            inner,
            damage,
            sent: 0,
            cut: None,
            _in_flight: in_flight,
        }
    }

    fn damaged(&mut self, data: Bytes) -> Bytes {
        let begin = self.sent;
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.sent += length;
        match self.damage {
            Damage::Truncate(limit) | Damage::Stall(limit) | Damage::Unframed(Some(limit))
                if self.sent > limit =>
            {
                let keep = usize::try_from(limit.saturating_sub(begin)).unwrap_or(usize::MAX);
                data.slice(..keep.min(data.len()))
            }
            Damage::Corrupt(offset) if offset >= begin && offset < self.sent => {
                let mut changed = BytesMut::from(&data[..]);
                if let Some(byte) = usize::try_from(offset - begin)
                    .ok()
                    .and_then(|at| changed.get_mut(at))
                {
                    *byte = !*byte;
                }
                changed.freeze()
            }
            _ => data,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.damage {
            Damage::Truncate(limit) if self.sent >= limit => {
                ready!(
                    self.cut
                        .get_or_insert_with(|| Box::pin(sleep(FLUSH)))
                        .as_mut()
                        .poll(context)
                );
                return Poll::Ready(Some(Err(io::Error::other("cut by the fault proxy"))));
            }
            // Woken by nothing but the client going away.
            Damage::Stall(limit) if self.sent >= limit => return Poll::Pending,
            Damage::Unframed(Some(limit)) if self.sent >= limit => return Poll::Ready(None),
            _ => {}
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        Poll::Ready(
            frame.map(|frame| match frame.map_err(io::Error::other)?.into_data() {
                Ok(data) => Ok(Frame::data(self.damaged(data))),
                Err(trailers) => Ok(trailers),
            }),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
            && !matches!(
                self.damage,
                Damage::Truncate(_) | Damage::Stall(_) | Damage::Unframed(_)
            )
    }

    fn size_hint(&self) -> SizeHint {
        if matches!(self.damage, Damage::Unframed(_)) {
            SizeHint::default()
        } else {
            self.inner.size_hint()
        }
    }
}
