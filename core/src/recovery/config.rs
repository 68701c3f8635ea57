//! The rungs of a ladder, and how it goes up and down.

use core::time::Duration;

use crate::{ConfigError, Instant, nanos};

/// One step of a ladder. An action is any small type of the user's: an enum of what can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rung<A> {
    pub(super) action: Option<A>,
    /// Nanoseconds, as are all below.
    pub(super) timeout: u64,
    pub(super) settle: u64,
    pub(super) hold: u64,
    pub(super) times: u16,
}

impl<A: Copy> Rung<A> {
    /// Only waits, and tries again.
    #[must_use]
    pub const fn retry(wait: Duration) -> Self {
        Self { action: None, timeout: 0, settle: nanos(wait), hold: 0, times: 1 }
    }

    /// Does `action`, which takes `timeout` at most; lets the device settle, then tries. Zero for `settle`: it need not.
    #[must_use]
    pub const fn action(action: A, timeout: Duration, settle: Duration) -> Self {
        let hold = nanos(Duration::from_secs(10));
        Self { action: Some(action), timeout: nanos(timeout), settle: nanos(settle), hold, times: 1 }
    }

    /// How often it is used before the next rung. Default 1.
    #[must_use]
    pub const fn times(mut self, times: u16) -> Self {
        self.times = times;
        self
    }

    /// For how long the device has to work after it for the uses to count anew. Zero: a good trial is enough. Default
    /// 10 s with an action, zero without.
    #[must_use]
    pub const fn hold(mut self, hold: Duration) -> Self {
        self.hold = nanos(hold);
        self
    }

    const fn check(&self) -> Result<(), ConfigError> {
        if self.times == 0 {
            return Err(ConfigError::new("times", "a rung that is never used; leave it out"));
        }
        if self.action.is_none() && self.settle == 0 {
            return Err(ConfigError::new("wait", "without a wait it would be tried again in a hot loop"));
        }
        if self.action.is_some() && self.timeout == 0 {
            return Err(ConfigError::new("timeout", "the action would have failed before it starts"));
        }
        Ok(())
    }
}

/// Of a [`Ladder`](super::Ladder) with `N` rungs, 255 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LadderConfig<A, const N: usize> {
    rungs: [Rung<A>; N],
    pub(super) call_timeout: u64,
    pub(super) step_down: u64,
    /// `None`: final.
    pub(super) retry_after: Option<u64>,
    pub(super) start_after: u16,
}

/// Where on the ladder: the rung, and how often it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Place {
    pub(super) rung: u8,
    pub(super) used: u16,
}

impl Place {
    pub(super) const BOTTOM: Self = Self { rung: 0, used: 0 };
}

impl<A: Copy, const N: usize> LadderConfig<A, N> {
    /// A builder with the defaults. A call takes `call_timeout` at most, else it has failed; the first of `rungs` is the
    /// first that is used.
    pub const fn builder(call_timeout: Duration, rungs: [Rung<A>; N]) -> LadderBuilder<A, N> {
        LadderBuilder {
            rungs,
            call_timeout,
            start_after: 1,
            step_down: Duration::from_secs(600),
            retry_after: Some(Duration::from_secs(600)),
        }
    }

    /// The longest time from the first failure to giving up, if somebody always helps at once and nobody abandons it;
    /// at most `Duration::from_nanos(u64::MAX)`.
    #[must_use]
    pub const fn longest_climb(&self) -> Duration {
        let mut sum = 0_u64;
        let mut rungs: &[Rung<A>] = &self.rungs;
        while let [rung, above @ ..] = rungs {
            let once = rung.timeout.saturating_add(rung.settle).saturating_add(self.call_timeout);
            sum = sum.saturating_add(once.saturating_mul(rung.times as u64));
            rungs = above;
        }
        Duration::from_nanos(sum)
    }

    /// A rung that is not there cannot be used.
    pub(super) fn rung(&self, rung: u8) -> Option<&Rung<A>> {
        self.rungs.get(usize::from(rung))
    }

    /// How often a rung may be used.
    pub(super) fn times(&self, rung: u8) -> u16 {
        self.rung(rung).map_or(0, |rung| rung.times)
    }

    /// The use after `place`; `None` after the last.
    pub(super) fn after(&self, place: Place) -> Option<(Place, &Rung<A>)> {
        let Place { rung, used } = place;
        let next = if used < self.times(rung) {
            Place { rung, used: used.saturating_add(1) }
        } else {
            Place { rung: rung.saturating_add(1), used: 1 }
        };
        self.rung(next.rung).map(|rung| (next, rung))
    }

    /// When a trial comes after `place` has failed at `at`, if nobody does anything.
    pub(super) fn trial_after(&self, place: Place, at: Instant) -> Option<Instant> {
        match self.after(place) {
            Some((_, rung)) if rung.action.is_none() => Some(at.after(rung.settle)),
            Some(_) => None,
            None => self.retry_after.map(|wait| at.after(wait)),
        }
    }
}

/// Builds a [`LadderConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct LadderBuilder<A, const N: usize> {
    rungs: [Rung<A>; N],
    call_timeout: Duration,
    start_after: u16,
    step_down: Duration,
    retry_after: Option<Duration>,
}

impl<A: Copy, const N: usize> LadderBuilder<A, N> {
    /// How many calls in a row have to fail for a recovery to begin. Default 1.
    pub const fn start_after(mut self, failures: u16) -> Self {
        self.start_after = failures;
        self
    }

    /// For how long the device has to work without failure for the ladder to go one rung down. Default 10 min.
    pub const fn step_down(mut self, work: Duration) -> Self {
        self.step_down = work;
        self
    }

    /// How long after giving up it is tried again. Default 10 min.
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// When it has given up, it does nothing until it is reset by hand.
    pub const fn give_up_for_good(mut self) -> Self {
        self.retry_after = None;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When there are no rungs or too many, a number is zero, a time that is waited for is, or a `hold`
    /// is above `step_down`.
    pub const fn build(self) -> Result<LadderConfig<A, N>, ConfigError> {
        if N == 0 || N > u8::MAX as usize {
            return Err(ConfigError::new("rungs", "from 1 to 255"));
        }
        if self.call_timeout.is_zero() {
            return Err(ConfigError::new("call_timeout", "every trial would have failed before it starts"));
        }
        if self.start_after == 0 {
            return Err(ConfigError::new("start_after", "a recovery would begin without a failure"));
        }
        if self.step_down.is_zero() {
            return Err(ConfigError::new(
                "step_down",
                "each success would go one rung down, however quick the next failure",
            ));
        }
        let retry_after = match self.retry_after {
            Some(wait) if wait.is_zero() => {
                return Err(ConfigError::new("retry_after", "it would never give up, and never rest"));
            }
            Some(wait) => Some(nanos(wait)),
            None => None,
        };
        let mut rungs: &[Rung<A>] = &self.rungs;
        while let [rung, above @ ..] = rungs {
            if let Err(error) = rung.check() {
                return Err(error);
            }
            if rung.hold > nanos(self.step_down) {
                return Err(ConfigError::new("hold", "at most step_down: at that, uses count anew in any case"));
            }
            rungs = above;
        }
        Ok(LadderConfig {
            rungs: self.rungs,
            call_timeout: nanos(self.call_timeout),
            step_down: nanos(self.step_down),
            retry_after,
            start_after: self.start_after,
        })
    }
}
