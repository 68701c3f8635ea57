//! How far apart two threads are.

use std::hint::spin_loop;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::thread::{scope, yield_now};
use std::time::{Duration, Instant};

/// Times that each thread hands it over, in one burst.
const BURST: u32 = 250;
const BURSTS: u32 = 100;
/// After which the other thread is taken to wait for a processor.
const PATIENCE: u32 = 1_000;

/// How long it takes to hand an atomic from one thread to another: no two threads can share one faster.
///
/// The fastest of short bursts, because whoever loses its processor in between loses some thousand times as much.
#[must_use]
pub fn crossing() -> Duration {
    let line = AtomicU64::new(0);
    let fastest = scope(|scope| {
        scope.spawn(|| hand_over(&line, 1));
        hand_over(&line, 0)
    });
    fastest / (2 * BURST)
}

/// How long the fastest burst took.
fn hand_over(line: &AtomicU64, own: u64) -> Duration {
    let burst = |_| {
        let began = Instant::now();
        for _ in 0..BURST {
            let mut spins = 0;
            while line.load(Acquire) % 2 != own {
                spins += 1;
                if spins % PATIENCE == 0 {
                    yield_now();
                }
                spin_loop();
            }
            line.fetch_add(1, AcqRel);
        }
        began.elapsed()
    };
    (0..BURSTS).map(burst).min().unwrap_or_default()
}
