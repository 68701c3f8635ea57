//! When an endpoint is an outlier, for how long it goes, and how many may.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::{ConfigError, nanos};

/// Out when the success rate is further below the mean than so many standard deviations (of the population).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SuccessRate {
    pub(super) stdev_permille: u16,
    pub(super) minimum_endpoints: u16,
    pub(super) minimum_calls: u32,
}

impl SuccessRate {
    /// 1.9 standard deviations; 5 endpoints with 100 calls each.
    pub const DEFAULT: Self = Self { stdev_permille: 1_900, minimum_endpoints: 5, minimum_calls: 100 };

    /// `stdev_permille`: 1000 for one standard deviation. Judges endpoints with `minimum_calls` in the interval, once
    /// there are `minimum_endpoints` such endpoints.
    ///
    /// # Errors
    /// When a number is zero.
    pub const fn new(stdev_permille: u16, minimum_endpoints: u16, minimum_calls: u32) -> Result<Self, ConfigError> {
        if stdev_permille == 0 {
            return Err(ConfigError::new("stdev_permille", "every endpoint below the mean would be an outlier"));
        }
        match check_minimums(minimum_endpoints, minimum_calls) {
            Ok(()) => Ok(Self { stdev_permille, minimum_endpoints, minimum_calls }),
            Err(error) => Err(error),
        }
    }

    /// One of `n` endpoints is at most √(n - 1) standard deviations below their mean.
    const fn can_eject_of(self, n: u64) -> bool {
        let factor = self.stdev_permille as u64;
        self.minimum_endpoints as u64 <= n && factor * factor < (n - 1) * 1_000_000
    }
}

/// Out when at least so many permille of the calls failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FailureThreshold {
    pub(super) permille: u16,
    pub(super) minimum_endpoints: u16,
    pub(super) minimum_calls: u32,
}

impl FailureThreshold {
    /// 85 % of the calls; 5 endpoints with 50 calls each.
    pub const DEFAULT: Self = Self { permille: 850, minimum_endpoints: 5, minimum_calls: 50 };

    /// Judges endpoints with `minimum_calls` in the interval, once there are `minimum_endpoints` such endpoints.
    ///
    /// # Errors
    /// When a number is zero, or `permille` is over 1000.
    pub const fn new(permille: u16, minimum_endpoints: u16, minimum_calls: u32) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 1_000 {
            return Err(ConfigError::new("permille", "from 1 to 1000"));
        }
        match check_minimums(minimum_endpoints, minimum_calls) {
            Ok(()) => Ok(Self { permille, minimum_endpoints, minimum_calls }),
            Err(error) => Err(error),
        }
    }
}

const fn check_minimums(endpoints: u16, calls: u32) -> Result<(), ConfigError> {
    if endpoints == 0 {
        return Err(ConfigError::new("minimum_endpoints", "at least 1"));
    }
    if calls == 0 {
        return Err(ConfigError::new("minimum_calls", "no rate without a call"));
    }
    Ok(())
}

/// The rules, the times and the cap of an [`Outliers`](super::Outliers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutlierConfig {
    pub(super) consecutive: Option<NonZeroU32>,
    pub(super) success_rate: Option<SuccessRate>,
    pub(super) failure_threshold: Option<FailureThreshold>,
    pub(super) interval: u64,
    base_ejection: u64,
    max_ejection: u64,
    max_out_permille: u16,
    at_least_one: bool,
}

/// Builds an [`OutlierConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct OutlierBuilder {
    consecutive: Option<u32>,
    success_rate: Option<SuccessRate>,
    failure_threshold: Option<FailureThreshold>,
    interval: Duration,
    base_ejection: Duration,
    max_ejection: Option<Duration>,
    max_out_permille: u16,
    at_least_one: bool,
}

const DEFAULT_MAX_EJECTION: u64 = nanos(Duration::from_secs(300));

impl OutlierConfig {
    /// A builder with the defaults.
    pub const fn builder() -> OutlierBuilder {
        OutlierBuilder {
            consecutive: Some(5),
            success_rate: Some(SuccessRate::DEFAULT),
            failure_threshold: None,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: None,
            max_out_permille: 100,
            at_least_one: false,
        }
    }

    /// Whether `out` of `endpoints`, at most 1024, may be out.
    #[expect(clippy::cast_possible_truncation, reason = "at most 1024")]
    pub(super) const fn allows(&self, out: usize, endpoints: usize) -> bool {
        let share = out as u32 * 1_000 <= self.max_out_permille as u32 * endpoints as u32;
        share || (self.at_least_one && out <= 1)
    }

