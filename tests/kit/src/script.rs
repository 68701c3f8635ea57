//! A callee that does as scripted, and the policy that guards it.

use core::time::Duration;

use fusebox::{
    Backoff, Breaker, BreakerConfig, ConfigError, Consecutive, Jitter, Quota, RetryPolicy, TokenBucket, checked,
};
use fusebox_drive::Class;

/// What the callee does in one attempt. Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Succeeds after a while.
    Ok(u64),
    /// Fails after a while.
    Err(u64),
    /// Fails after a while and asks to be left alone for the second time.
    Busy(u64, u64),
    /// Fails at once, for good, and it is the caller's fault.
    Refuse,
    /// Never answers.
    Hang,
}

/// What the callee says when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Try again.
    Broken,
    /// Try again, but not before so many milliseconds.
    Busy(u64),
    /// The request makes no sense.
    BadRequest,
}

/// The classifier of the scenario.
#[must_use]
pub const fn class(answer: &Result<(), Fault>) -> Class {
    match answer {
        Ok(()) => Class::Success,
        Err(Fault::Broken) => Class::Retry,
        Err(Fault::Busy(ms)) => Class::RetryAfter(Duration::from_millis(*ms)),
        Err(Fault::BadRequest) => Class::Ignore,
    }
}

/// One call: when it starts, what the callee does in its attempts, and when its caller loses interest.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Milliseconds from the start, or when the call before has ended if that is later.
    pub at: u64,
    /// One entry per attempt.
    pub answers: &'static [Answer],
    /// So many milliseconds after its start the call is dropped.
    pub dropped_after: Option<u64>,
}

const fn call(at: u64, answers: &'static [Answer]) -> Call {
    Call { at, answers, dropped_after: None }
}

use Answer::{Busy, Err as Bad, Hang, Ok as Good, Refuse};

/// Everything the policy has an answer for, once.
pub const CALLS: &[Call] = &[
    call(0, &[Good(20)]),
    call(40, &[Bad(20), Good(20)]),                              // a retry helps
    call(300, &[Hang, Bad(20), Bad(0)]),                         // a timeout and two errors: trips
    call(480, &[]),                                              // refused: open
    call(700, &[Bad(20), Good(0)]),                              // the trial fails: open again
    Call { at: 960, answers: &[Hang], dropped_after: Some(40) }, // a trial that is dropped says nothing
    call(1_020, &[Good(40)]),                                    // the first good trial
    call(1_080, &[Refuse]),                                      // a trial that is the caller's fault says nothing
    call(1_100, &[Good(20)]),                                    // the second good trial: closed
    call(1_400, &[Busy(20, 120), Good(20)]),                     // comes back when asked to
    call(1_800, &[Busy(0, 60_000)]),                             // asked to come back after the deadline
    call(2_000, &[Good(0)]),
    call(2_000, &[Good(0)]),
    call(2_000, &[Good(0)]),
    call(2_000, &[Good(0)]),
    call(2_000, &[Good(0)]), // refused: out of tokens
];

/// The breaker and the token bucket of the scenario.
pub type Gates = (Breaker<Consecutive>, TokenBucket);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn quota(burst: u32) -> Result<Quota, ConfigError> {
    match Quota::per_second(10) {
        Ok(quota) => quota.with_burst(burst),
        Err(error) => Err(error),
    }
}

/// Trips at the third failure in a row, open for 200 ms, two good trials to close.
pub const BREAKER: BreakerConfig<Consecutive> = checked!(
    BreakerConfig::builder(checked!(Consecutive::new(3)))
        .open_for(ms(200))
        .successes_to_close(2)
        .trial_ttl(ms(300))
        .build()
);

/// The gates, as new.
#[must_use]
pub const fn gates() -> Gates {
    (Breaker::new(BREAKER), TokenBucket::new(checked!(quota(4))))
}

/// The gates of those who wait: one token at a time.
#[must_use]
pub const fn narrow_gates() -> Gates {
    (Breaker::new(BREAKER), TokenBucket::new(checked!(quota(1))))
}

/// Three attempts of 60 ms, with growing, jittered delays, 600 ms in all.
pub const RETRY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(3)
        .backoff(checked!(Backoff::exponential(ms(30), ms(100))).with_jitter(Jitter::Equal))
        .attempt_timeout(ms(60))
        .deadline(ms(600))
        .build()
);

/// The same for those who wait for their turn and their token.
pub const PATIENT: RetryPolicy =
    checked!(RetryPolicy::builder().attempts(1).attempt_timeout(ms(60)).deadline(ms(250)).wait_for_gates().build());

/// Everybody's seed, so that everybody's jitter is the same.
pub const SEED: u32 = 0x5eed;

/// How many stand in line, and which of them leaves, and after how many milliseconds.
pub const WAITERS: usize = 5;
/// See [`WAITERS`].
pub const LEAVES: (usize, u64) = (2, 60);
