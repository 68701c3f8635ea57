//! Law: what each pattern is for. A module for each way in which things fail: it injects that failure, and shows that who
//! has the pattern survives it, in numbers, and that the same callers at the same load and seed without it do not.
//!
//! | failure | module | answer | taken out in the bare run |
//! | --- | --- | --- | --- |
//! | transient fault | `transient` | retry with backoff and jitter, within a budget | the retry |
//! | dependency down | `dependency_down` | breaker, recovery by trials | the breaker |
//! | dependency overloaded | `overloaded` | bulkhead, rate limit, adaptive limit, load shedding: each alone | all of them |
//! | slow answers | `slow_answers` | attempt timeout, total deadline; slow-call rate | the limits; the breaker |
//! | cascade | `cascade` | breaker and bulkhead per dependency; retry budgets | both; the budgets |
//! | duplicate effects | `duplicate_effects` | idempotency key with stored answer | the records |
//! | partial failure | `partial_failure` | fallback, stale value, health by role or breaker | all of them |
//! | hung peripheral, locked bus | `hung_peripheral` | timeout, recovery ladder, trial | the ladder; also the timeout |
//! | herd after an outage | `herd` | jitter, a seed per device, trials, slow start | each of them |
//!
//! Time is virtual and chance comes from seeds, so a run is always the same. `cargo test -p fusebox-tests --test
//! failure_modes -- --nocapture` prints what was measured: of all seeds the least and the greatest. For more seeds than a
//! few: `FUSEBOX_SEEDS=20`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::cast_precision_loss, clippy::missing_const_for_fn, reason = "a test measures in floats")]
#![allow(clippy::integer_division, clippy::cast_possible_truncation, reason = "milliseconds of minutes")]

mod cascade;
mod dependency_down;
mod duplicate_effects;
mod herd;
mod hung_peripheral;
mod overloaded;
mod partial_failure;
mod slow_answers;
mod transient;
mod world;

use std::fmt::Write;

/// How many seeds each failure is tried with.
fn seeds() -> u32 {
    std::env::var("FUSEBOX_SEEDS").map_or(3, |seeds| seeds.parse().unwrap())
}

/// What a number has to be.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Told, and not judged.
    Any,
}

use Bound::{Any, AtLeast, AtMost};

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Any => true,
        }
    }
}

/// What is measured in both runs, and what it has to come to.
#[derive(Clone, Copy, Debug)]
struct Measure {
    what: &'static str,
    bare: Bound,
    guarded: Bound,
}

const fn measure(what: &'static str, bare: Bound, guarded: Bound) -> Measure {
    Measure { what, bare, guarded }
}

/// Runs both for each seed, and shows that `guarded` survives `failure` and `bare` does not.
fn show<const N: usize>(
    failure: &str,
    pattern: &str,
    measures: [Measure; N],
    bare: impl Fn(u32) -> [f64; N],
    guarded: impl Fn(u32) -> [f64; N],
) {
    let runs: Vec<_> = (0..seeds()).map(|seed| (bare(seed), guarded(seed))).collect();
    let mut table = String::new();
    for (n, measure) in measures.iter().enumerate() {
        let (bare, guarded) = (range(runs.iter().map(|run| run.0[n])), range(runs.iter().map(|run| run.1[n])));
        let what = measure.what;
        writeln!(table, "| {failure:<21} | {pattern:<41} | {what:<44} | {bare:>19} | {guarded:>17} |").unwrap();
    }
    print!("{table}");
    for (seed, (bare, guarded)) in runs.iter().enumerate() {
        for ((measure, bare), guarded) in measures.iter().zip(bare).zip(guarded) {
            assert!(measure.bare.holds(*bare), "{failure}, seed {seed}, bare: {bare} {measure:?}");
            assert!(measure.guarded.holds(*guarded), "{failure}, seed {seed}, {pattern}: {guarded} {measure:?}");
        }
        let survives = measures.iter().zip(bare).all(|(measure, bare)| measure.guarded.holds(*bare));
        assert!(!survives, "{failure}, seed {seed}: it takes no pattern to survive this");
    }
}

/// The least and the greatest.
fn range(values: impl Iterator<Item = f64>) -> String {
    let (least, greatest) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), v| (v.min(least), v.max(greatest)));
    format!("{least:.2} - {greatest:.2}")
}
