//! One run of wrk.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub(crate) const CONNECTIONS: u32 = 32;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/service/wrk.lua");

/// What a run of wrk has measured.
pub(crate) struct Run {
    pub(crate) requests: u32,
    pub(crate) per_second: f64,
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
    /// Of this process, so of the service and its dependency, but not of wrk.
    pub(crate) processor_micros_per_request: f64,
}

pub(crate) fn run(url: &str, seconds: u32) -> Result<Run, Box<dyn Error>> {
    let before = processor_time();
    let wrk = Command::new("wrk")
        .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
        // Late is no error: p99 shows it, and another one on this machine may be why.
        .args(["--timeout", "30s", "--duration", &format!("{seconds}s"), "--script", SCRIPT, url])
        .output()
        .map_err(|error| format!("wrk cannot be run ({error}); apt-get install wrk"))?;
    let used = processor_time().saturating_sub(before);
    let told = String::from_utf8(wrk.stderr)?;
    let numbers: Vec<&str> = told.split_whitespace().collect();
    let [requests, seconds, errors, p50, p99] = *numbers else {
        return Err(format!("{url}: wrk says {told}").into());
    };
    if errors != "0" {
        return Err(format!("{url}: {errors} of {requests} requests failed").into());
    }
    let requests: u32 = requests.parse()?;
    eprintln!("{url}: {requests} requests, p99 {p99} µs");
    Ok(Run {
        requests,
        per_second: f64::from(requests) / seconds.parse::<f64>()?,
        p50_micros: p50.parse()?,
        p99_micros: p99.parse()?,
        processor_micros_per_request: used.as_secs_f64() * 1e6 / f64::from(requests),
    })
}

fn processor_time() -> Duration {
    // Only the time before 1970 would not fit.
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}
