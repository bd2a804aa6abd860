//! Runs each sabotage against its case, and each case without one.
//!
//! A case may fail for a reason that has nothing to do with the sabotage: one that breaks more than its name says, or a
//! server that is gone. So it counts only when the case itself, or what cases are made of, says that something is not
//! as promised; not when the storage reports a fault, and not when the sabotage stumbles.

use std::collections::{BTreeMap, VecDeque};
use std::panic;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Case, Sabotage, sabotages};
use crate::Backend;
use crate::intercept::{Intercepted, Interceptor};

/// How long a case may take before it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of the threads that run a case, followed by the number of the run.
const THREAD: &str = "sabotage-";

/// Changes nothing.
struct Nothing;

impl Interceptor for Nothing {}

/// What a panic said, and in which file.
#[derive(Clone)]
struct Panic {
    file: String,
    message: String,
}

/// How a case ended.
enum End {
    Passed,
    Failed(Vec<Panic>),
    Hung,
}

/// One case, with a sabotage or without.
struct Run {
    sabotage: Option<Sabotage>,
    case: Case,
}

/// What a test binary without Rust's own harness does: runs every sabotage whose name, or whose case's name, holds
/// one of the words on the command line, on new backends from `setup`, and prints a line for each. Fails unless all
/// are caught, and all cases pass without them.
pub fn main<F: Future<Output = Backend>>(setup: impl Fn() -> F + Sync) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let words: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |sabotage: &Sabotage| {
        let holds = |word: &&String| {
            sabotage.name.contains(word.as_str()) || sabotage.caught_by.name.contains(word.as_str())
        };
        words.is_empty() || words.iter().any(holds)
    };
    let wanted: Vec<_> = sabotages().into_iter().filter(is_wanted).collect();
    let start = Instant::now();
    let count = wanted.len();
    let problems = run_all(wanted, &setup);
    let seconds = start.elapsed().as_secs_f64();
    println!("{} of {count} sabotages caught, in {seconds:.1} s", count - problems.min(count));
    if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns how many did not end as they must.
fn run_all<F: Future<Output = Backend>>(wanted: Vec<Sabotage>, setup: &(impl Fn() -> F + Sync)) -> usize {
    let controls: BTreeMap<_, _> =
        wanted.iter().map(|sabotage| (sabotage.caught_by.name, sabotage.caught_by)).collect();
    let controls = controls.into_values().map(|case| Run { sabotage: None, case });
    let sabotaged = wanted.into_iter().map(|sabotage| {
        let case = sabotage.caught_by;
        Run { sabotage: Some(sabotage), case }
    });
    let runs: VecDeque<_> = controls.chain(sabotaged).enumerate().collect();
    let (runs, problems) = (Mutex::new(runs), Mutex::new(0));
    let panics = Arc::new(Mutex::new(BTreeMap::<String, Vec<Panic>>::new()));
    let before = collect_panics(Arc::clone(&panics));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = runs.lock().unwrap().pop_front();
                    let Some((number, run)) = next else { return };
                    let name = format!("{THREAD}{number}");
                    let end = on_a_thread(&name, &run, setup, &panics);
                    if !report(&run, &end) {
                        *problems.lock().unwrap() += 1;
                    }
                }
            });
        }
    });
    panic::set_hook(before);
    problems.into_inner().unwrap()
}

type Hook = Box<dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync>;

/// Keeps what panics say by the thread's name, and prints nothing; other threads' panics go where they went before.
fn collect_panics(panics: Arc<Mutex<BTreeMap<String, Vec<Panic>>>>) -> Hook {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let Some(name) = thread.name().filter(|name| name.starts_with(THREAD)) else {
            eprintln!("{info}");
            return;
        };
        let file = info.location().map(|location| location.file().replace('\\', "/")).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or_default().to_owned();
        panics.lock().unwrap().entry(name.to_owned()).or_default().push(Panic { file, message });
    }));
    before
}

/// Runs a case on a runtime of its own, all of whose threads have this name.
fn on_a_thread<F: Future<Output = Backend>>(
    name: &str,
    run: &Run,
    setup: &(impl Fn() -> F + Sync),
    panics: &Mutex<BTreeMap<String, Vec<Panic>>>,
) -> End {
    let interceptor = run
        .sabotage
        .as_ref()
        .map_or_else(|| Arc::new(Nothing) as Arc<dyn Interceptor>, |sabotage| (sabotage.interceptor)());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async {
        let mut backend = setup().await;
        let Some(storage) = backend.storage.take() else { return Some(Ok(())) };
        let storage = Arc::new(Intercepted::new(storage, interceptor));
        let case = tokio::spawn((run.case.run)(storage));
        let ended = tokio::time::timeout(PATIENCE, case).await;
        drop(backend);
        ended.ok()
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Some(Ok(())) => End::Passed,
        Some(Err(_)) => End::Failed(panics.lock().unwrap().remove(name).unwrap_or_default()),
        None => End::Hung,
    }
}

/// Whether it is the case that is not content, and not the storage or the sabotage that has a fault.
fn is_a_verdict(panics: &[Panic]) -> bool {
    let is_a_fault = |panic: &Panic| {
        let by_the_suite = !panic.file.contains("/sabotage/") && !panic.file.ends_with("/intercept.rs");
        !by_the_suite || panic.message.contains("StorageError")
    };
    !panics.is_empty() && !panics.iter().any(is_a_fault)
}

/// Prints how a run ended, and returns whether it ended as it must.
fn report(run: &Run, end: &End) -> bool {
    let case = run.case.name;
    match (&run.sabotage, end) {
        (None, End::Passed) => true,
        (None, end) => {
            println!("FAILED without a sabotage: {case}{}", told(end));
            false
        }
        (Some(sabotage), End::Failed(panics)) if is_a_verdict(panics) => {
            println!("{:60} caught by {case}", sabotage.name);
            true
        }
        (Some(sabotage), End::Passed) => {
            println!("{:60} NOT CAUGHT by {case}", sabotage.name);
            false
        }
        (Some(sabotage), end) => {
            println!("{:60} NOT JUDGED by {case}{}", sabotage.name, told(end));
            false
        }
    }
}

fn told(end: &End) -> String {
    match end {
        End::Passed => String::new(),
        End::Hung => format!("\n    it still ran after {} s", PATIENCE.as_secs()),
        End::Failed(panics) => {
            panics.iter().map(|panic| format!("\n    {}: {}", panic.file, panic.message)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Panic, is_a_verdict};

    fn panic(file: &str, message: &str) -> Panic {
        Panic { file: file.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn only_the_suite_judges() {
        let content = panic("crates/suite/src/cases/tenants.rs", "left == right");
        assert!(is_a_verdict(std::slice::from_ref(&content)));
        assert!(!is_a_verdict(&[]));
        let fault = panic("crates/suite/src/fixture.rs", "called unwrap() on StorageError { kind: Busy }");
        assert!(!is_a_verdict(&[content, fault]));
        assert!(!is_a_verdict(&[panic("crates/suite/src/sabotage/rows.rs", "left == right")]));
    }
}
