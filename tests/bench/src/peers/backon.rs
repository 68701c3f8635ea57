//! backon: delays and retry.

use std::hint::black_box;

use ::backon::{BackoffBuilder, ExponentialBuilder, Retryable};

use super::{ATTEMPTS, DELAYS, OVER_CAP, RETRY_DELAYS, SCHEDULE, awaited, sure};
use crate::floor::ready;
use crate::{Entry, Work};

pub(super) fn entries() -> Vec<Entry> {
    vec![delay(), retry()]
}

fn delay() -> Entry {
    let [first, cap] = DELAYS;
    let delays = ExponentialBuilder::new().with_min_delay(first).with_max_delay(cap).without_max_times().with_jitter();
    Entry::looped(Work::Delay, "backon", move |times| {
        let mut schedule = delays.build();
        for call in 0..times {
            if call % SCHEDULE == 0 {
                schedule = delays.build();
            }
            black_box(schedule.next());
        }
    })
    .with_note(OVER_CAP)
}

/// What retries a call.
pub(super) const fn delays() -> ExponentialBuilder {
    let [first, cap] = RETRY_DELAYS;
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(cap)
        .with_max_times(ATTEMPTS as usize - 1)
        .with_jitter()
}

fn retry() -> Entry {
    awaited(Work::Retry, "backon", delays(), async |delays, _| sure(ready.retry(delays).await.is_ok()))
}
