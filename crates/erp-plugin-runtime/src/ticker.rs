//! The engine's epoch ticker. Owned by the engine, so that an embedder cannot forget it, and asleep when no guest
//! runs for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

/// How often a running guest is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// How many ticks without a guest the ticker waits before it sleeps: to wake it costs more than many ticks.
const IDLE_TICKS: u32 = 200;

#[derive(Debug, Default)]
struct Running {
    guests: AtomicUsize,
    /// Whether the ticker sleeps until it is woken.
    asleep: AtomicBool,
    stopped: AtomicBool,
}

/// Counts running guests and ticks while there are any.
#[derive(Debug)]
pub(crate) struct Ticker {
    running: Arc<Running>,
    thread: Thread,
}

/// A guest that runs; dropped when it stops.
#[derive(Debug)]
pub(crate) struct TickGuard(Arc<Running>);

impl Ticker {
    pub(crate) fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let running = Arc::new(Running::default());
        let watched = Arc::clone(&running);
        let handle = std::thread::Builder::new()
            .name("erp-plugin-ticker".to_owned())
            .spawn(move || tick(&watched, &engine))?;
        Ok(Self { running, thread: handle.thread().clone() })
    }

    pub(crate) fn guard(&self) -> TickGuard {
        self.running.guests.fetch_add(1, Ordering::SeqCst);
        // Either this sees that the ticker sleeps, or the ticker, which says so first, sees the guest.
        if self.running.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        TickGuard(Arc::clone(&self.running))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.running.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for TickGuard {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(running: &Running, engine: &wasmtime::Engine) {
    let mut idle = 0;
    while !running.stopped.load(Ordering::SeqCst) {
        if running.guests.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else if idle < IDLE_TICKS {
            idle += 1;
        } else {
            running.asleep.store(true, Ordering::SeqCst);
            if running.guests.load(Ordering::SeqCst) == 0 && !running.stopped.load(Ordering::SeqCst) {
                std::thread::park();
            }
            running.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
        std::thread::sleep(TICK);
        engine.increment_epoch();
    }
}
