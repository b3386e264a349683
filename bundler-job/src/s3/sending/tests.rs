use std::future::poll_fn;

use aws_sdk_s3::primitives::ByteStream;
use tokio::time::sleep;

use super::*;

const MIB: usize = 1 << 20;

fn watched(bytes: usize) -> (Arc<Sending>, SdkBody) {
    let mut request = HttpRequest::new(SdkBody::from(vec![7; bytes]));
    let sending = Sending::watch(&mut request, bytes as u64);
    (
        sending,
        std::mem::replace(request.body_mut(), SdkBody::taken()),
    )
}

/// Takes so many pieces of a body, one each `every`, and then no more.
async fn take(mut body: SdkBody, pieces: usize, every: Duration) {
    for _ in 0..pieces {
        sleep(every).await;
        let Some(piece) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await else {
            break;
        };
        assert!(piece.expect("a piece").into_data().expect("bytes").len() <= PIECE);
    }
    std::future::pending::<()>().await;
}

/// How the sending of a mebibyte ends, and after how many seconds.
async fn ends(pieces: usize, every: Duration) -> (Result<Duration, String>, u64) {
    let (sending, body) = watched(MIB);
    let begun = Instant::now();
    tokio::select! {
        () = take(body, pieces, every) => unreachable!("it never ends"),
        sent = sending.sent() => (sent, begun.elapsed().as_secs()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_reading_is_given_up_after_a_window_and_a_slow_one_is_not() {
    let second = Duration::from_secs(1);
    let (sent, seconds) = ends(16, second).await;
    assert_eq!((sent, seconds), (Ok(second * 16), 16));
    let (sent, seconds) = ends(16, second * 25).await;
    assert_eq!((sent, seconds), (Ok(second * 400), 400));
    let (silent, seconds) = ends(0, second).await;
    assert_eq!(
        (silent, seconds),
        (Err("the server took 0 bytes in 30 s".to_owned()), 30)
    );
    let (stopped, seconds) = ends(15, Duration::ZERO).await;
    assert_eq!(
        (stopped, seconds),
        (Err("the server took 0 bytes in 30 s".to_owned()), 60)
    );
}

#[tokio::test]
async fn a_body_is_the_same_in_pieces() {
    for bytes in [0, 1, PIECE, PIECE + 1, MIB] {
        let (sending, body) = watched(bytes);
        assert_eq!(Body::size_hint(&body).exact(), Some(bytes as u64));
        let collected = ByteStream::new(body)
            .collect()
            .await
            .expect("a body")
            .into_bytes();
        assert!(collected == vec![7; bytes], "{bytes}");
        assert!(sending.sent().await.is_ok(), "{bytes}");
    }
}
