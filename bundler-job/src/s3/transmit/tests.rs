use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use super::*;

#[test]
fn only_silence_and_answers_that_say_nothing_may_be_an_outage() {
    for (status, expected) in [
        (200, None),
        (304, None),
        (403, None),
        (404, None),
        (429, Some(Failing::Refused)),
        (500, Some(Failing::Broken)),
        (501, None),
        (502, Some(Failing::Broken)),
        (503, Some(Failing::Refused)),
        (504, Some(Failing::Broken)),
    ] {
        assert_eq!(of_status(status), expected, "{status}");
    }
    let refused = || Box::new(io::Error::from(io::ErrorKind::ConnectionRefused));
    assert_eq!(
        failing(&Err(ConnectorError::io(refused()))),
        Some(Failing::Broken)
    );
    assert_eq!(
        failing(&Err(ConnectorError::timeout(refused()))),
        Some(Failing::Broken)
    );
    assert_eq!(failing(&Err(ConnectorError::user(refused()))), None);
    let distrust = io::Error::other("invalid peer certificate: UnknownIssuer");
    assert_eq!(failing(&Err(ConnectorError::io(Box::new(distrust)))), None);
}

/// What a server does with its first requests.
#[derive(Debug, Clone, Copy)]
enum First {
    RefusesConnections,
    Throttles,
    /// It throttles, and wants the next request so many seconds later.
    ThrottlesFor(u32),
    /// It answers with headers, and nothing follows.
    NeverEnds,
}

/// A server that does this with so many requests, and then takes them.
#[derive(Debug, Clone)]
struct Server {
    first: First,
    many: u32,
    asked: Arc<AtomicU32>,
}

struct Never;

impl http_body::Body for Never {
    type Data = bytes::Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<http_body::Frame<bytes::Bytes>>>> {
        Poll::Pending
    }
}

impl Server {
    fn new(first: First, many: u32) -> Self {
        Self {
            first,
            many,
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// What passes requests to it. `asker` answers HeadBucket.
    fn connector(&self, asker: Self, outages: &Outages, patient: bool) -> Connector {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_s3::config::Region::new("eu-west-1"))
            .credentials_provider(aws_sdk_s3::config::Credentials::new(
                "a", "b", None, None, "test",
            ))
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .http_client(asker);
        Connector {
            http: SharedHttpConnector::new(self.clone()),
            transmitter: Arc::new(Transmitter {
                http: SharedHttpClient::new(self.clone()),
                rates: Rates::default(),
                destination: true,
                outages: outages.clone(),
                traffic: Traffic::default(),
                asker: Client::from_conf(config.build()),
                patient,
                first_byte: Duration::from_secs(10),
            }),
        }
    }
}

impl HttpConnector for Server {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let is_first = self.asked.fetch_add(1, Ordering::Relaxed) < self.many;
        let answer = |status: u16, body| {
            Ok(HttpResponse::new(
                status.try_into().expect("a status"),
                body,
            ))
        };
        HttpConnectorFuture::ready(match self.first {
            First::RefusesConnections if is_first => Err(ConnectorError::io(Box::new(
                io::Error::from(io::ErrorKind::ConnectionRefused),
            ))),
            First::Throttles if is_first => answer(503, SdkBody::empty()),
            First::ThrottlesFor(seconds) if is_first => {
                answer(503, SdkBody::empty()).map(|mut answer| {
                    answer
                        .headers_mut()
                        .insert("retry-after", seconds.to_string());
                    answer
                })
            }
            First::NeverEnds if is_first => answer(200, SdkBody::from_body_1_x(Never)),
            _ => answer(200, SdkBody::empty()),
        })
    }
}

