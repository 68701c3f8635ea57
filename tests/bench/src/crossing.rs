//! How far apart two threads are.

use std::hint::spin_loop;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::thread::{scope, yield_now};
use std::time::{Duration, Instant};

/// After so many looks the other thread is taken to wait for a processor.
const PATIENCE: u32 = 1_000;

/// How long two threads take to hand an atomic to each other so many times: none can share one faster.
#[must_use]
pub fn crossing(times: u64) -> Duration {
    let line = AtomicU64::new(0);
    scope(|scope| {
        scope.spawn(|| hand_over(&line, 1, times));
        let began = Instant::now();
        hand_over(&line, 0, times);
        began.elapsed()
    })
}

/// Takes the even turns, or the odd ones.
fn hand_over(line: &AtomicU64, own: u64, times: u64) {
    for turn in (own..times).step_by(2) {
        let mut looks = 0;
        while line.load(Acquire) != turn {
            looks += 1;
            if looks % PATIENCE == 0 {
                yield_now();
            }
            spin_loop();
        }
        line.fetch_add(1, AcqRel);
    }
}
