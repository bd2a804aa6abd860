//! Which of the other workers are dead.
//!
//! Decided by the clock of whoever watches, from when it saw a sign of life for the first time: no clock of another machine
//! is asked, and none that jumps has a say.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use erp_plugin_model::WorkerId;
use erp_plugin_storage::WorkerState;

/// What is known of the other workers.
#[derive(Default)]
pub(super) struct Liveness {
    known: HashMap<WorkerId, Seen>,
}

struct Seen {
    beat: i64,
    since: Instant,
    /// Whether it gave another sign since it was seen first.
    lives: bool,
}

/// What became of a look at the workers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Those that gave no sign of life for a lease.
    pub(super) dead: Vec<WorkerState>,
    /// Whether somebody has something in hand who may be dead.
    pub(super) is_open: bool,
}

impl Liveness {
    pub(super) fn look(
        &mut self,
        workers: &[WorkerState],
        own: WorkerId,
        now: Instant,
        lease: Duration,
    ) -> Verdict {
        let others = workers.iter().filter(|state| state.worker != own);
        let mut known = HashMap::new();
        let mut verdict = Verdict::default();
        for state in others {
            let seen = match self.known.remove(&state.worker) {
                Some(seen) if seen.beat == state.beat => seen,
                Some(_) => Seen { beat: state.beat, since: now, lives: true },
                None => Seen { beat: state.beat, since: now, lives: false },
            };
            if now.saturating_duration_since(seen.since) >= lease {
                verdict.dead.push(*state);
                continue;
            }
            verdict.is_open |= state.is_busy && !seen.lives;
            known.insert(state.worker, seen);
        }
        self.known = known;
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_no_sign_for_a_lease_is_dead() {
        let (own, other) = (WorkerId(uuid::Uuid::from_u128(1)), WorkerId(uuid::Uuid::from_u128(2)));
        let state = |beat| WorkerState { worker: other, beat, is_busy: true };
        let (begin, lease) = (Instant::now(), Duration::from_secs(10));
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut liveness = Liveness::default();
        let mut look = |beat, seconds| liveness.look(&[state(beat)], own, at(seconds), lease);
        let (open, nothing) = (Verdict { dead: vec![], is_open: true }, Verdict::default());
        assert_eq!(look(1, 0), open);
        assert_eq!(look(1, 9), open);
        // A sign of life, and the lease begins anew.
        assert_eq!(look(2, 9), nothing);
        assert_eq!(look(2, 18), nothing);
        assert_eq!(look(2, 19), Verdict { dead: vec![state(2)], is_open: false });
        // Whoever comes back is new.
        assert_eq!(look(2, 20), open);
    }

    #[test]
    fn nobody_waits_for_himself_or_for_the_idle() {
        let (own, other) = (WorkerId(uuid::Uuid::from_u128(1)), WorkerId(uuid::Uuid::from_u128(2)));
        let workers = [
            WorkerState { worker: own, beat: 1, is_busy: true },
            WorkerState { worker: other, beat: 1, is_busy: false },
        ];
        let verdict = Liveness::default().look(&workers, own, Instant::now(), Duration::from_secs(1));
        assert_eq!(verdict, Verdict::default());
    }
}
