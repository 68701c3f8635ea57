//! failsafe: breakers behind a lock of their own.

use std::hint::black_box;

use ::failsafe::failure_policy::{consecutive_failures, success_rate_over_time_window};
use ::failsafe::{CircuitBreaker, Config, backoff};

use super::{HOUR, IN_A_ROW, MINIMUM, SECOND, fails, sure};
use crate::{Entry, Work};

pub(super) fn entries() -> Vec<Entry> {
    vec![closed(), window(), open()]
}

fn consecutive() -> impl CircuitBreaker + Send + Sync + 'static {
    Config::new().failure_policy(consecutive_failures(IN_A_ROW, backoff::constant(HOUR))).build()
}

fn closed() -> Entry {
    let breaker = consecutive();
    Entry::new(Work::ClosedBreaker, "failsafe", move || sure(breaker.call(|| black_box(Ok::<_, u32>(1))).is_ok()))
}

fn window() -> Entry {
    let rate = success_rate_over_time_window(0.5, MINIMUM, 10 * SECOND, backoff::constant(HOUR));
    let breaker = Config::new().failure_policy(rate).build();
    Entry::looped(Work::WindowBreaker, "failsafe", move |times| {
        for call in 0..times {
            let answer = breaker.call(|| black_box(if fails(call) { Err(0) } else { Ok(1) }));
            sure(answer.is_ok() != fails(call));
        }
    })
    .with_note("a moving average over time: of all calls within a millisecond it sees the first")
}

fn open() -> Entry {
    let breaker = consecutive();
    for _ in 0..IN_A_ROW {
        sure(breaker.call(|| Err::<u32, _>(0)).is_err());
    }
    Entry::new(Work::OpenBreaker, "failsafe", move || {
        let answer = breaker.call(|| black_box(Ok::<_, u32>(1)));
        sure(matches!(answer, Err(::failsafe::Error::Rejected)));
    })
}
