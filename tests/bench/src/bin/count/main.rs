//! Counts per operation: the same on every run, as times are not, so `check` can insist on them.
//!
//! ```text
//! count          prints them, those of the peers too if they are built in
//! count check    compares them with counts.txt
//! count bless    writes them there
//! ```
//!
//! Each entry is done [`TIMES`] to warm up, then again, then twice as often. What the last adds to the one before is what so
//! many operations cost: what a loop or a runtime takes to start is in both.

mod table;

use std::error::Error;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::{env, fs};

use fusebox_bench::{Entry, callgrind, entries};

use self::table::{Row, Table};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");
const HEADER: &str = "\
# Per operation, for users without LTO. `locked` are the instructions among them that lock the bus. A clock read costs more
# than its instructions: valgrind hides what the kernel does of it. `future bytes` are those of a whole call's future.
#
# tests/run.sh checks it. Blessed, after a change that is meant or by a newer compiler, with
#     cargo run --release -p fusebox-bench --no-default-features --bin count bless
";

/// A multiple of every period of an entry: 8 delays of a schedule, 100 calls of which one fails.
const TIMES: u32 = 4_000;

fn main() -> ExitCode {
    let done = match env::args().nth(1).as_deref() {
        None => table().map(|table| print!("{table}")),
        Some("check") => check(),
        Some("bless") => guarded().and_then(|table| Ok(fs::write(GOLDEN, format!("{HEADER}{table}"))?)),
        Some(callgrind::COUNTED) => {
            entries().iter().for_each(run);
            Ok(())
        }
        Some(other) => Err(format!("{other}: neither check nor bless").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), Box<dyn Error>> {
    if !cfg!(target_arch = "x86_64") {
        println!("no counts are kept for this architecture");
        return Ok(());
    }
    let golden = fs::read_to_string(GOLDEN).map_err(|error| format!("{GOLDEN}: {error}"))?;
    let (is, was) = (guarded()?, Table::parse(&golden)?);
    let differences = is.differences(&was);
    if differences.is_empty() {
        println!("{} operations as in {GOLDEN}", is.rows.len());
        return Ok(());
    }
    Err(format!("{}\nif it is meant, {GOLDEN} says how to bless it", differences.join("\n")).into())
}

/// Peers would be built into the same code units and change what is inlined where.
fn guarded() -> Result<Table, Box<dyn Error>> {
    if cfg!(feature = "peers") { Err("counts are kept without peers: --no-default-features".into()) } else { table() }
}

fn table() -> Result<Table, Box<dyn Error>> {
    if cfg!(debug_assertions) {
        return Err("counts are those of --release".into());
    }
    let rustc = String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?.trim().to_owned();
    let (entries, parts) = (entries(), callgrind::run("count::counted", false)?);
    // Starting a runtime allocates, and is counted.
    if parts.iter().all(|part| part.allocations == 0.0) {
        return Err("no allocation was seen: is the name of the allocator, or of `counted`, another?".into());
    }
    let (runs, _exit) = parts.as_chunks();
    if runs.len() != entries.len() {
        return Err(format!("{} entries, but counts of {}", entries.len(), runs.len()).into());
    }
    let mut counted: Vec<_> = entries.iter().zip(runs).collect();
    counted.sort_by_key(|(entry, _)| entry.work);
    let rows = counted.into_iter().map(|(entry, [_first, once, twice])| Row::new(entry, once, twice)).collect();
    Ok(Table { rustc, rows })
}

fn run(entry: &Entry) {
    for times in [TIMES, TIMES, 2 * TIMES] {
        counted(entry, times.into());
    }
}

/// Callgrind knows it by its name and counts within it, but calls it counts everywhere: so nothing else runs.
#[inline(never)]
fn counted(entry: &Entry, times: u64) -> u64 {
    entry.run(times);
    black_box(times) // so that the run is a call, not a jump
}