    /// Whether any rule can ever be met in a set of `endpoints`.
    pub(super) const fn can_eject_of(&self, endpoints: usize) -> bool {
        let by_rate = matches!(self.success_rate, Some(rule) if rule.can_eject_of(endpoints as u64));
        let by_share = matches!(self.failure_threshold, Some(rule) if rule.minimum_endpoints as usize <= endpoints);
        self.consecutive.is_some() || by_rate || by_share
    }

    /// Whether there is a rule for the sweep.
    pub(super) const fn sweeps(&self) -> bool {
        self.success_rate.is_some() || self.failure_threshold.is_some()
    }

    /// How long the ejection of a `multiplier` lasts.
    pub(super) fn ejection(&self, multiplier: u16) -> u64 {
        self.base_ejection.saturating_mul(multiplier.into()).min(self.max_ejection)
    }

    /// The multiplier of the next ejection: it stays where the longest is reached.
    pub(super) fn next_multiplier(&self, multiplier: u16) -> u16 {
        if self.ejection(multiplier) < self.max_ejection { multiplier.saturating_add(1) } else { multiplier }
    }
}

impl OutlierBuilder {
    /// Out after so many failures in a row. Default 5.
    pub const fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive = Some(failures);
        self
    }

    /// However many fail in a row.
    pub const fn without_consecutive_failures(mut self) -> Self {
        self.consecutive = None;
        self
    }

    /// Out when it does much worse than the others. Default [`SuccessRate::DEFAULT`].
    pub const fn success_rate(mut self, rule: SuccessRate) -> Self {
        self.success_rate = Some(rule);
        self
    }

    /// However much worse than the others it does.
    pub const fn without_success_rate(mut self) -> Self {
        self.success_rate = None;
        self
    }

    /// Out when too many calls fail, however the others do. Default: off.
    pub const fn failure_threshold(mut self, rule: FailureThreshold) -> Self {
        self.failure_threshold = Some(rule);
        self
    }

    /// Over how long outcomes are counted before a sweep judges them, and how long an endpoint must be in for its next
    /// ejection to be one base shorter. Default 10 s.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long the first ejection lasts; the second in a row twice as long, and so on. Default 30 s.
    pub const fn base_ejection(mut self, base: Duration) -> Self {
        self.base_ejection = base;
        self
    }

    /// How long an ejection lasts at most. Default 300 s, or the base if that is longer.
    pub const fn max_ejection(mut self, max: Duration) -> Self {
        self.max_ejection = Some(max);
        self
    }

    /// How many of a thousand endpoints may be out at once, rounded down. Default 100.
    pub const fn max_out_permille(mut self, permille: u16) -> Self {
        self.max_out_permille = permille;
        self
    }

    /// Whether one endpoint may be out even where that is more than `max_out_permille`. Small sets need it; a set of
    /// one can then be out as a whole. Default: no.
    pub const fn at_least_one(mut self, yes: bool) -> Self {
        self.at_least_one = yes;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When there is no rule, a number is zero, more than 1000 permille may be out, or `max_ejection` is below
    /// `base_ejection`.
    pub const fn build(self) -> Result<OutlierConfig, ConfigError> {
        let consecutive = match self.consecutive {
            Some(failures) => match NonZeroU32::new(failures) {
                Some(failures) => Some(failures),
                None => return Err(ConfigError::new("consecutive_failures", "it would go without a failure")),
            },
            None => None,
        };
        if consecutive.is_none() && self.success_rate.is_none() && self.failure_threshold.is_none() {
            return Err(ConfigError::new("consecutive_failures", "without any rule nothing is ever ejected"));
        }
        if self.interval.is_zero() {
            return Err(ConfigError::new("interval", "no outcome falls into no time"));
        }
        let base_ejection = nanos(self.base_ejection);
        if base_ejection == 0 {
            return Err(ConfigError::new("base_ejection", "an ejection for no time is none"));
        }
        let max_ejection = match self.max_ejection {
            Some(max) => nanos(max),
            None if base_ejection > DEFAULT_MAX_EJECTION => base_ejection,
            None => DEFAULT_MAX_EJECTION,
        };
        if max_ejection < base_ejection {
            return Err(ConfigError::new("max_ejection", "at least base_ejection"));
        }
        if self.max_out_permille == 0 || self.max_out_permille > 1_000 {
            return Err(ConfigError::new("max_out_permille", "from 1 to 1000"));
        }
        Ok(OutlierConfig {
            consecutive,
            success_rate: self.success_rate,
            failure_threshold: self.failure_threshold,
            interval: nanos(self.interval),
            base_ejection,
            max_ejection,
            max_out_permille: self.max_out_permille,
            at_least_one: self.at_least_one,
        })
    }
}
