//! The breaker's configuration.

use core::time::Duration;

use super::permit::Permit;
use super::ramp::Ramp;
use super::rule::{Sample, TripRule};
use crate::backoff::{Backoff, Jitter};
use crate::{ConfigError, Instant, Outcome, nanos};

/// When a breaker trips, how long it stays open, and how it tries again. Share one among breakers of a kind through
/// [`BreakerState`](super::BreakerState).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BreakerConfig<R, const TRIALS: usize = 1> {
    pub(super) rule: R,
    pub(super) open: Backoff,
    pub(super) seed: u32,
    /// Zero: hints are not heeded.
    pub(super) max_hint: u64,
    pub(super) slow_after: u64,
    pub(crate) trial_ttl: u64,
    pub(super) half_open_for: u64,
    pub(super) slow_start: Option<Ramp>,
    pub(super) successes_to_close: u16,
    /// How many trials may fail before it cannot close any more.
    pub(super) failures_tolerated: u16,
    /// How many trials decide at most.
    pub(super) trials_needed: u16,
}

/// Builds a [`BreakerConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct BreakerBuilder<R, const TRIALS: usize> {
    rule: R,
    open: Result<Backoff, ConfigError>,
    seed: Option<u32>,
    max_hint: Option<Duration>,
    slow_after: Option<Duration>,
    trial_ttl: Duration,
    half_open_for: Option<Duration>,
    successes_to_close: u16,
    slow_start: Option<Result<Ramp, ConfigError>>,
}

const THIRTY_SECONDS: Duration = Duration::from_secs(30);

impl<R: TripRule> BreakerConfig<R> {
    /// A builder with the defaults and one trial at a time.
    pub const fn builder(rule: R) -> BreakerBuilder<R, 1> {
        BreakerBuilder {
            rule,
            open: Backoff::constant(THIRTY_SECONDS),
            seed: None,
            max_hint: None,
            slow_after: None,
            trial_ttl: THIRTY_SECONDS,
            half_open_for: None,
            successes_to_close: 1,
            slow_start: None,
        }
    }
}

impl<R: TripRule, const TRIALS: usize> BreakerBuilder<R, TRIALS> {
    /// How long the breaker stays open each time. Default 30 s.
    pub const fn open_for(mut self, interval: Duration) -> Self {
        self.open = Backoff::constant(interval);
        self
    }

    /// How long the breaker stays open: the first delay of `backoff` when it trips, the next one with each reopening,
    /// and from the first again after it has closed. With jitter it needs a [`seed`](Self::seed).
    pub const fn open_interval(mut self, backoff: Backoff) -> Self {
        self.open = Ok(backoff);
        self
    }

    /// The seed of the open interval's jitter; give every device another one.
    pub const fn seed(mut self, seed: u32) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets the callee set the open interval: when the outcome that opens the breaker is
    /// [`Unavailable`](crate::Outcome::Unavailable), it stays open until then, but for `max` at most (a hostile or
    /// broken callee may ask for a year). Default: hints are not heeded.
    pub const fn max_hint(mut self, max: Duration) -> Self {
        self.max_hint = Some(max);
        self
    }

    /// A call that takes longer is slow, however it ends. Default: none is.
    pub const fn slow_after(mut self, duration: Duration) -> Self {
        self.slow_after = Some(duration);
        self
    }

    /// After this time a trial that has not come back no longer takes a place. It should exceed the longest time a
    /// trial can honestly take. Default 30 s.
    pub const fn trial_ttl(mut self, ttl: Duration) -> Self {
        self.trial_ttl = ttl;
        self
    }

    /// Reopens a breaker that has been half-open for so long without a verdict: its trials are too far apart to say
    /// something together. Where nobody calls and timers are polled, it goes on reopening, for longer and longer up to the
    /// open interval's cap. Default: it stays half-open until there is one.
    pub const fn half_open_for(mut self, limit: Duration) -> Self {
        self.half_open_for = Some(limit);
        self
    }

    /// After closing, lets `from_permille` of the calls through at first, and more step by step until it is all of them
    /// after `over`: a callee that has just come back has cold caches. Which ones is not left to chance: the share is
    /// added up per call, and each whole lets one through. Default: all at once.
    pub const fn slow_start(mut self, from_permille: u16, over: Duration) -> Self {
        self.slow_start = Some(Ramp::new(from_permille, over));
        self
    }

