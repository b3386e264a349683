//! What hooks of the fault proxy do to the program: kill it, freeze it, or let one of its requests
//! wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use s3bundler_testbed::cli::{
    Program, Running, Said, Signal, is_alive, kill_and_wait, send, stop_and_wait,
};
use s3bundler_testbed::patience::PATIENCE;
use tokio::sync::Semaphore;

/// What the program logs once a signal has started its shutdown.
const HEARD: &str = "once more to end at once";

/// A program whose requests may arrive before its starter knows its id.
#[derive(Debug, Clone, Default)]
pub struct Victim(Arc<OnceLock<(u32, Said)>>);

impl Victim {
    /// Starts the program that this is.
    pub fn spawn(&self, program: Program) -> Running {
        let running = program.spawn().unwrap();
        self.0.set((running.pid(), running.said())).unwrap();
        running
    }

    fn pid(&self) -> u32 {
        self.0.wait().0
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // A program that has ended meanwhile is not an error.
        let _ = send(self.pid(), signal);
    }

    /// Sends it a signal and returns when it has heard it, however long that takes, or has ended.
    /// For hooks.
    pub fn tell(&self, signal: Signal) {
        self.signal(signal);
        let (pid, said) = self.0.wait();
        let begun = Instant::now();
        tokio::task::block_in_place(|| {
            while !said.stderr().contains(HEARD) && is_alive(*pid) {
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{signal:?} was not heard\n{}",
                    said.stderr()
                );
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// Kills it; it does nothing any more once this returns.
    pub fn kill(&self) {
        // A program that has ended meanwhile is not an error.
        let _ = kill_and_wait(self.pid());
    }

    /// Freezes it; it does nothing more until it is told to continue.
    fn freeze(&self) {
        // As above.
        let _ = stop_and_wait(self.pid());
    }
}

/// Freezes a program, once, and says so.
#[derive(Debug, Clone)]
pub struct Freezer {
    victim: Victim,
    done: Arc<AtomicBool>,
    told: Arc<Semaphore>,
}

impl Freezer {
    /// For this program.
    pub fn of(victim: &Victim) -> Self {
        Self {
            victim: victim.clone(),
            done: Arc::default(),
            told: Arc::new(Semaphore::new(0)),
        }
    }

    /// Freezes it unless it was frozen before. For hooks.
    pub fn freeze(&self) {
        if !self.done.swap(true, Ordering::SeqCst) {
            self.victim.freeze();
            self.told.add_permits(1);
        }
    }

    /// Waits until it is frozen.
    pub async fn frozen(&self) {
        tokio::time::timeout(PATIENCE, self.told.acquire())
            .await
            .expect("never frozen")
            .unwrap()
            .forget();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.victim.signal(Signal::Continue);
    }
}

/// Where a request waits until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self {
            arrived: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits at the gate. For hooks.
    pub fn pass(&self) {
        self.arrived.add_permits(1);
        tokio::task::block_in_place(|| {
            let open = tokio::runtime::Handle::current().block_on(self.open.acquire());
            open.unwrap().forget();
        });
    }

    /// Waits until somebody waits.
    pub async fn arrived(&self) {
        let arrived = tokio::time::timeout(PATIENCE, self.arrived.acquire()).await;
        arrived.expect("nobody came to the gate").unwrap().forget();
    }

    /// Lets one request through.
    pub fn open(&self) {
        self.open.add_permits(1);
    }
}

/// A page of a program on this machine: its status and text.
pub async fn page(port: u16, path: &str) -> Option<(String, String)> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.to_owned(), body.to_owned()))
}
