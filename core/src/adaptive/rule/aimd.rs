//! Additive increase, multiplicative decrease.

use super::{LimitRule, NoLoad, Sample};
use crate::ConfigError;
use crate::adaptive::fixed::{Estimate, Share};

/// One more after a round trip in which all were served, a share of it after a drop: TCP Reno's rule. It looks at no
/// times but the configuration's `timeout`, which it needs, and so fills the callee's queue until calls take about so
/// long.
///
/// The share is of what was in flight if that was less than the limit (RFC 5681, section 3.1). Netflix' `AIMDLimit`
/// takes it of the limit, and moves [with every call](crate::adaptive::AdaptiveBuilder::on_every_call). The calls in
/// flight were all let in under the old limit; if one is too late the others mostly are, and that limit falls to the
/// ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Aimd {
    backoff: Share,
    of_limit: bool,
}

impl Aimd {
    /// Nine tenths after a drop.
    pub const DEFAULT: Self = Self { backoff: Share::of_permille(900), of_limit: false };

    /// `permille` of it after a drop.
    ///
    /// # Errors
    /// When it is zero or above 999.
    pub const fn new(permille: u16) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 999 {
            return Err(ConfigError::new("permille", "from 1 to 999: a drop must lower the limit, and leave some"));
        }
        Ok(Self { backoff: Share::of_permille(permille), of_limit: false })
    }

    /// As published: a share of the limit, whether or not it is used.
    #[must_use]
    pub const fn of_limit(mut self) -> Self {
        self.of_limit = true;
        self
    }

    /// What the share is taken of.
    fn used(self, limit: Estimate, sample: &Sample) -> Estimate {
        if self.of_limit { limit } else { limit.min(Estimate::of(sample.in_flight)) }
    }
}

impl LimitRule for Aimd {
    type Memory = ();
    const EMPTY: () = ();
    const NEEDS_TIMEOUT: bool = true;

    fn update(&self, _memory: &mut (), limit: Estimate, sample: &Sample) -> Estimate {
        if sample.dropped { Estimate::of(self.used(limit, sample).times(self.backoff).whole()) } else { limit.plus(1) }
    }

    fn no_load(&self) -> NoLoad {
        NoLoad::Unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROP: Sample = Sample { rtt: 1, in_flight: 20, dropped: true, no_load: None };

    fn after(rule: Aimd, limit: u16, sample: Sample) -> u16 {
        rule.update(&mut (), Estimate::of(limit), &sample).whole()
    }

    #[test]
    fn up_by_one_and_down_by_a_share() {
        assert_eq!(after(Aimd::DEFAULT, 20, Sample { dropped: false, ..DROP }), 21);
        assert_eq!(after(Aimd::DEFAULT, 20, DROP), 18);
        assert_eq!(after(Aimd::new(500).unwrap(), 19, DROP), 9);
    }

    #[test]
    fn the_share_is_of_what_was_in_flight() {
        assert_eq!(after(Aimd::DEFAULT, 40, DROP), 18);
        assert_eq!(after(Aimd::DEFAULT.of_limit(), 40, DROP), 36);
        assert_eq!(after(Aimd::DEFAULT, 15, DROP), 13);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(Aimd::new(0).unwrap_err().setting, "permille");
        assert_eq!(Aimd::new(1_000).unwrap_err().setting, "permille");
    }
}
