//! What it was measured on.

use std::fs;
use std::thread::available_parallelism;

/// The processor's name, and how many threads it runs at once.
#[must_use]
pub fn machine() -> String {
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = known.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let threads = available_parallelism().map_or(1, usize::from);
    format!("{} ({threads} CPUs)", model.map_or("an unknown processor", |(_, model)| model))
}