impl HttpClient for Server {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn request(bucket: &str, task: Task) -> HttpRequest {
    let mut request = HttpRequest::new(SdkBody::empty());
    let buckets = Buckets {
        asked: bucket.to_owned(),
        copied_from: None,
    };
    request.add_extension(Noted {
        buckets,
        task,
        reads: false,
    });
    request
}

fn outages(budget: Duration) -> Outages {
    let outages = Outages::new(budget);
    outages.answered("other");
    outages
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_signature_is_too_old_after_an_outage_is_signed_again() {
    // Questions are 1, 2, 4, 8 and then 15 s apart.
    for (silent, sent) in [(10, true), (30, false)] {
        let outages = outages(Duration::from_hours(1));
        let server = Server::new(First::RefusesConnections, 0);
        let connector = server.connector(
            Server::new(First::RefusesConnections, silent),
            &outages,
            true,
        );
        let silence = ask(&connector.transmitter.asker, "a")
            .await
            .expect_err("no answer");
        assert_eq!(silence.endpoint, "https://s3.eu-west-1.amazonaws.com");
        outages.heard("a", Err(silence), Instant::now());
        let answer = connector.call(request("a", Task::Find)).await;
        assert_eq!(answer.is_ok(), sent, "{answer:?}");
        assert!(
            answer.map_or_else(|error| error.is_timeout(), |_| true),
            "the SDK retries it"
        );
        assert_eq!(server.asked(), u32::from(sent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_sent_again_unless_the_fetcher_wants_to_know_and_not_without_end() {
    for (refused, patient, status, at_least, at_most) in [
        (10, true, 200, 11, 11),
        (10, false, 503, 1, 1),
        (u32::MAX, true, 503, 13, 40),
    ] {
        let server = Server::new(First::Throttles, refused);
        let connector = server.connector(
            Server::new(First::Throttles, 0),
            &outages(Duration::from_mins(15)),
            patient,
        );
        let answer = connector
            .call(request("a", Task::Record))
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{refused} {patient}");
        assert!(
            (at_least..=at_most).contains(&server.asked()),
            "{refused} {patient}: {}",
            server.asked()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_sent_again_when_the_server_wants_it() {
    for (refused, wanted, seconds) in [(1, 3, 3), (2, 30, 60), (1, 3_600, 60)] {
        let server = Server::new(First::ThrottlesFor(wanted), refused);
        let asker = Server::new(First::Throttles, 0);
        let connector = server.connector(asker, &outages(Duration::from_mins(15)), true);
        let mut begun = Instant::now();
        let mut answer = connector
            .call(request("a", Task::Record))
            .await
            .expect("an answer");
        if answer.status().as_u16() == 503 {
            // The SDK counts an attempt, and the next one is not sent too early either.
            answer = connector
                .call(request("a", Task::Record))
                .await
                .expect("an answer");
        }
        assert_eq!(
            (answer.status().as_u16(), begun.elapsed().as_secs()),
            (200, seconds),
            "{refused} {wanted}"
        );
        begun = Instant::now();
        assert!(connector.call(request("a", Task::Record)).await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_by_what_it_takes_and_by_whether_its_bucket_answers() {
    for (task, bucket_answers, seconds) in [
        (Task::Record, true, 30),
        (Task::Store(0), true, 30),
        (Task::Store(16 << 20), true, 30),
        (Task::Work, true, 300),
        (Task::Work, false, 30),
    ] {
        let server = Server::new(First::NeverEnds, 1);
        let asker = Server::new(
            First::RefusesConnections,
            if bucket_answers { 0 } else { u32::MAX },
        );
        let connector = server.connector(asker, &outages(Duration::from_mins(15)), true);
        let buckets = Buckets {
            asked: "a".to_owned(),
            copied_from: None,
        };
        let noted = Noted {
            buckets,
            task,
            reads: false,
        };
        let begun = Instant::now();
        let answer = connector.answer(request("a", task), &noted).await;
        assert!(answer.is_err_and(|error| error.is_timeout()), "{task:?}");
        assert_eq!(
            begun.elapsed().as_secs(),
            seconds,
            "{task:?} {bucket_answers}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_end_is_given_up_unless_it_is_an_object_with_a_reader() {
    for (task, method, given_up) in [
        (Task::Record, "GET", true),
        (Task::Work, "POST", true),
        (Task::Find, "GET", false),
    ] {
        let server = Server::new(First::NeverEnds, 1);
        let connector = server.connector(server.clone(), &outages(Duration::from_mins(15)), true);
        let mut request = request("a", task);
        request.set_method(method).expect("a method");
        let answer = connector.call(request).await;
        assert_eq!(
            answer.is_err_and(|error| error.is_timeout()),
            given_up,
            "{task:?}"
        );
    }
}

#[test]
fn a_copy_needs_two_buckets_unless_they_are_one() {
    let buckets = |copied_from: Option<&str>| {
        let buckets = Buckets {
            asked: "a".to_owned(),
            copied_from: copied_from.map(str::to_owned),
        };
        buckets.each().map(str::to_owned).collect::<Vec<_>>()
    };
    let read = |copied_from: Option<&str>, method, destination| {
        let buckets = Buckets {
            asked: "a".to_owned(),
            copied_from: copied_from.map(str::to_owned),
        };
        buckets
            .read_by(method, destination)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(read(None, "GET", false), ["a"]);
    assert_eq!(read(None, "HEAD", true), ["a"]);
    assert_eq!(read(None, "PUT", true), [""; 0]);
    assert_eq!(read(Some("b"), "PUT", true), ["b"]);
    assert_eq!(read(Some("a"), "PUT", true), ["a"]);
    assert_eq!(buckets(None), ["a"]);
    assert_eq!(buckets(Some("a")), ["a"]);
    assert_eq!(buckets(Some("b")), ["a", "b"]);
}
