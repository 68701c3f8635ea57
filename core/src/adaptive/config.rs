//! An adaptive limit's configuration.

use core::time::Duration;

use super::baseline::Source;
use super::fixed::Estimate;
use super::headroom::Headroom;
use super::rule::LimitRule;
use crate::{ConfigError, nanos};

/// The rule and its bounds. Share one among limits of a kind through [`AdaptiveState`](super::AdaptiveState), or in
/// [`Keyed`](crate::Keyed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AdaptiveConfig<A> {
    pub(super) rule: A,
    pub(super) least: u16,
    pub(super) initial: u16,
    pub(super) greatest: u16,
    pub(super) headroom: Headroom,
    /// A call that takes longer is dropped.
    pub(super) timeout: Option<u64>,
    pub(super) source: Source,
    pub(super) forget_after: Option<u64>,
    pub(super) every_call: bool,
}

/// Builds an [`AdaptiveConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct AdaptiveBuilder<A> {
    rule: A,
    least: u16,
    initial: u16,
    greatest: u16,
    headroom: Headroom,
    timeout: Option<Duration>,
    no_load: Option<Duration>,
    probe_every: Option<Duration>,
    forget_after: Option<Duration>,
    every_call: bool,
}

impl<A: LimitRule> AdaptiveConfig<A> {
    /// A builder with the defaults.
    pub const fn builder(rule: A) -> AdaptiveBuilder<A> {
        AdaptiveBuilder {
            rule,
            least: 1,
            initial: 20,
            greatest: 200,
            headroom: Headroom::DEFAULT,
            timeout: None,
            no_load: None,
            probe_every: Some(Duration::from_secs(30)),
            forget_after: None,
            every_call: false,
        }
    }

    /// The rule.
    #[must_use]
    pub const fn rule(&self) -> &A {
        &self.rule
    }

    /// `estimate` between the bounds.
    pub(super) const fn held(&self, estimate: Estimate) -> Estimate {
        let (least, greatest) = (Estimate::of(self.least), Estimate::of(self.greatest));
        if estimate.to_bits() < least.to_bits() {
            least
        } else if estimate.to_bits() > greatest.to_bits() {
            greatest
        } else {
            estimate
        }
    }
}

impl<A: LimitRule> AdaptiveBuilder<A> {
    /// The least limit, the one to start with, and the greatest. Default 1, 20, 200.
    pub const fn limits(mut self, least: u16, initial: u16, greatest: u16) -> Self {
        (self.least, self.initial, self.greatest) = (least, initial, greatest);
        self
    }

    /// How far above what is in flight the limit may grow. Default twice.
    pub const fn headroom(mut self, headroom: Headroom) -> Self {
        self.headroom = headroom;
        self
    }

    /// A call that takes longer counts as dropped, however it ends; a failure that does not says nothing. Set it a bit
    /// below the time after which callers give up. Default none: a failure counts as dropped unless it came faster than
    /// a call takes without load.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long a call takes without load, for who knows: it is not measured then. Default: measured.
    pub const fn no_load(mut self, time: Duration) -> Self {
        self.no_load = Some(time);
        self
    }

    /// How long the time without load is believed while calls take longer. Then a quarter of the limit, until 16 calls
    /// that started since are back, shows what it is now. Default 30 s.
    pub const fn probe_every(mut self, interval: Duration) -> Self {
        self.probe_every = Some(interval);
        self
    }

    /// Never probes: what the fastest or first calls took is believed for ever.
    pub const fn never_probe(mut self) -> Self {
        self.probe_every = None;
        self
    }

    /// Starts afresh with the initial limit when nothing has been in flight for so long. Default: never.
    pub const fn forget_after(mut self, idle: Duration) -> Self {
        self.forget_after = Some(idle);
        self
    }

    /// Judges with every call, as the rules are published. Default: once per round trip, by the mean of calls that
    /// started since the limit last changed. The others tell of the limit of before: heeding them too drives it too
    /// far.
    pub const fn on_every_call(mut self) -> Self {
        self.every_call = true;
        self
    }

    const fn problem(&self) -> Option<ConfigError> {
        let (setting, problem) = if self.least == 0 {
            ("limits", "a limit of nothing could never grow: no call would show that it may")
        } else if self.least > self.initial || self.initial > self.greatest {
            ("limits", "the initial one lies between the least and the greatest")
        } else if is_zero(self.timeout) {
            ("timeout", "every call would be dropped")
        } else if self.timeout.is_none() && A::NEEDS_TIMEOUT {
            ("timeout", "the rule lowers the limit only for drops: say when a call is one")
        } else if is_zero(self.no_load) {
            ("no_load", "every call would look queued")
        } else if is_zero(self.probe_every) {
            ("probe_every", "the limit would always be lowered")
        } else if is_zero(self.forget_after) {
            ("forget_after", "nothing would be learnt")
        } else {
            return None;
        };
        Some(ConfigError::new(setting, problem))
    }

    /// The configuration.
    ///
    /// # Errors
    /// When a limit or a duration is zero, the limits are out of order, or the rule needs a timeout and has none.
    pub const fn build(self) -> Result<AdaptiveConfig<A>, ConfigError> {
        if let Some(error) = self.problem() {
            return Err(error);
        }
        let source = match (nanos_of(self.no_load), nanos_of(self.probe_every)) {
            (Some(time), _) => Source::Fixed(time),
            (None, Some(interval)) => Source::Measured(interval),
            (None, None) => Source::Measured(u64::MAX),
        };
        Ok(AdaptiveConfig {
            rule: self.rule,
            least: self.least,
            initial: self.initial,
            greatest: self.greatest,
            headroom: self.headroom,
            timeout: nanos_of(self.timeout),
            source,
            forget_after: nanos_of(self.forget_after),
            every_call: self.every_call,
        })
    }
}

const fn nanos_of(duration: Option<Duration>) -> Option<u64> {
    match duration {
        Some(duration) => Some(nanos(duration)),
        None => None,
    }
}

const fn is_zero(duration: Option<Duration>) -> bool {
    matches!(duration, Some(duration) if duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adaptive::{Aimd, Vegas};

    fn refused(builder: AdaptiveBuilder<Vegas>) -> &'static str {
        builder.build().unwrap_err().setting
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let builder = AdaptiveConfig::builder(Vegas::DEFAULT);
        assert_eq!(refused(builder.limits(0, 1, 1)), "limits");
        assert_eq!(refused(builder.limits(2, 1, 2)), "limits");
        assert_eq!(refused(builder.limits(1, 3, 2)), "limits");
        assert_eq!(refused(builder.timeout(Duration::ZERO)), "timeout");
        assert_eq!(refused(builder.no_load(Duration::ZERO)), "no_load");
        assert_eq!(refused(builder.probe_every(Duration::ZERO)), "probe_every");
        assert_eq!(refused(builder.forget_after(Duration::ZERO)), "forget_after");
        assert_eq!(AdaptiveConfig::builder(Aimd::DEFAULT).build().unwrap_err().setting, "timeout");
        assert!(builder.limits(1, 1, 1).never_probe().build().is_ok());
    }

    #[test]
    fn what_is_held_stays_between_the_bounds() {
        let config = AdaptiveConfig::builder(Vegas::DEFAULT).limits(2, 3, 4).build().unwrap();
        let held = [0, 2, 3, 5].map(|n| config.held(Estimate::of(n)).whole());
        assert_eq!(held, [2, 2, 3, 4]);
    }
}
