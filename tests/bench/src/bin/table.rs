//! Criterion's times as Markdown: a table per work.
//!
//! It reads what the last runs left in the target folder that it was built into itself, or in the folder it is told:
//! `cargo bench -p fusebox-bench && cargo run -p fusebox-bench --bin table > tests/bench/RESULTS.md`

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use allocation_counter::measure;
use fusebox_bench::{Entry, Work, entries, machine};
use serde_json::Value;

const HEADER: &str = "\
# What fusebox costs in time, beside its peers

Made by `cargo bench -p fusebox-bench && cargo run -p fusebox-bench --bin table > tests/bench/RESULTS.md`.

All do the same work (`Work` in `src/entry.rs` says which), with one machine that all threads share. Nanoseconds are
the median of a call; with two threads, of each of them. Ratios are to one uncontended `fetch_add` of the same run. \"In
a service\" is an async call where others are asked directly. Bytes are what it holds on to: the machines, their
configuration, and all they have on the heap. What the notes say is checked by `tests/peers_answers.rs`.
The machine was free if the floor's `load` takes two threads no longer than one.
";

/// Whose versions are told.
const PEERS: [&str; 16] = [
    "backon",
    "failsafe",
    "governor",
    "leaky-bucket",
    "ratelimit",
    "recloser",
    "reliakit",
    "seatbelt",
    "tokio",
    "tokio-retry2",
    "tower",
    "tower-resilience-bulkhead",
    "tower-resilience-circuitbreaker",
    "tower-resilience-ratelimiter",
    "tower-resilience-retry",
    "tower-resilience-timelimiter",
];

fn main() -> Result<(), Box<dyn Error>> {
    let target = env::args_os().nth(1).map_or_else(own_target, |target| Ok(PathBuf::from(target)))?;
    let times = Times::read(&target.join("criterion"))?;
    let (entries, bytes) = (entries(), bytes());
    let mut page = format!("{HEADER}\nOn {}, with {}.\n", machine(), versions()?);
    write_summary(&mut page, &entries, &times)?;
    for work in Work::ALL.into_iter().filter(|&work| work != Work::Floor).chain([Work::Floor]) {
        write_table(&mut page, work, &entries, &times, &bytes)?;
    }
    if let Some(nanos) = times.of(Work::Floor, "line crossing", 2) {
        write!(page, "\nA cache line crosses from one thread to the other in {nanos:.0} ns.\n")?;
    }
    print!("{page}");
    Ok(())
}

/// This program is in `target/debug`.
fn own_target() -> Result<PathBuf, io::Error> {
    Ok(env::current_exe()?.ancestors().skip(2).map(Path::to_path_buf).next().unwrap_or_default())
}

/// Median nanoseconds by the full names of what was measured.
struct Times(HashMap<String, f64>);

/// What each holds on to: what is freed with it.
fn bytes() -> HashMap<(Work, &'static str), i64> {
    let weigh = |entry: Entry| ((entry.work, entry.who), -measure(|| drop(entry)).bytes_current);
    entries().into_iter().map(weigh).collect()
}

impl Times {
    /// From `criterion/work/who/threads/new`.
    fn read(criterion: &Path) -> Result<Self, Box<dyn Error>> {
        let mut runs = vec![criterion.to_path_buf()];
        for _ in 0..3 {
            runs = runs.iter().flat_map(fs::read_dir).flatten().flatten().map(|inner| inner.path()).collect();
        }
        let mut times = HashMap::new();
        for new in runs.iter().map(|run| run.join("new")).filter(|new| new.exists()) {
            let read =
                |file| -> Result<Value, Box<dyn Error>> { Ok(serde_json::from_slice(&fs::read(new.join(file))?)?) };
            let (what, estimates) = (read("benchmark.json")?, read("estimates.json")?);
            let name = what.get("full_id").and_then(Value::as_str);
            let median = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
            times.extend(name.map(str::to_owned).zip(median));
        }
        if times.is_empty() {
            return Err(format!("no times in {}: run the bench first", criterion.display()).into());
        }
        Ok(Self(times))
    }

    fn of(&self, work: Work, who: &str, threads: usize) -> Option<f64> {
        self.0.get(&format!("{}/{who}/{threads}", work.name())).copied()
    }

