//! Runs this program under valgrind's callgrind, and reads what that has counted.

use std::error::Error;
use std::process::Command;
use std::{env, fs};

/// The argument with which the program runs to be counted.
pub(crate) const COUNTED: &str = "counted";

/// What one run of an entry took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    pub(crate) instructions: f64,
    /// `lock` instructions and exchanges with memory: valgrind's "global bus events".
    pub(crate) locked: f64,
    pub(crate) allocations: f64,
    /// Of the system's clock; who reads the processor's counter by itself is not seen.
    pub(crate) clock_reads: f64,
}

/// In the order of the runs, and one for the end of the program. The file stays beside the program, for
/// `callgrind_annotate`.
pub(crate) fn run() -> Result<Vec<Part>, Box<dyn Error>> {
    let program = env::current_exe()?;
    let file = program.with_extension("callgrind");
    let status = Command::new("valgrind")
        .args(["-q", "--tool=callgrind", "--collect-bus=yes", "--combine-dumps=yes", "--compress-strings=no"])
        .args(["--toggle-collect=count::counted", "--dump-after=count::counted"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .arg(COUNTED)
        .status()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !status.success() {
        return Err(format!("valgrind: {status}").into());
    }
    let parts = parse(&fs::read_to_string(file)?)?;
    // Starting a runtime allocates, and is counted.
    if parts.iter().all(|part| part.allocations == 0.0) {
        return Err("no allocation was seen: is the name of the allocator, or of `counted`, another?".into());
    }
    Ok(parts)
}

fn parse(text: &str) -> Result<Vec<Part>, Box<dyn Error>> {
    let mut parts = Vec::new();
    let (mut part, mut callee) = (Part::default(), "");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            callee = name.split(['@', '\'']).next().unwrap_or(name); // of its version, of its recursion
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let calls = first(calls)?;
            match callee {
                "malloc" | "calloc" | "realloc" | "aligned_alloc" | "posix_memalign" => part.allocations += calls,
                "clock_gettime" => part.clock_reads += calls,
                _ => {}
            }
        } else if let Some(totals) = line.strip_prefix("totals: ") {
            part.instructions = first(totals)?;
            part.locked = totals.split_once(' ').map_or(Ok(0.0), |(_, locked)| first(locked))?;
            parts.push(std::mem::take(&mut part));
        }
    }
    Ok(parts)
}

fn first(numbers: &str) -> Result<f64, Box<dyn Error>> {
    Ok(numbers.split(' ').next().unwrap_or_default().parse()?)
}