    /// How many trials must succeed before the breaker closes. Default 1.
    pub const fn successes_to_close(mut self, successes: u16) -> Self {
        self.successes_to_close = successes;
        self
    }

    /// How many trials may be out at once: 16 bytes each, stored inline. Default 1.
    pub const fn trials<const N: usize>(self) -> BreakerBuilder<R, N> {
        BreakerBuilder {
            rule: self.rule,
            open: self.open,
            seed: self.seed,
            max_hint: self.max_hint,
            slow_after: self.slow_after,
            trial_ttl: self.trial_ttl,
            half_open_for: self.half_open_for,
            successes_to_close: self.successes_to_close,
            slow_start: self.slow_start,
        }
    }

    /// What is wrong with the plain numbers.
    const fn problem(&self) -> Option<ConfigError> {
        let (setting, problem) = if TRIALS == 0 || TRIALS > 1024 {
            ("trials", "from 1 to 1024 trials")
        } else if self.successes_to_close == 0 {
            ("successes_to_close", "closing takes at least one success")
        } else if self.trial_ttl.is_zero() {
            ("trial_ttl", "a trial without a lease could never succeed")
        } else if is_zero(self.slow_after) {
            ("slow_after", "every call would be slow")
        } else if self.slow_after.is_none() && R::NEEDS_SLOW_AFTER {
            ("slow_after", "the rule looks at slow calls, and no call is slow")
        } else if is_zero(self.max_hint) {
            ("max_hint", "no hint could be heeded; leave it out")
        } else if is_zero(self.half_open_for) {
            ("half_open_for", "no trial could ever succeed")
        } else {
            return None;
        };
        Some(ConfigError::new(setting, problem))
    }

    /// The configuration.
    ///
    /// # Errors
    /// When a duration or a count is zero, there are more than 1024 trials, a jittered open interval has no seed, or a
    /// slow start is none.
    pub const fn build(self) -> Result<BreakerConfig<R, TRIALS>, ConfigError> {
        if let Some(error) = self.problem() {
            return Err(error);
        }
        let open = match self.open {
            Ok(open) if open.cap() > 0 => open,
            _ => return Err(ConfigError::new("open_for", "a breaker that opens for no time is none")),
        };
        let slow_start = match self.slow_start {
            None => None,
            Some(Ok(ramp)) => Some(ramp),
            Some(Err(error)) => return Err(error),
        };
        let seed = match (open.jitter(), self.seed) {
            (Jitter::None, None) => 0,
            (_, Some(seed)) => seed,
            (_, None) => return Err(ConfigError::new("seed", "a jittered open interval needs a seed")),
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 1024")]
        let trials = TRIALS as u16;
        let needed = if trials > self.successes_to_close { trials } else { self.successes_to_close };
        Ok(BreakerConfig {
            rule: self.rule,
            open,
            seed,
            max_hint: nanos_or(self.max_hint, 0),
            slow_after: nanos_or(self.slow_after, u64::MAX),
            trial_ttl: nanos(self.trial_ttl),
            half_open_for: nanos_or(self.half_open_for, u64::MAX),
            slow_start,
            successes_to_close: self.successes_to_close,
            failures_tolerated: trials.saturating_sub(self.successes_to_close),
            trials_needed: needed,
        })
    }
}

impl<R: TripRule, const TRIALS: usize> BreakerConfig<R, TRIALS> {
    /// The trip rule.
    #[must_use]
    pub const fn rule(&self) -> &R {
        &self.rule
    }

    /// Whether it matters how long calls take.
    #[cfg(target_has_atomic = "64")]
    #[inline]
    pub(crate) const fn looks_at_durations(&self) -> bool {
        self.slow_after < u64::MAX
    }

    /// What an outcome tells about the callee; `None` if nothing.
    #[inline]
    pub(crate) fn sample(&self, permit: &Permit, outcome: Outcome, now: Instant) -> Option<Sample> {
        (outcome != Outcome::Ignored).then(|| Sample { failed: outcome.is_failure(), slow: self.is_slow(permit, now) })
    }

