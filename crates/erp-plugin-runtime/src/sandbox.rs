//! A guest alive: its store, armed before anything of it runs, and dropped after its call.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use erp_plugin_host_api::{Invocation, WriterWatch, escape_control};
use erp_plugin_model::usage::Usage;
use tokio::time::{Sleep, sleep_until};
use wasmtime::{CallHook, Store, StoreContextMut, UpdateDeadline};

use crate::contract::{BoundExports, Export};
use crate::engine::Engine;
use crate::failure::{GuestFailure, HostWorkOutOfFuel, Overtime};
use crate::limiter::Limiter;
use crate::plugin::LoadedPlugin;
use crate::state::HostState;
use crate::ticker::TickGuard;

/// What a host call may bring beyond the limit on all of them before Wasmtime stops it: the host's own check answers
/// with a proper error, Wasmtime's can only trap.
const COPY_SLACK: usize = 64 << 10;
/// The most resource handles of a guest. No contract has resources yet; a guest can make its own.
const MAX_HANDLES: usize = 1_000;
/// The longest error that a guest can return, in bytes.
const MAX_ERROR: usize = 4 << 10;

/// The end of a call: the invocation is handed back, to be committed or rolled back.
pub struct Called {
    /// The invocation.
    pub invocation: Invocation,
    /// `Ok(Err(…))` is the guest's own error.
    pub result: Result<Result<(), String>, GuestFailure>,
    /// Fuel and memory used.
    pub measured: Usage,
}

/// A guest that is alive; never called again after a failure.
pub struct Sandbox {
    store: Store<HostState>,
    exports: Box<dyn BoundExports>,
    fuel: u64,
    _tick: TickGuard,
}

impl LoadedPlugin {
    /// Calls an export in a fresh sandbox.
    pub async fn call(&self, invocation: Invocation, export: &Export) -> Called {
        match self.sandbox(invocation).await {
            Ok(mut sandbox) => {
                let result = sandbox.call(export).await;
                sandbox.into_called(result)
            }
            Err(called) => *called,
        }
    }

    /// Makes a sandbox for an invocation: limits first, then the instance.
    pub async fn sandbox(&self, invocation: Invocation) -> Result<Sandbox, Box<Called>> {
        let engine = self.engine();
        let tick = engine.running();
        let (mut store, fuel) = armed(engine, invocation);
        let bounds = Bounds::of(&store);
        let ended = bounded(bounds, async {
            let instance = self.pre().instantiate_async(&mut store).await?;
            self.exports().bind(&mut store, &instance)
        })
        .await;
        match judge(&store, ended) {
            Ok(exports) => Ok(Sandbox { store, exports, fuel, _tick: tick }),
            Err(failure) => Err(Box::new(called(store, fuel, Err(failure)))),
        }
    }
}

impl Sandbox {
    /// Calls an export.
    pub async fn call(&mut self, export: &Export) -> Result<Result<(), String>, GuestFailure> {
        let bounds = Bounds::of(&self.store);
        let ended = bounded(bounds, self.exports.call(&mut self.store, export)).await;
        judge(&self.store, ended).map(|answer| answer.map_err(|text| escape_control(&text, MAX_ERROR)))
    }

    /// Ends the sandbox.
    #[must_use]
    pub fn into_called(self, result: Result<Result<(), String>, GuestFailure>) -> Called {
        called(self.store, self.fuel, result)
    }
}

fn armed(engine: &Engine, invocation: Invocation) -> (Store<HostState>, u64) {
    let limits = invocation.budget().limits();
    let limiter = Limiter::new(limits.memory);
    let (fuel, total_bytes) = (limits.fuel, limits.total_bytes);
    let mut store = Store::new(engine.wasmtime(), HostState { invocation, limiter });
    store.limiter(|state| &mut state.limiter);
    store.set_max_component_handles(MAX_HANDLES);
    store.set_hostcall_fuel(usize::try_from(total_bytes).unwrap_or(usize::MAX).saturating_add(COPY_SLACK));
    if engine.options().epochs {
        store.epoch_deadline_callback(on_tick);
        store.set_epoch_deadline(1);
    }
    if engine.options().fuel {
        store.call_hook(charge_host_work);
        // Fails only where fuel is not counted.
        drop(store.set_fuel(fuel));
    }
    (store, fuel)
}

