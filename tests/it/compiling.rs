//! From a component to native code: kept between starts, never taken from anybody else, and made where it can do no
//! harm.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use erp_plugin::{CodeCache, EngineOptions, HostFailure, LoadError, PluginHostBuilder, ProcessCompiler};
use erp_plugin_runtime::{CompileError, Compiler, Engine, InProcessCompiler};
use erp_plugin_tests::{Database, Platform, guests};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::mpsc;

const PLUGIN: &str = "atomic";

/// What the compilers of this file are for: the options of a host that was told nothing else.
fn engine() -> Engine {
    Engine::new(EngineOptions::default()).unwrap()
}

/// Compiles, and counts how often.
struct Counting {
    compiler: InProcessCompiler,
    compiled: Arc<AtomicU32>,
}

impl Counting {
    fn new(options: EngineOptions) -> (Self, Arc<AtomicU32>) {
        let compiled = Arc::new(AtomicU32::new(0));
        let compiler = InProcessCompiler::new(Engine::new(options).unwrap());
        (Self { compiler, compiled: Arc::clone(&compiled) }, compiled)
    }
}

#[async_trait]
impl Compiler for Counting {
    async fn compile(&self, wasm: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        self.compiled.fetch_add(1, Ordering::SeqCst);
        self.compiler.compile(wasm).await
    }
}

/// Compiles nothing.
struct Refusing;

#[async_trait]
impl Compiler for Refusing {
    async fn compile(&self, _: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        Err(CompileError::Failed("nothing was to be compiled".to_owned()))
    }
}

/// A machine whose host is started again and again.
struct Machine {
    folder: TempDir,
    database: Database,
}

impl Machine {
    /// With the plugin installed, and its code in the cache.
    async fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap(), database: Database::lasting().await };
        let platform = machine.start(|builder| builder).await;
        platform.enable(PLUGIN, guests::hostile("atomic")).await;
        machine
    }

    fn code(&self) -> PathBuf {
        self.folder.path().join("code")
    }

    fn cache(&self) -> CodeCache {
        CodeCache::open(&self.code(), &self.folder.path().join("key"), || [7; 32]).unwrap()
    }

    async fn start(&self, change: impl FnOnce(PluginHostBuilder) -> PluginHostBuilder) -> Platform {
        Platform::on(self.database.url(), |builder| change(builder.code_cache(self.cache()))).await
    }

    /// How often a start and a call compile.
    async fn compilations(&self) -> u32 {
        let (compiler, compiled) = Counting::new(EngineOptions::default());
        runs(&self.start(|builder| builder.compiler(compiler)).await).await;
        compiled.load(Ordering::SeqCst)
    }

    /// The entries of a component.
    fn entries(&self, component: &[u8]) -> Vec<PathBuf> {
        let hash = Sha256::digest(component);
        let hash: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let entries = fs::read_dir(self.code()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&hash)).collect()
    }

    fn entry(&self) -> PathBuf {
        let [entry] = self.entries(&guests::hostile("atomic")).try_into().unwrap();
        entry
    }
}

async fn runs(platform: &Platform) {
    let before = platform.records("atomic.thing").await.len();
    let report = platform.call(PLUGIN, "any.event", &json!({})).await;
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    assert_eq!(platform.records("atomic.thing").await.len(), before + 1);
}

#[tokio::test]
async fn a_second_start_runs_the_code_of_the_first() {
    let machine = Machine::new().await;
    runs(&machine.start(|builder| builder.compiler(Refusing)).await).await;
}