    /// Two cells: nanoseconds, and how many uncontended `fetch_add`s that is.
    fn cells(&self, entry: &Entry, threads: usize) -> String {
        let Some(nanos) = self.of(entry.work, entry.who, threads) else { return "- | -".into() };
        let digits = usize::from(nanos < 100.0);
        format!("{nanos:.digits$} | {}", self.ratio(entry, threads))
    }

    fn ratio(&self, entry: &Entry, threads: usize) -> String {
        let ratio = |nanos: f64| Some(nanos / self.of(Work::Floor, "fetch_add", 1)?);
        self.of(entry.work, entry.who, threads).and_then(ratio).map_or("-".into(), |ratio| format!("{ratio:.1}"))
    }

    /// Those at `work` that were measured, the fastest first.
    fn ranked<'e>(&self, work: Work, entries: &'e [Entry]) -> Vec<&'e Entry> {
        let alone = |entry: &&Entry| self.of(work, entry.who, 1).unwrap_or(f64::INFINITY);
        let measured = |entry: &&Entry| entry.threads.iter().any(|&thread| self.of(work, entry.who, thread).is_some());
        let mut rows: Vec<_> = entries.iter().filter(|entry| entry.work == work).filter(measured).collect();
        rows.sort_by(|one, other| alone(one).total_cmp(&alone(other)));
        rows
    }
}

/// The ratios of fusebox, of its own variants, and of the fastest peer.
fn write_summary(page: &mut String, entries: &[Entry], times: &Times) -> std::fmt::Result {
    writeln!(page, "\n## In short\n\nRatios with 1 thread, and with 2. A star: see the notes below.\n")?;
    writeln!(page, "| | fusebox | its variants | fastest peer |\n| --- | --- | --- | --- |")?;
    for work in Work::ALL.into_iter().filter(|&work| work != Work::Floor) {
        let (own, peers): (Vec<_>, Vec<_>) =
            times.ranked(work, entries).into_iter().partition(|entry| entry.who.starts_with("fusebox"));
        let ratios = |entry: &Entry| format!("{}, {}", times.ratio(entry, 1), times.ratio(entry, 2));
        let (plain, variants): (Vec<_>, Vec<_>) = own.into_iter().partition(|entry| entry.who == "fusebox");
        let plain: String = plain.into_iter().map(ratios).collect();
        let variant = |entry: &Entry| format!("{}: {}", entry.who.trim_start_matches("fusebox, "), ratios(entry));
        let variants = variants.into_iter().map(variant).collect::<Vec<_>>().join("; ");
        let star = |entry: &Entry| if entry.note.is_some() { "*" } else { "" };
        let peer =
            peers.first().map_or(String::new(), |entry| format!("{}{}: {}", entry.who, star(entry), ratios(entry)));
        writeln!(page, "| {} | {plain} | {variants} | {peer} |", work.name())?;
    }
    Ok(())
}

fn write_table(
    page: &mut String,
    work: Work,
    entries: &[Entry],
    times: &Times,
    bytes: &HashMap<(Work, &'static str), i64>,
) -> std::fmt::Result {
    let rows = times.ranked(work, entries);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## {}\n", work.name())?;
    writeln!(page, "| | 1 thread: ns | ratio | 2 threads: ns | ratio | bytes | note |")?;
    writeln!(page, "| --- | ---: | ---: | ---: | ---: | ---: | --- |")?;
    for entry in rows {
        let mark = if entry.who.starts_with("fusebox") { "**" } else { "" };
        let [one, two] = [1, 2].map(|threads| times.cells(entry, threads));
        // A table of keys is made when it is first asked; its note says.
        let bytes = bytes
            .get(&(work, entry.who))
            .filter(|_| !matches!(work, Work::ThousandKeys | Work::MillionKeys))
            .map_or("-".into(), i64::to_string);
        writeln!(page, "| {mark}{}{mark} | {one} | {two} | {bytes} | {} |", entry.who, entry.note.unwrap_or_default())?;
    }
    Ok(())
}

fn versions() -> Result<String, io::Error> {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"))?;
    let version = |name: &&str| {
        let (_, package) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", package.split_once('"')?.0))
    };
    Ok(PEERS.iter().filter_map(version).collect::<Vec<_>>().join(", "))
}
