//! What every transaction has: a connection, a deadline, and the knowledge whether it still stands.
//!
//! BEGIN is sent with the first statement and not before, in one go, so that it costs no round trip of its own. Should
//! it fail and the statement behind it run by itself, that has neither role nor tenant, and is refused.
//!
//! Postgres ends a transaction at its first error, so after any error but those that are caught behind a savepoint the
//! session is lost: it answers [`TransactionLost`](ErrorKind::TransactionLost) until it ends. A connection goes back
//! to the pool only when the end was clean; in every other case, a future that was dropped half-way included, it is
//! closed, and no later transaction can find anything of this one on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use erp_plugin_storage::{ErrorKind, Mode, StorageResult, TransactionOptions};
use futures_util::future::join;
use tokio::time::timeout_at;

use crate::client::Client;
use crate::connection::Connections;
use crate::error::{Error, Result};
use crate::turns::Turn;

/// How much longer than the server's own time-out its answer is waited for.
const GRACE: Duration = Duration::from_millis(250);
/// How long the answer to a commit is waited for at most, whatever the deadline: what it says is worth knowing.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// A connection for the length of a transaction. Dropping it closes the connection, unless nothing was sent.
pub(crate) struct Session {
    client: Arc<Client>,
    state: State,
    mode: Mode,
    deadline: Instant,
    /// Given back after the connection.
    _turn: Turn,
    /// Where the connection came from.
    connections: Connections,
}

enum State {
    /// Nothing was sent yet; this begins it.
    Unsent(String),
    /// Under way.
    Open,
    /// Gone with an error; the connection answers, if it is said so.
    Lost { connected: bool },
    /// Ended cleanly.
    Ended,
}

/// How a commit ended.
pub(crate) enum Committed {
    Yes,
    /// The connection was lost before the answer: nobody knows yet.
    Unknown,
}

impl Session {
    pub(crate) fn new(
        client: Object,
        turn: Turn,
        begin: String,
        options: TransactionOptions,
        connections: Connections,
    ) -> Self {
        let client = Client::new(client, options.mode == Mode::Migrate);
        Self {
            client: Arc::new(client),
            state: State::Unsent(begin),
            mode: options.mode,
            deadline: options.deadline,
            _turn: turn,
            connections,
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The connection, for the statements that [`run`](Self::run) is given.
    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }

    /// As [`run`](Self::run), for what writes.
    pub(crate) async fn write<T>(
        &mut self,
        operation: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> StorageResult<T> {
        self.check_mode(operation)?;
        self.run(operation, work).await
    }

    /// Refuses what a read transaction may not do.
    pub(crate) fn check_mode(&self, operation: &'static str) -> StorageResult<()> {
        if self.mode.writes() {
            Ok(())
        } else {
            Err(Error::Misuse("a write in a read transaction").at(operation))
        }
    }

    /// Sends statements, behind BEGIN if they are the first, and waits for their answers until the deadline.
    pub(crate) async fn run<T>(
        &mut self,
        operation: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> StorageResult<T> {
        self.check_time().map_err(|error| error.at(operation))?;
        let begin = match std::mem::replace(&mut self.state, State::Open) {
            State::Unsent(begin) => Some(begin),
            _ => None,
        };
        let client = Arc::clone(&self.client);
        let both = async {
            match begin {
                None => work.await,
                Some(begin) => {
                    let (begun, done) = join(client.batch(&begin), work).await;
                    begun.and(done)
                }
            }
        };
        let done = timeout_at((self.deadline + GRACE).into(), both).await;
        self.ended(done.unwrap_or(Err(Error::Kind(ErrorKind::DeadlineExceeded))), operation)
    }

    fn ended<T>(&mut self, done: Result<T>, operation: &'static str) -> StorageResult<T> {
        done.map_err(|error| {
            match &error {
                // The answer may still come: the connection cannot be used.
                Error::Kind(ErrorKind::DeadlineExceeded) => self.state = State::Lost { connected: false },
                // A table is another than it was, for whatever is prepared on other connections too.
                error if error.kind() == ErrorKind::SchemaChanged => {
                    self.state = State::Lost { connected: false };
                    self.connections.forget_tables();
                }
                error if error.ends_transaction() => {
                    self.state = State::Lost { connected: !error.ends_connection() };
                }
                _ => {}
            }
            error.at(operation)
        })
    }

    fn check_time(&self) -> Result<()> {
        if matches!(self.state, State::Lost { .. } | State::Ended) {
            return Err(Error::Kind(ErrorKind::TransactionLost));
        }
        if Instant::now() >= self.deadline {
            return Err(Error::Kind(ErrorKind::DeadlineExceeded));
        }
        Ok(())
    }

    /// Ends the transaction and keeps what it wrote, sending nothing else.
    pub(crate) async fn commit_alone(&mut self) -> StorageResult<Committed> {
        let client = self.client();
        // Whoever stopped reading an answer does not know how it ended, and COMMIT does not tell either.
        self.commit(async { Ok(()) }, async { client.batch("SELECT 1").await }).await
    }

    /// Ends the transaction and keeps what it wrote. What `last` sends goes out in one go with COMMIT and must succeed;
    /// `prepare` makes that possible.
    pub(crate) async fn commit(
        &mut self,
        prepare: impl Future<Output = Result<()>>,
        last: impl Future<Output = Result<()>>,
    ) -> StorageResult<Committed> {
        self.run("commit", prepare).await?;
        // Until the answer is here, whoever drops this has the connection closed.
        self.state = State::Lost { connected: false };
        let patience = (self.deadline + GRACE).max(Instant::now() + COMMIT_PATIENCE);
        let client = Arc::clone(&self.client);
        let Ok((done, committed)) = timeout_at(patience.into(), join(last, client.batch("COMMIT"))).await
        else {
            return Ok(Committed::Unknown);
        };
        // COMMIT of a transaction that failed says that it was rolled back, which is no error; what went before is.
        match done.and(committed) {
            Ok(()) => {
                self.state = State::Ended;
                Ok(Committed::Yes)
            }
            Err(error) if error.ends_connection() => Ok(Committed::Unknown),
            Err(error) => {
                // Also a COMMIT that was refused has ended it.
                self.state = State::Ended;
                Err(error.at("commit"))
            }
        }
    }

    /// Ends the transaction and keeps nothing. The connection is good afterwards, or closed.
    pub(crate) async fn rollback(&mut self) {
        let was = std::mem::replace(&mut self.state, State::Lost { connected: false });
        match was {
            State::Unsent(_) | State::Ended => self.state = State::Ended,
            State::Open | State::Lost { connected: true } => {
                let patience = (self.deadline + GRACE).max(Instant::now() + COMMIT_PATIENCE);
                let client = Arc::clone(&self.client);
                if let Ok(Ok(())) = timeout_at(patience.into(), client.batch("ROLLBACK")).await {
                    self.state = State::Ended;
                }
            }
            State::Lost { connected: false } => {}
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !matches!(self.state, State::Ended | State::Unsent(_)) {
            self.client.spoil();
        }
    }
}
