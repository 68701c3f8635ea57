//! When to probe.

use core::time::Duration;

use crate::entropy::scale;
use crate::seen::earlier_by;
use crate::{ConfigError, Instant, nanos};

/// How often to probe, and how long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ProbeConfig {
    initial_delay: u64,
    stagger: u64,
    period: u64,
    timeout: u64,
}

/// Makes a [`ProbeConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ProbeBuilder {
    initial_delay: Duration,
    stagger: Option<Duration>,
    period: Duration,
    timeout: Duration,
}

impl ProbeConfig {
    /// A builder with the defaults.
    pub const fn builder() -> ProbeBuilder {
        ProbeBuilder {
            initial_delay: Duration::ZERO,
            stagger: None,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
        }
    }

    /// How long it takes until `probes` have given no reading, the last one's timeout included.
    pub(super) const fn longest_silence(&self, probes: u64) -> u64 {
        self.period.saturating_mul(probes).saturating_add(self.timeout)
    }
}

impl ProbeBuilder {
    /// No probe before this is over. Default 0.
    pub const fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// The first probe comes at random within so long after that, so that a fleet that starts together does not probe
    /// together. Zero: no stagger. Default: the period.
    pub const fn stagger(mut self, stagger: Duration) -> Self {
        self.stagger = Some(stagger);
        self
    }

    /// From the start of one probe to the start of the next. Default 10 s.
    pub const fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// A probe that takes so long has failed. Default 1 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When a number makes no sense.
    pub const fn build(self) -> Result<ProbeConfig, ConfigError> {
        let (period, timeout) = (nanos(self.period), nanos(self.timeout));
        if period == 0 {
            return Err(ConfigError::new("period", "it would do nothing but probe"));
        }
        if timeout == 0 {
            return Err(ConfigError::new("timeout", "every probe would be late"));
        }
        if timeout > period {
            return Err(ConfigError::new("timeout", "probes would overlap: no longer than the period"));
        }
        let stagger = match self.stagger {
            Some(stagger) => nanos(stagger),
            None => period,
        };
        Ok(ProbeConfig { initial_delay: nanos(self.initial_delay), stagger, period, timeout })
    }
}

/// What to do about probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Beat {
    /// Start one now. One that has no answer at `deadline` has failed.
    Probe {
        /// When it is over, answered or not.
        deadline: Instant,
    },
    /// Nothing before this instant.
    Wait {
        /// When to ask again.
        until: Instant,
    },
}

/// The beat of the probes of one component, for those who probe from a loop of their own.
///
/// Probes start at fixed intervals, however long they take. After an interval that was missed altogether, the count
/// begins anew with the probe that makes up for it: nothing is made up twice. A clock that steps back delays no probe:
/// what was left of the wait still is.
///
/// ```
/// use core::time::Duration;
/// use fusebox::health::{Beat, ProbeConfig, Pulse};
/// use fusebox::{Instant, checked};
///
/// const HALF: u32 = 1 << 31; // of a device's entropy; its first probe comes in the middle of the stagger
/// let mut pulse = Pulse::new(checked!(ProbeConfig::builder().period(Duration::from_secs(10)).build()), HALF);
/// let at = Instant::from_secs;
/// assert_eq!(pulse.next(at(0)), Beat::Wait { until: at(5) });
/// assert_eq!(pulse.next(at(6)), Beat::Probe { deadline: at(7) });
/// assert_eq!(pulse.next(at(7)), Beat::Wait { until: at(15) });
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pulse {
    config: ProbeConfig,
    /// From the first question to the first probe.
    lead: u64,
    due: Option<Instant>,
    /// The time of the last question.
    seen: Instant,
}

impl Pulse {
    /// The first question starts it. `entropy` says where in the stagger the first probe comes; draw another one for each
    /// pulse.
    #[must_use]
    pub const fn new(config: ProbeConfig, entropy: u32) -> Self {
        let lead = config.initial_delay.saturating_add(scale(config.stagger, entropy));
        Self { config, lead, due: None, seen: Instant::EPOCH }
    }

    /// What to do at `now`. Each probe is said once.
    pub fn next(&mut self, now: Instant) -> Beat {
        let due = self.due.map_or(now.after(self.lead), |due| earlier_by(due, self.seen.nanos_since(now)));
        let is_due = now >= due;
        self.due = Some(if is_due { self.following(due, now) } else { due });
        self.seen = now;
        if is_due { Beat::Probe { deadline: now.after(self.config.timeout) } } else { Beat::Wait { until: due } }
    }

    /// When the probe after the one of `due` is due, which starts `now`.
    fn following(&self, due: Instant, now: Instant) -> Instant {
        let next = due.after(self.config.period);
        if next > now { next } else { now.after(self.config.period) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn ns(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    #[test]
    fn a_pulse_keeps_its_beat() {
        let config = ProbeConfig::builder().initial_delay(ns(1_000)).period(ns(100)).timeout(ns(30));
        let pulse = |entropy| Pulse::new(config.build().unwrap(), entropy);
        let wait = |until| Beat::Wait { until: at(until) };
        let probe = |deadline| Beat::Probe { deadline: at(deadline) };
        assert_eq!(pulse(0).next(at(7)), wait(1_007));
        assert_eq!(pulse(1 << 30).next(at(0)), wait(1_025));
        assert_eq!(pulse(u32::MAX).next(at(0)), wait(1_099));
        let mut p = pulse(0);
        assert_eq!(p.next(at(0)), wait(1_000));
        assert_eq!(p.next(at(999)), wait(1_000));
        assert_eq!(p.next(at(1_000)), probe(1_030));
        assert_eq!(p.next(at(1_001)), wait(1_100));
        assert_eq!(p.next(at(1_150)), probe(1_180), "late");
        assert_eq!(p.next(at(1_150)), wait(1_200), "and in beat again");
        assert_eq!(p.next(at(1_300)), probe(1_330), "two are due");
        assert_eq!(p.next(at(1_300)), wait(1_400), "one is made up for");
        assert_eq!(p.next(at(360)), wait(460), "the clock stepped back, and what is left is left");
        assert_eq!(p.next(at(400)), wait(460));
        assert_eq!(p.next(at(460)), probe(490));
        // No delay, no stagger.
        let at_once = config.initial_delay(Duration::ZERO).stagger(Duration::ZERO).build().unwrap();
        assert_eq!(Pulse::new(at_once, u32::MAX).next(at(3)), probe(33));
        let default = ProbeConfig::builder().build().unwrap();
        assert_eq!(Pulse::new(default, 1 << 31).next(at(0)), Beat::Wait { until: Instant::from_secs(5) });
        let mut last = Pulse::new(at_once, 0);
        assert_eq!(last.next(Instant::MAX), Beat::Probe { deadline: Instant::MAX });
    }
}
