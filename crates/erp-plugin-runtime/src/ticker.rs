//! The engine's epoch ticker. Owned by the engine, so that an embedder cannot forget it, and asleep while no guest
//! runs.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How often a running guest is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Running {
    guests: Mutex<usize>,
    wake: Condvar,
}

/// Counts running guests and ticks while there are any.
#[derive(Debug)]
pub(crate) struct Ticker {
    running: Arc<Running>,
}

/// A guest that runs; dropped when it stops.
#[derive(Debug)]
pub(crate) struct TickGuard(Arc<Running>);

impl Ticker {
    pub(crate) fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let running = Arc::new(Running::default());
        let watched = Arc::downgrade(&running);
        std::thread::Builder::new()
            .name("erp-plugin-ticker".to_owned())
            .spawn(move || tick(&watched, &engine))?;
        Ok(Self { running })
    }

    pub(crate) fn guard(&self) -> TickGuard {
        let mut guests = self.running.guests.lock().unwrap_or_else(PoisonError::into_inner);
        *guests += 1;
        if *guests == 1 {
            self.running.wake.notify_one();
        }
        TickGuard(Arc::clone(&self.running))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.running.wake.notify_all();
    }
}

impl Drop for TickGuard {
    fn drop(&mut self) {
        *self.0.guests.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

fn tick(watched: &Weak<Running>, engine: &wasmtime::Engine) {
    while let Some(running) = watched.upgrade() {
        let guests = running.guests.lock().unwrap_or_else(PoisonError::into_inner);
        if *guests == 0 {
            // Bounded, so that a dropped engine is noticed even if its last wake-up came before the wait.
            drop(running.wake.wait_timeout(guests, Duration::from_secs(1)));
            continue;
        }
        drop(guests);
        drop(running);
        std::thread::sleep(TICK);
        engine.increment_epoch();
    }
}