    #[inline]
    pub(crate) const fn is_slow(&self, permit: &Permit, now: Instant) -> bool {
        now.nanos_since(permit.started) > self.slow_after
    }

    /// When a breaker that is half-open `since` then gives up waiting for a verdict.
    pub(super) fn half_open_ends(&self, since: Instant) -> Option<Instant> {
        (self.half_open_for < u64::MAX).then(|| since.after(self.half_open_for))
    }

    /// See [`GateKind::longest_refusal`](crate::GateKind::longest_refusal). The sum of all phases that refuse.
    pub(super) fn longest_refusal(&self) -> u64 {
        let open = self.open.cap().max(self.max_hint);
        let ramp = self.slow_start.map_or(0, |ramp| ramp.length());
        // Left alone, a half-open breaker opens once more when its time is over.
        let half_open = if self.half_open_for < u64::MAX { self.half_open_for } else { 0 };
        open.saturating_add(self.trial_ttl.max(half_open)).saturating_add(ramp)
    }
}

const fn nanos_or(duration: Option<Duration>, default: u64) -> u64 {
    match duration {
        Some(duration) => nanos(duration),
        None => default,
    }
}

const fn is_zero(duration: Option<Duration>) -> bool {
    matches!(duration, Some(duration) if duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::{Consecutive, CountWindow, Either, SlowRate};

    const SECOND: Duration = Duration::from_secs(1);

    const fn builder() -> BreakerBuilder<Consecutive, 1> {
        BreakerConfig::builder(crate::checked!(Consecutive::new(1)))
    }

    fn refused<R: TripRule, const N: usize>(builder: BreakerBuilder<R, N>) -> &'static str {
        builder.build().unwrap_err().setting
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let zero = Duration::ZERO;
        assert_eq!(refused(builder().trials::<0>()), "trials");
        assert_eq!(refused(builder().trials::<1_025>()), "trials");
        assert_eq!(refused(builder().successes_to_close(0)), "successes_to_close");
        assert_eq!(refused(builder().trial_ttl(zero)), "trial_ttl");
        assert_eq!(refused(builder().slow_after(zero)), "slow_after");
        assert_eq!(refused(builder().max_hint(zero)), "max_hint");
        assert_eq!(refused(builder().half_open_for(zero)), "half_open_for");
        assert_eq!(refused(builder().open_for(zero)), "open_for");
        assert_eq!(refused(builder().open_interval(Backoff::IMMEDIATE)), "open_for");
        assert_eq!(refused(builder().slow_start(0, SECOND)), "slow_start");
        let jittered = Backoff::constant(SECOND).unwrap().with_jitter(Jitter::Equal);
        assert_eq!(refused(builder().open_interval(jittered)), "seed");
        assert!(builder().open_interval(jittered).seed(0).trials::<1_024>().build().is_ok());
    }

    #[test]
    fn a_rule_that_looks_at_slow_calls_needs_some() {
        let row = Consecutive::new(1).unwrap();
        let slow = SlowRate::<CountWindow<1>>::of_last(2, 500, 1).unwrap();
        assert_eq!(refused(BreakerConfig::builder(slow)), "slow_after");
        assert_eq!(refused(BreakerConfig::builder(Either(row, slow))), "slow_after");
        assert_eq!(refused(BreakerConfig::builder(Either(slow, row))), "slow_after");
        assert!(BreakerConfig::builder(Either(row, slow)).slow_after(SECOND).build().is_ok());
        assert!(BreakerConfig::builder(Either(row, row)).build().is_ok());
    }

    #[test]
    fn the_longest_refusal_is_the_sum_of_the_phases() {
        let seconds = |builder: BreakerBuilder<Consecutive, 1>| builder.build().unwrap().longest_refusal();
        let second = nanos(SECOND);
        let short = builder().open_for(SECOND).trial_ttl(SECOND);
        assert_eq!(seconds(short), 2 * second);
        assert_eq!(seconds(short.half_open_for(3 * SECOND)), 4 * second);
        assert_eq!(seconds(short.max_hint(5 * SECOND)), 6 * second);
        assert_eq!(seconds(short.max_hint(Duration::MAX)), u64::MAX);
        assert!(seconds(short.slow_start(1, SECOND)) >= 3 * second);
    }
}
