//! The schedules of other systems.

use core::time::Duration;

use super::growth::Growth;
use super::polly::Curve;
use super::{Backoff, Jitter};
use crate::{ConfigError, checked};

const TWENTY_SECONDS: Duration = Duration::from_secs(20);
const TWENTY_PERCENT: Jitter = checked!(Jitter::around(200));
const QUARTER: Jitter = checked!(Jitter::around(250));

/// The schedules of other systems, by their names. Each says where it is written down, and what differs.
impl Backoff {
    /// The AWS SDKs' standard retry mode, for errors that are no throttling: full jitter over 50 ms, doubled, up to 20 s.
    ///
    /// "Retry behavior" in the AWS SDKs and Tools Reference Guide, as of 2026; botocore, `retries/standard.py`. They make
    /// three attempts. Before 2026 it was [`AWS_THROTTLED`](Self::AWS_THROTTLED) for all errors.
    pub const AWS: Self =
        checked!(Self::exponential(Duration::from_millis(50), TWENTY_SECONDS)).with_jitter(Jitter::Full);

    /// The same, after throttling: full jitter over 1 s, doubled, up to 20 s.
    pub const AWS_THROTTLED: Self =
        checked!(Self::exponential(Duration::from_secs(1), TWENTY_SECONDS)).with_jitter(Jitter::Full);

    /// The same for `DynamoDB`, after errors that are no throttling: full jitter over 25 ms, doubled, up to 20 s. They
    /// make four attempts.
    pub const AWS_DYNAMODB: Self =
        checked!(Self::exponential(Duration::from_millis(25), TWENTY_SECONDS)).with_jitter(Jitter::Full);

    /// gRPC's delays between attempts to connect: 1 s, times 1.6, up to 120 s, give or take 20 %.
    ///
    /// "GRPC Connection Backoff Protocol" (grpc, `doc/connection-backoff.md`). There the first delay is not jittered, and
    /// the longest can be 20 % above the cap; here it is, and cannot.
    pub const GRPC_CONNECT: Self =
        checked!(Self::exponential_by(1_600, Duration::from_secs(1), Duration::from_secs(120)))
            .with_jitter(TWENTY_PERCENT);

    /// gRPC's delays between the attempts of a call, from the `initialBackoff`, `maxBackoff` and `backoffMultiplier` (in
    /// permille) of a service config, give or take 20 %.
    ///
    /// gRFC A6, "gRPC Retry Design" (grpc/proposal). There the longest delay can be 20 % above the maximum; here it
    /// cannot.
    ///
    /// # Errors
    /// As [`exponential_by`](Self::exponential_by).
    pub const fn grpc_retry(initial: Duration, max: Duration, multiplier_permille: u32) -> Result<Self, ConfigError> {
        jittered(Self::exponential_by(multiplier_permille, initial, max), TWENTY_PERCENT)
    }

    /// Polly's `DelayBackoffType.Constant` with jitter: give or take 25 %. Its `MaxDelay` is
    /// [`with_cap`](Self::with_cap).
    ///
    /// "Retry resilience strategy" in Polly's documentation, as are those below.
    ///
    /// # Errors
    /// When `delay` is zero.
    pub const fn polly_constant(delay: Duration) -> Result<Self, ConfigError> {
        jittered(Self::constant(delay), QUARTER)
    }

    /// Polly's `DelayBackoffType.Linear` with jitter: one, two, three times `delay`, give or take 25 %, up to `cap`.
    ///
    /// # Errors
    /// When a duration is zero.
    pub const fn polly_linear(delay: Duration, cap: Duration) -> Result<Self, ConfigError> {
        jittered(Self::linear(delay, delay, cap), QUARTER)
    }

    /// Polly's `DelayBackoffType.Exponential` with jitter, its `DecorrelatedJitterBackoffV2`: a smooth spread without the
    /// heaps that other jitters make. All delays up to number n add up to `delay * 2^n` in the median.
    ///
    /// Delay number n (from 0) is how far `delay * 2^t * tanh(sqrt(4t)) / 1.4` has risen when t moves from where it was
    /// to n plus chance; here to within 1e-3 of `delay * 2^n`. By George Polevoy (Polly issue 530); without floats, and
    /// linked only where it is used. Ask for another jitter, and it is an ordinary doubling.
    ///
    /// # Errors
    /// When a duration is zero.
    pub const fn polly_exponential(delay: Duration, cap: Duration) -> Result<Self, ConfigError> {
        jittered(Self::new(Growth::Polly(Curve::SMOOTH), delay, cap), Jitter::Decorrelated)
    }
}

const fn jittered(backoff: Result<Backoff, ConfigError>, jitter: Jitter) -> Result<Backoff, ConfigError> {
    match backoff {
        Ok(backoff) => Ok(backoff.with_jitter(jitter)),
        Err(error) => Err(error),
    }
}