/// Looks at a guest that computes, at each tick.
fn on_tick(store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data();
    let now = Instant::now();
    if now >= state.invocation.deadline() {
        return Err(Overtime::Deadline.into());
    }
    match state.invocation.writer_watch().until() {
        Some(writer) if now >= writer => Err(Overtime::WriterHold.into()),
        // Whoever holds the writer is the one that all others wait for.
        Some(_) => Ok(UpdateDeadline::Continue(1)),
        None => Ok(UpdateDeadline::Yield(1)),
    }
}

/// Takes what the host's work has cost out of the guest's fuel, before the guest goes on.
fn charge_host_work(mut store: StoreContextMut<'_, HostState>, hook: CallHook) -> wasmtime::Result<()> {
    if !matches!(hook, CallHook::ReturningFromHost) {
        return Ok(());
    }
    let debt = store.data_mut().invocation.budget_mut().take_fuel_debt();
    let fuel = store.get_fuel()?;
    store.set_fuel(fuel.saturating_sub(debt))?;
    if debt > fuel { Err(HostWorkOutOfFuel.into()) } else { Ok(()) }
}

/// How a piece of a guest's life ended.
enum Ended<T> {
    Returned(wasmtime::Result<T>),
    Overtime(Overtime),
    HostPanic(Box<dyn Any + Send>),
}

/// When a piece of a guest's life must have ended, even if it waits for the host.
struct Bounds {
    deadline: Instant,
    writer: Arc<WriterWatch>,
}

impl Bounds {
    fn of(store: &Store<HostState>) -> Self {
        let invocation = &store.data().invocation;
        Self { deadline: invocation.deadline(), writer: Arc::clone(invocation.writer_watch()) }
    }

    /// The first of the two times, and what it means to reach it.
    fn next(&self) -> (Instant, Overtime) {
        match self.writer.until() {
            Some(writer) if writer < self.deadline => (writer, Overtime::WriterHold),
            _ => (self.deadline, Overtime::Deadline),
        }
    }
}

/// Runs a piece of a guest's life: not past its bounds, and never beyond this function if the host panics.
async fn bounded<T>(bounds: Bounds, work: impl Future<Output = wasmtime::Result<T>>) -> Ended<T> {
    let mut work = pin!(work);
    // Set at the first wait: most guests never do.
    let mut timer = pin!(None::<Sleep>);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        // A guest that waited in the host beyond its deadline must not be committed because it then ended quickly.
        Ok(Poll::Ready(Ok(_))) if Instant::now() >= bounds.deadline => {
            Poll::Ready(Ended::Overtime(Overtime::Deadline))
        }
        Ok(Poll::Ready(result)) => Poll::Ready(Ended::Returned(result)),
        Ok(Poll::Pending) => {
            let (until, overtime) = bounds.next();
            let until = until.into();
            if timer.as_ref().as_pin_ref().is_none_or(|timer| timer.deadline() != until) {
                timer.set(Some(sleep_until(until)));
            }
            match timer.as_mut().as_pin_mut() {
                Some(timer) => timer.poll(context).map(|()| Ended::Overtime(overtime)),
                None => Poll::Pending,
            }
        }
        Err(panic) => Poll::Ready(Ended::HostPanic(panic)),
    })
    .await
}

fn judge<T>(store: &Store<HostState>, ended: Ended<T>) -> Result<T, GuestFailure> {
    let state = store.data();
    let failed = |error| {
        Err(GuestFailure::from_wasmtime(error, state.limiter.denied(), state.invocation.budget().limits()))
    };
    match ended {
        Ended::Returned(Ok(value)) => Ok(value),
        Ended::Returned(Err(error)) => failed(error),
        Ended::Overtime(overtime) => failed(overtime.into()),
        Ended::HostPanic(panic) => Err(GuestFailure::host_panic(&*panic)),
    }
}

fn called(store: Store<HostState>, fuel: u64, result: Result<Result<(), String>, GuestFailure>) -> Called {
    let left = store.get_fuel().ok();
    let state = store.into_data();
    let measured = Usage {
        fuel: left.map_or(0, |left| fuel.saturating_sub(left)),
        peak_memory: state.limiter.peak(),
        ..Usage::default()
    };
    Called { invocation: state.invocation, result, measured }
}