#[tokio::test]
async fn without_a_cache_each_start_compiles_once() {
    let database = Database::lasting().await;
    for start in 0..2 {
        let (compiler, compiled) = Counting::new(EngineOptions::default());
        let platform = Platform::on(database.url(), |builder| builder.compiler(compiler)).await;
        if start == 0 {
            platform.enable(PLUGIN, guests::hostile("atomic")).await;
        }
        runs(&platform).await;
        runs(&platform).await;
        assert_eq!(compiled.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn an_entry_that_was_changed_is_compiled_again_and_replaced() {
    let machine = Machine::new().await;
    let entry = machine.entry();
    let good = fs::read(&entry).unwrap();
    let middle = good.len() / 2;
    let mut flipped = good.clone();
    flipped[middle] ^= 1;
    for bad in [flipped, good[..middle].to_vec(), good[..20].to_vec(), Vec::new(), vec![0; 4096]] {
        fs::write(&entry, &bad).unwrap();
        assert_eq!(machine.compilations().await, 1, "{} bytes", bad.len());
        assert_ne!(fs::read(&entry).unwrap(), bad);
        assert_eq!(machine.compilations().await, 0, "it was replaced");
    }
    fs::remove_file(&entry).unwrap();
    assert_eq!(machine.compilations().await, 1);
    assert_eq!(machine.compilations().await, 0);
}

/// In a folder that anybody may write to: what counts is the seal.
#[tokio::test]
async fn code_that_somebody_planted_does_not_run() {
    let machine = Machine::new().await;
    fs::set_permissions(machine.code(), fs::Permissions::from_mode(0o777)).unwrap();
    let other = guests::hostile("12-compute");
    machine.start(|builder| builder).await.enable("other", other.clone()).await;
    let [others] = machine.entries(&other).try_into().unwrap();
    let bare = engine().compile(&other).unwrap();
    for planted in [fs::read(others).unwrap(), bare] {
        fs::write(machine.entry(), planted).unwrap();
        assert_eq!(machine.compilations().await, 1);
        assert_eq!(machine.compilations().await, 0);
    }
}

#[tokio::test]
async fn code_for_another_engine_is_compiled_again_and_replaced() {
    let machine = Machine::new().await;
    let component = guests::hostile("atomic");
    let ours = machine.entry();
    let small = async || {
        let options = EngineOptions { sandboxes: 8, ..EngineOptions::default() };
        let (compiler, compiled) = Counting::new(options.clone());
        let platform = machine.start(|builder| builder.sandboxes(8).compiler(compiler)).await;
        runs(&platform).await;
        compiled.load(Ordering::SeqCst)
    };
    assert_eq!(small().await, 1);
    assert_eq!(small().await, 0);
    assert_eq!(machine.compilations().await, 0, "each keeps its own");

    let entries = machine.entries(&component);
    let [theirs] = entries.iter().filter(|entry| **entry != ours).collect::<Vec<_>>()[..] else {
        panic!("{entries:?}")
    };
    fs::copy(&ours, theirs).unwrap();
    assert_eq!(small().await, 1);
    assert_eq!(small().await, 0);
}

/// As a host of the same version leaves it that was built with other flags.
#[tokio::test]
async fn sealed_bytes_that_the_engine_does_not_take_are_compiled_again_and_replaced() {
    let machine = Machine::new().await;
    let hash = Sha256::digest(guests::hostile("atomic")).into();
    machine.cache().put(&hash, engine().fingerprint(), b"code of the day before");
    assert_eq!(machine.compilations().await, 1);
    assert_eq!(machine.compilations().await, 0);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_costs_time_and_nothing_else() {
    let machine = Machine::new().await;
    let (compiler, compiled) = Counting::new(EngineOptions::default());
    let platform = machine.start(|builder| builder.compiler(compiler)).await;
    fs::remove_dir_all(machine.code()).unwrap();
    fs::write(machine.code(), "in the way").unwrap();
    runs(&platform).await;
    platform.enable("other", guests::hostile("12-compute")).await;
    assert_eq!(compiled.load(Ordering::SeqCst), 2);
    assert_eq!(fs::read(machine.code()).unwrap(), b"in the way");
}

#[tokio::test]
async fn what_is_refused_is_not_kept() {
    let machine = Machine::new().await;
    let platform = machine.start(|builder| builder.compiler(Refusing)).await;
    let other = guests::hostile("12-compute");
    let error = platform.try_install("other", other.clone()).await.unwrap_err().to_string();
    assert_eq!(error, "this component could not be compiled: nothing was to be compiled");
    assert!(machine.entries(&other).is_empty());
    platform.try_install("other", other).await.unwrap_err();
    runs(&platform).await;
}

fn worker() -> ProcessCompiler {
    let memory = EngineOptions::default().max_memory.to_string();
    ProcessCompiler::new(env!("CARGO_BIN_EXE_compile-worker"), [memory])
}

/// A worker that does this instead.
fn shell(script: &str) -> ProcessCompiler {
    ProcessCompiler::new("/bin/sh", ["-c", script])
}

#[tokio::test]
async fn a_worker_compiles_what_this_process_would() {
    let component: Arc<[u8]> = guests::plugin("test-sample").into();
    let code = worker().compile(&component).await.unwrap();
    assert!(code == InProcessCompiler::new(engine()).compile(&component).await.unwrap());
}

#[tokio::test]
async fn a_plugin_that_a_worker_compiled_runs() {
    let platform = Platform::with(|builder| builder.compiler(worker())).await;
    platform.enable(PLUGIN, guests::hostile("atomic")).await;
    runs(&platform).await;
}

#[tokio::test]
async fn what_a_worker_finds_wrong_is_the_components_fault() {
    let nonsense: Arc<[u8]> = b"\0asm\x0d\0\x01\0nonsense".as_slice().into();
    let error = worker().compile(&nonsense).await.unwrap_err();
    assert!(matches!(&error, CompileError::Refused(LoadError::Invalid(_))), "{error}");
}

/// The first component in this process, the others by whatever is tested.
struct AfterTheFirst<C> {
    first: InProcessCompiler,
    compiled: AtomicU32,
    others: C,
}

#[async_trait]
impl<C: Compiler> Compiler for AfterTheFirst<C> {
    async fn compile(&self, wasm: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        match self.compiled.fetch_add(1, Ordering::SeqCst) {
            0 => self.first.compile(wasm).await,
            _ => self.others.compile(wasm).await,
        }
    }
}

async fn with_a_plugin_and(others: impl Compiler + 'static) -> Platform {
    let first = InProcessCompiler::new(engine());
    let compiler = AfterTheFirst { first, compiled: AtomicU32::new(0), others };
    let platform = Platform::with(|builder| builder.compiler(compiler)).await;
    platform.enable(PLUGIN, guests::hostile("atomic")).await;
    platform
}

/// The error of a component that this worker compiles; the host then serves on without it.
async fn fails(worker: ProcessCompiler) -> String {
    let platform = with_a_plugin_and(worker).await;
    let failure = platform.try_install("other", guests::plugin("test-sample")).await.unwrap_err();
    assert!(
        matches!(&failure, HostFailure::Load(LoadError::Compile(_) | LoadError::Invalid(_))),
        "{failure:?}"
    );
    assert_eq!(platform.host.plugins().len(), 1);
    runs(&platform).await;
    failure.to_string()
}

#[tokio::test]
async fn a_worker_that_dies_is_an_error_with_its_last_words() {
    for (script, text) in [
        ("echo out of luck >&2; exit 1", "could not be compiled: the compiler failed: out of luck"),
        ("exit 7", "could not be compiled: the compiler failed: "),
        ("cat >/dev/null; echo too odd >&2; exit 3", "is not valid here: too odd"),
        (
            "kill -9 $$",
            "could not be compiled: the compiler was stopped: more than 60 s of processor time or 4 GiB of memory",
        ),
    ] {
        assert_eq!(fails(shell(script)).await, format!("this component {text}"), "{script}");
    }
    let missing = fails(ProcessCompiler::new("/no/such/worker", [""; 0])).await;
    assert!(
        missing.starts_with("this component could not be compiled: the compiler process did not start: ")
    );
}

#[tokio::test]
async fn a_worker_that_computes_for_too_long_is_stopped() {
    let error = fails(shell("ulimit -t 1; while :; do :; done")).await;
    assert!(error.contains("the compiler was stopped: more than 60 s of processor time"), "{error}");
}

#[tokio::test]
async fn a_worker_that_says_nonsense_is_an_error_and_the_nonsense_does_not_run() {
    for script in ["cat >/dev/null; echo nonsense", "cat >/dev/null", "exit 0", "cat"] {
        let error = fails(shell(script)).await;
        assert!(error.starts_with("this component could not be compiled: "), "{script}: {error}");
    }
}

/// More than a pipe holds, on both of them, before it reads a byte.
#[tokio::test]
async fn a_worker_that_talks_before_it_listens_blocks_nobody() {
    let error = fails(shell("head -c 200000 /dev/zero; head -c 200000 /dev/zero >&2; cat >/dev/null")).await;
    assert!(error.starts_with("this component could not be compiled: "), "{error}");
}

/// Whether a process was started in just this way.
#[cfg(target_os = "linux")]
fn is_running(command: &[&str]) -> bool {
    let wanted = command.join("\0") + "\0";
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes
        .filter_map(|process| fs::read(process.join("cmdline")).ok())
        .any(|line| line == wanted.as_bytes())
}

/// The clock is one that runs ahead when nothing else is left to do.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_worker_that_never_ends_is_killed() {
    let seconds = format!("86400.{}", std::process::id());
    let command = ["/bin/sleep", &seconds];
    let component: Arc<[u8]> = guests::hostile("atomic").into();
    let error = ProcessCompiler::new(command[0], [command[1]]).compile(&component).await.unwrap_err();
    assert_eq!(error, CompileError::Failed("it took more than 120 s".to_owned()));
    let killed = Instant::now();
    while is_running(&command) {
        assert!(killed.elapsed() < Duration::from_secs(10), "it lives");
    }
}

/// Before it reads a byte of what an attacker chose.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_limits_itself_before_it_reads() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let mut worker = Command::new(env!("CARGO_BIN_EXE_compile-worker"))
        .arg(EngineOptions::default().max_memory.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // More than a pipe holds: it has been written when the worker has begun to read.
    let mut input = worker.stdin.take().unwrap();
    input.write_all(&vec![0; 1 << 20]).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", worker.id())).unwrap();
    let of = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("Max cpu time"), ["60"; 2]);
    assert_eq!(of("Max data size"), [(4_u64 << 30).to_string(), (4_u64 << 30).to_string()]);
    assert_eq!(of("Max core file size"), ["0"; 2]);
    drop(input);
    assert_eq!(worker.wait().unwrap().code(), Some(3), "a million zeroes are no component");
}

/// Says when it was asked, and never answers.
struct Endless(mpsc::UnboundedSender<()>);

#[async_trait]
impl Compiler for Endless {
    async fn compile(&self, _: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        self.0.send(()).unwrap();
        std::future::pending().await
    }
}

#[tokio::test]
async fn the_host_serves_on_while_something_compiles() {
    let (asked, mut compiling) = mpsc::unbounded_channel();
    let platform = Arc::new(with_a_plugin_and(Endless(asked)).await);
    let installing = Arc::clone(&platform);
    let installation =
        tokio::spawn(async move { installing.try_install("other", guests::hostile("12-compute")).await });
    compiling.recv().await.unwrap();
    runs(&platform).await;
    platform.host.create_tenant("later").await.unwrap();
    platform.host.enable("later", PLUGIN).await.unwrap();
    installation.abort();
}
