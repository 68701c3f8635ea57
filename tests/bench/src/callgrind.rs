//! A program that runs itself under valgrind's callgrind, and reads what that has counted.

use std::error::Error;
use std::process::Command;
use std::{env, fs};

/// The argument with which the program runs to be counted.
pub const COUNTED: &str = "counted";

/// What one call of the counted function took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// Of the user's side.
    pub instructions: f64,
    /// `lock` instructions and exchanges with memory: valgrind's "global bus events".
    pub locked: f64,
    /// Calls of the allocator.
    pub allocations: f64,
    /// Of the system's clock; who reads the processor's counter by itself is not seen.
    pub clock_reads: f64,
}

/// What the calls of the function `counted` took, in their order, when the program runs with [`COUNTED`]. Instructions are
/// counted within it, but calls everywhere: what runs between is a part of its own if it `is_apart`, before each call, and
/// what runs at the end always is one. The file stays beside the program, for `callgrind_annotate`.
///
/// # Errors
/// When valgrind is not there, or does not end well.
pub fn run(counted: &str, is_apart: bool) -> Result<Vec<Part>, Box<dyn Error>> {
    let program = env::current_exe()?;
    let file = program.with_extension("callgrind");
    let status = Command::new("valgrind")
        .args(["-q", "--tool=callgrind", "--collect-bus=yes", "--combine-dumps=yes", "--compress-strings=no"])
        .args([format!("--toggle-collect={counted}"), format!("--dump-after={counted}")])
        .args(is_apart.then(|| format!("--dump-before={counted}")))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .arg(COUNTED)
        .status()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !status.success() {
        return Err(format!("valgrind: {status}").into());
    }
    parse(&fs::read_to_string(file)?)
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
