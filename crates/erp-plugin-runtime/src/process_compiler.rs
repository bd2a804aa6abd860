//! Compiles in a child process that is bounded in memory, processor time and patience.
//!
//! The child is this very program, started with arguments that lead it to [`compile_worker`]. It reads the component
//! from its standard input and writes native code to its standard output; what it cannot do it says on standard
//! error. It gets no environment.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::compiler::{CompileError, Compiler};
use crate::engine::{Engine, EngineOptions};
use crate::error::LoadError;

/// What one compilation may take.
const PROCESSOR_SECONDS: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(120);
/// Address space beyond what the pool of a worker's own small engine reserves.
const MEMORY: u64 = 4 << 30;

/// A compiler in a child process.
#[derive(Clone, Debug)]
pub struct ProcessCompiler {
    program: PathBuf,
    arguments: Vec<String>,
}

impl ProcessCompiler {
    /// Starts `program` with `arguments` for each compilation; they must lead it to [`compile_worker`].
    pub fn new<A: Into<String>>(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = A>) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    async fn run(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: std::io::Error| CompileError::Failed(format!("{what}: {error}"))
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed("the compiler process did not start"))?;
        let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(CompileError::Failed("the compiler process has no pipes".to_owned()));
        };
        let (mut code, mut said) = (Vec::new(), Vec::new());
        let talk = async {
            let send = async {
                // A worker that gives up early closes the pipe; its own words say why.
                drop(stdin.write_all(wasm).await);
                drop(stdin);
                Ok(0)
            };
            tokio::try_join!(send, stdout.read_to_end(&mut code), stderr.read_to_end(&mut said))
        };
        talk.await.map_err(failed("the compiler process broke off"))?;
        let status = child.wait().await.map_err(failed("the compiler process was lost"))?;
        let said = String::from_utf8_lossy(&said);
        match status.code() {
            Some(0) => Ok(code),
            Some(REFUSED) => Err(CompileError::Refused(LoadError::Invalid(said.trim().to_owned()))),
            Some(_) => Err(CompileError::Failed(format!("the compiler failed: {}", said.trim()))),
            None => Err(CompileError::Failed(format!(
                "the compiler was stopped: more than {PROCESSOR_SECONDS} s of processor time or {} GiB of memory",
                MEMORY >> 30
            ))),
        }
    }
}

#[async_trait]
impl Compiler for ProcessCompiler {
    async fn compile(&self, wasm: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        match tokio::time::timeout(PATIENCE, self.run(wasm)).await {
            Ok(compiled) => compiled,
            Err(_) => Err(CompileError::Failed(format!("it took more than {} s", PATIENCE.as_secs()))),
        }
    }
}

/// The worker's exit code for a component that is at fault itself.
const REFUSED: i32 = 3;

/// The life of a compile worker: limits itself, reads, compiles, writes, and returns its exit code.
pub fn compile_worker(options: &EngineOptions) -> i32 {
    match work(options) {
        Ok(()) => 0,
        Err(CompileError::Refused(error)) => {
            let detail = if let LoadError::Invalid(detail) = error { detail } else { error.to_string() };
            say(&detail);
            REFUSED
        }
        Err(CompileError::Failed(reason)) => {
            say(&reason);
            1
        }
    }
}

#[allow(clippy::print_stderr, reason = "standard error is how a worker talks to its host")]
fn say(text: &str) {
    eprintln!("{text}");
}

fn work(options: &EngineOptions) -> Result<(), CompileError> {
    let failed = |error: std::io::Error| CompileError::Failed(error.to_string());
    limit(Resource::Cpu, PROCESSOR_SECONDS)?;
    limit(Resource::Core, 0)?;
    let engine =
        Engine::new(EngineOptions { sandboxes: 1, ..options.clone() }).map_err(CompileError::Refused)?;
    limit(Resource::Data, MEMORY)?;
    let mut wasm = Vec::new();
    std::io::stdin().lock().read_to_end(&mut wasm).map_err(failed)?;
    let code = engine.compile(&wasm).map_err(CompileError::Refused)?;
    std::io::stdout().lock().write_all(&code).map_err(failed)
}

fn limit(resource: Resource, most: u64) -> Result<(), CompileError> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).map_err(|error| {
        CompileError::Failed(format!("no limit can be set on the compiler process: {error}"))
    })
}
