//! tokio-retry2: delays and retry.

use core::time::Duration;
use std::hint::black_box;

use ::tokio_retry2::strategy::{ExponentialFactorBackoff, jitter_with_bounds};
use ::tokio_retry2::{Retry, RetryError};

use super::{ATTEMPTS, DELAYS, RETRY_DELAYS, SCHEDULE, awaited, sure};
use crate::floor::ready;
use crate::{Entry, Work};

pub(super) fn entries() -> Vec<Entry> {
    vec![delay(), retry()]
}

/// With bounds of 0 and 1 its jitter is full and within the cap.
fn delays([first, cap]: [Duration; 2]) -> impl Iterator<Item = Duration> {
    let first = u64::try_from(first.as_millis()).unwrap_or(u64::MAX);
    ExponentialFactorBackoff::from_millis(first, 2.0).max_delay(cap).map(jitter_with_bounds(0.0, 1.0))
}

fn delay() -> Entry {
    Entry::looped(Work::Delay, "tokio-retry2", |times| {
        let mut schedule = delays(DELAYS);
        for call in 0..times {
            if call % SCHEDULE == 0 {
                schedule = delays(DELAYS);
            }
            black_box(schedule.next());
        }
    })
}

fn retry() -> Entry {
    awaited(Work::Retry, "tokio-retry2", (), async |(), _| {
        let strategy = delays(RETRY_DELAYS).take(ATTEMPTS as usize - 1);
        let attempt = async || ready().await.map_err(RetryError::transient);
        sure(Retry::spawn(strategy, attempt).await.is_ok());
    })
}
