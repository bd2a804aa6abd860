//! A process that works off deliveries and runs jobs until it is killed: the URL of the database, and a folder where compiled code is
//! kept from one life to the next.

use std::path::Path;
use std::time::Duration;

use erp_plugin::event::RetryCaps;
use erp_plugin::{CodeCache, HostResult, Limits, WorkerOptions, random_key};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(folder)) = (arguments.next(), arguments.next()) else { std::process::exit(2) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { std::process::exit(1) };
    if let Err(error) = runtime.block_on(work(&url, Path::new(&folder))) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn work(url: &str, folder: &Path) -> HostResult<()> {
    let builder = match erp_plugin::host(url).await {
        Ok(builder) => builder,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    let cache = CodeCache::open(&folder.join("worker-code"), &folder.join("worker-code.key"), random_key);
    let builder = match cache {
        Ok(cache) => builder.code_cache(cache),
        Err(_) => builder,
    };
    let worker = WorkerOptions {
        // Short enough that whoever comes next does not wait long for what the dead had in hand.
        lease: Duration::from_millis(400),
        poll: Duration::from_millis(20),
        ..WorkerOptions::default()
    };
    let caps = RetryCaps { retries: 100, max_delay: Duration::from_secs(1) };
    // A job that loops for ever is to be killed, not stopped.
    let jobs = Limits { fuel: u64::MAX >> 1, deadline_ms: 60_000, ..Limits::default().for_jobs() };
    let host = builder.worker(worker).retry_caps(caps).job_limit_caps(jobs).build().await?;
    let _worker = host.start_worker();
    std::future::pending().await
}
