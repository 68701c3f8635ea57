//! How often what goes wrong, and when everything does.

use core::time::Duration;

use super::{End, Fault};
use crate::entropy::{nth, scale};
use crate::{ConfigError, Instant, nanos};

/// A span of time in which every call fails, or hangs; once, or again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outage {
    /// Nanoseconds, as are all below.
    from: u64,
    length: u64,
    /// `None`: once.
    every: Option<u64>,
    end: End,
}

impl Outage {
    /// Calls that start from `from` on fail, for `length`.
    #[must_use]
    pub const fn error(from: Duration, length: Duration) -> Self {
        Self { from: nanos(from), length: nanos(length), every: None, end: End::Error }
    }

    /// Calls that start from `from` on hang, for `length`.
    #[must_use]
    pub const fn hang(from: Duration, length: Duration) -> Self {
        Self { end: End::Hang, ..Self::error(from, length) }
    }

    /// And again a `period` after its beginning, and so on.
    #[must_use]
    pub const fn every(mut self, period: Duration) -> Self {
        self.every = Some(nanos(period));
        self
    }

    fn covers(&self, now: Instant) -> bool {
        let Some(since) = now.as_nanos().checked_sub(self.from) else { return false };
        self.every.map_or(since, |period| remainder(since, period)) < self.length
    }
}

/// `value` modulo `by`, by subtraction: a 64-bit division would be a kilobyte of code on a Cortex-M0.
const fn remainder(mut value: u64, by: u64) -> u64 {
    let mut shift = by.leading_zeros();
    while value >= by && by > 0 {
        let part = by << shift;
        if value >= part {
            value -= part;
        }
        shift = shift.saturating_sub(1);
    }
    value
}

/// How calls end and how long they take, with up to so many outages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FaultConfig<const OUTAGES: usize = 0> {
    outages: [Outage; OUTAGES],
    latency: u64,
    jitter: u64,
    slow_by: u64,
    slow: u16,
    errors: u16,
    hangs: u16,
}

/// The numbers that chance gives each call.
const DRAWS: u32 = 3;

impl FaultConfig {
    /// A builder with the defaults.
    pub const fn builder() -> FaultBuilder {
        FaultBuilder {
            outages: [],
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            slow_by: Duration::ZERO,
            slow: 0,
            errors: 0,
            hangs: 0,
        }
    }
}

impl<const OUTAGES: usize> FaultConfig<OUTAGES> {
    /// What is to happen to call number `call` of the run that `seed` names, if it starts at `now`.
    #[must_use]
    pub fn fault(&self, seed: u32, call: u32, now: Instant) -> Fault {
        let draw = |n: u32| nth(seed, call.wrapping_mul(DRAWS).wrapping_add(n));
        let end = match self.outages.iter().find(|outage| outage.covers(now)) {
            Some(outage) => outage.end,
            None => self.end(draw(0)),
        };
        if end == End::Hang {
            return Fault { at: Instant::MAX, end };
        }
        let slow_by = if permille(draw(1)) < self.slow { self.slow_by } else { 0 };
        let at = now.after(self.latency).after(scale(self.jitter, draw(2))).after(slow_by);
        Fault { at, end }
    }

    const fn end(&self, draw: u32) -> End {
        match permille(draw) {
            n if n < self.hangs => End::Hang,
            n if n < self.hangs + self.errors => End::Error,
            _ => End::Answer,
        }
    }
}

/// A number below 1000, evenly.
#[expect(clippy::cast_possible_truncation, reason = "below 1000")]
const fn permille(draw: u32) -> u16 {
    scale(1_000, draw) as u16
}

/// Builds a [`FaultConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct FaultBuilder<const OUTAGES: usize = 0> {
    outages: [Outage; OUTAGES],
    latency: Duration,
    jitter: Duration,
    slow_by: Duration,
    slow: u16,
    errors: u16,
    hangs: u16,
}

impl<const OUTAGES: usize> FaultBuilder<OUTAGES> {
    /// How many of a thousand calls fail. Default 0.
    pub const fn errors(mut self, permille: u16) -> Self {
        self.errors = permille;
        self
    }

    /// How many of a thousand calls never end. Default 0.
    pub const fn hangs(mut self, permille: u16) -> Self {
        self.hangs = permille;
        self
    }

    /// How long a call takes at least, before it is answered or fails. Default: no time.
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// How much longer it may take: evenly from nothing up to, and not including, this. Default: no longer.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// How many of a thousand calls take longer, and by how much. Default: none.
    pub const fn slow(mut self, permille: u16, by: Duration) -> Self {
        self.slow = permille;
        self.slow_by = by;
        self
    }

    /// When everything fails. Default: never.
    pub const fn outages<const N: usize>(self, outages: [Outage; N]) -> FaultBuilder<N> {
        let Self { latency, jitter, slow_by, slow, errors, hangs, .. } = self;
        FaultBuilder { outages, latency, jitter, slow_by, slow, errors, hangs }
    }

    /// The configuration.
    ///
    /// # Errors
    /// When more than a thousand of a thousand calls are to fail, hang or be slow, or an outage has no length or is not
    /// over when it comes again.
    pub const fn build(self) -> Result<FaultConfig<OUTAGES>, ConfigError> {
        if self.errors > 1_000 || self.hangs > 1_000 || self.errors + self.hangs > 1_000 {
            return Err(ConfigError::new("errors", "errors and hangs together: at most 1000"));
        }
        if self.slow > 1_000 {
            return Err(ConfigError::new("slow", "at most 1000"));
        }
        let mut outages: &[Outage] = &self.outages;
        while let [outage, rest @ ..] = outages {
            if outage.length == 0 {
                return Err(ConfigError::new("outages", "an outage for no time is none"));
            }
            if let Some(period) = outage.every {
                if outage.length > period {
                    return Err(ConfigError::new("outages", "one that lasts longer than its period never ends"));
                }
            }
            outages = rest;
        }
        Ok(FaultConfig {
            outages: self.outages,
            latency: nanos(self.latency),
            jitter: nanos(self.jitter),
            slow_by: nanos(self.slow_by),
            slow: self.slow,
            errors: self.errors,
            hangs: self.hangs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::remainder;

    #[test]
    fn the_remainder_is_the_remainder() {
        for by in [1, 2, 3, 7, 1_000, 1 << 31, (1 << 40) + 1, u64::MAX >> 1, u64::MAX] {
            for value in [0, 1, 2, 6, 7, 8, 999, 1_000, 1_001, 1 << 50, by - 1, by, u64::MAX - 1, u64::MAX] {
                assert_eq!(remainder(value, by), value % by, "{value} % {by}");
            }
        }
    }
}
