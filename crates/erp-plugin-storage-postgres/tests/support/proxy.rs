//! What stands between a storage and its server and does to COMMIT what networks do: once, when it is told to.

#![allow(clippy::indexing_slicing, reason = "messages are whole when they are looked at")]

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::Database;

/// What becomes of the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never reaches the server, which is told that the connection is gone.
    CutBefore,
    /// The server has it, and its answer gets lost with the connection.
    CutAfter,
    /// It is on its way still when the client is told that the connection is gone; the server notices nothing.
    HoldCommit,
    /// As before, from the invocation's record on, which is sent with it.
    HoldRecord,
}

/// What a fault holds back.
pub(crate) struct Held {
    bytes: Vec<u8>,
    server: Server,
}

type Server = Box<dyn Stream>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The way to a server.
pub(crate) struct Proxy {
    pub(crate) url: String,
    next: Arc<Mutex<Option<Fault>>>,
    held: mpsc::UnboundedReceiver<Held>,
}

impl Proxy {
    pub(crate) async fn to(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config: Config = database.url.parse().unwrap();
        let url =
            format!("postgres://{}@127.0.0.1:{port}/{}?sslmode=disable", database.host_user, database.name());
        let next = Arc::new(Mutex::new(None));
        let (sender, held) = mpsc::unbounded_channel();
        let faults = Arc::clone(&next);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = reach(&config).await;
                tokio::spawn(carry(client, server, Arc::clone(&faults), sender.clone()));
            }
        });
        Self { url, next, held }
    }

    /// Has this happen to the next commit, and to no other.
    pub(crate) fn set(&self, fault: Fault) {
        *self.next.lock().unwrap() = Some(fault);
    }

    /// Whether what was to happen has happened.
    pub(crate) fn has_struck(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }

    /// What was held back.
    pub(crate) async fn held(&mut self) -> Held {
        self.held.recv().await.unwrap()
    }
}

impl Held {
    /// Lets it arrive after all, and gives what the server answers: how each statement was completed, or that it was
    /// not.
    pub(crate) async fn arrive(mut self) -> Vec<String> {
        self.server.write_all(&self.bytes).await.unwrap();
        let (mut answered, mut ends) = (Messages::default(), Vec::<String>::new());
        while !ends.last().is_some_and(|end| ["COMMIT", "ROLLBACK"].contains(&end.as_str())) {
            assert!(answered.read(&mut self.server).await, "closed after {ends:?}");
            while let Some(message) = answered.take(1) {
                match message[0] {
                    b'C' => ends.push(String::from_utf8(message[5..message.len() - 1].to_vec()).unwrap()),
                    b'E' => ends.push("refused".to_owned()),
                    _ => {}
                }
            }
        }
        ends
    }
}

async fn reach(config: &Config) -> Server {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match &config.get_hosts()[0] {
        Host::Tcp(name) => Box::new(TcpStream::connect((name.as_str(), port)).await.unwrap()),
        Host::Unix(folder) => {
            Box::new(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await.unwrap())
        }
    }
}

/// Messages with a type and a length, out of bytes as they come.
#[derive(Default)]
struct Messages(Vec<u8>);

impl Messages {
    /// Whether there was something to read.
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) -> bool {
        matches!(from.read_buf(&mut self.0).await, Ok(bytes) if bytes > 0)
    }

    /// A whole message whose length stands behind so many bytes.
    fn take(&mut self, before: usize) -> Option<Vec<u8>> {
        let length = self.0.get(before..before + 4)?;
        let length = before + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        (self.0.len() >= length).then(|| self.0.drain(..length).collect())
    }
}

fn is_commit(message: &[u8]) -> bool {
    message[0] == b'Q' && message.ends_with(b"COMMIT\0")
}

/// Values for the record of an invocation that the tests call so.
fn is_record(message: &[u8]) -> bool {
    message[0] == b'B' && message.windows(RECORD.len()).any(|part| part == RECORD.as_bytes())
}

/// How a record is marked that is to be held.
pub(crate) const RECORD: &str = "to be held back";

async fn carry(
    mut client: TcpStream,
    mut server: Server,
    next: Arc<Mutex<Option<Fault>>>,
    held: mpsc::UnboundedSender<Held>,
) {
    let (mut asked, mut answered) = (Messages::default(), Messages::default());
    let (mut begun, mut is_deaf, mut holding) = (false, false, None::<Vec<u8>>);
    loop {
        // Whichever end is closed, the other one is too.
        let is_open = tokio::select! {
            is_open = asked.read(&mut client) => is_open,
            is_open = answered.read(&mut server) => is_open,
        };
        if !is_open {
            return;
        }
        // The first message has no type.
        while let Some(message) = asked.take(usize::from(begun)) {
            if begun {
                match strike(&next, &message) {
                    None => {}
                    Some(Fault::CutBefore) => return,
                    Some(Fault::CutAfter) => is_deaf = true,
                    Some(Fault::HoldCommit | Fault::HoldRecord) => holding = Some(Vec::new()),
                }
            }
            begun = true;
            let Some(bytes) = &mut holding else {
                if server.write_all(&message).await.is_err() {
                    return;
                }
                continue;
            };
            bytes.extend_from_slice(&message);
            if is_commit(&message) {
                drop(client);
                drop(held.send(Held { bytes: std::mem::take(bytes), server }));
                return;
            }
        }
        while let Some(message) = answered.take(1) {
            if is_deaf && message.ends_with(b"COMMIT\0") {
                return;
            }
            if !is_deaf && client.write_all(&message).await.is_err() {
                return;
            }
        }
    }
}

/// What happens at this message. It happens once.
fn strike(next: &Mutex<Option<Fault>>, message: &[u8]) -> Option<Fault> {
    let mut next = next.lock().unwrap();
    let strikes = match *next {
        Some(Fault::HoldRecord) => is_record(message),
        Some(Fault::CutBefore | Fault::CutAfter | Fault::HoldCommit) => is_commit(message),
        None => false,
    };
    if strikes { next.take() } else { None }
}
