//! What the notes beside the numbers say about memory, as it is counted.
#![allow(clippy::unwrap_used, clippy::integer_division, missing_docs, reason = "a test may panic, and round")]

use allocation_counter::measure;
use fusebox_bench::{Work, entries};

const KEYS: u64 = 1_000_000;

#[test]
fn bytes_per_key_are_those_noted() {
    let mut checked = 0;
    for entry in entries() {
        if entry.work != Work::MillionKeys {
            continue;
        }
        // The first run makes the limiter, and the list of keys, which is not its.
        let bytes = u64::try_from(measure(|| entry.run(1)).bytes_current).unwrap() - KEYS * size_of::<u64>() as u64;
        let each = (bytes + KEYS / 2) / KEYS;
        println!("{}: {bytes} bytes", entry.who);
        assert_eq!(entry.note, Some(format!("{each} bytes per key").as_str()), "{}", entry.who);
        checked += 1;
    }
    assert!(checked >= 2, "{checked}");
}
