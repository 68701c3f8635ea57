//! TCP Vegas: a few in the queue, not more.

use super::{LimitRule, NoLoad, Sample};
use crate::ConfigError;
use crate::adaptive::fixed::{Estimate, Share, log10};

/// Holds the callee's queue between `alpha` and `beta` calls. The queue is what the limit would not need if nobody
/// waited: `limit x (1 - time without load / time)`. After TCP Vegas (Brakmo and Peterson, 1995) as in Netflix'
/// `VegasLimit`:
///
/// | queue | limit |
/// | --- | --- |
/// | up to `lg` | up by `beta` |
/// | below `alpha` | up by `lg` |
/// | up to `beta` | as it is |
/// | above | down by `lg`, or to a share |
/// | the call was dropped | the same |
///
/// `lg` is the decimal logarithm of the limit, rounded down and at least 1; `alpha` is 3 `lg` and `beta` 6 `lg` unless
/// set. As published it compares every single call with the fastest one, which serves callees whose calls all take the
/// same time; and for the fastest it takes, from time to time, just some call, which under overload has waited. Here
/// means are compared, and the limit is lowered while the time without load is measured: see
/// [`probe_every`](crate::adaptive::AdaptiveBuilder::probe_every).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Vegas {
    alpha: u16,
    beta: u16,
    jumps: bool,
    /// `None`: down by the logarithm.
    fall: Option<Share>,
    smoothing: Share,
    shortest: bool,
}

impl Vegas {
    /// The published steps.
    pub const DEFAULT: Self =
        Self { alpha: 3, beta: 6, jumps: true, fall: None, smoothing: Share::ONE, shortest: false };

    /// `alpha` and `beta` in logarithms of the limit.
    ///
    /// # Errors
    /// When `alpha` is zero or above `beta`, or `beta` above 1000.
    pub const fn new(alpha: u16, beta: u16) -> Result<Self, ConfigError> {
        if alpha == 0 {
            return Err(ConfigError::new("alpha", "the limit could never rise"));
        }
        if alpha > beta || beta > 1_000 {
            return Err(ConfigError::new("beta", "from alpha to 1000"));
        }
        Ok(Self { alpha, beta, ..Self::DEFAULT })
    }

    /// As published: the time without load is that of the fastest call.
    #[must_use]
    pub const fn against_shortest(mut self) -> Self {
        self.shortest = true;
        self
    }

    /// Up by the logarithm also while there is no queue.
    #[must_use]
    pub const fn without_jumps(mut self) -> Self {
        self.jumps = false;
        self
    }

    /// Down to `permille` of it, instead of by the logarithm.
    ///
    /// # Errors
    /// When it is zero or above 999.
    pub const fn falls_to(mut self, permille: u16) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 999 {
            return Err(ConfigError::new("falls_to", "from 1 to 999"));
        }
        self.fall = Some(Share::of_permille(permille));
        Ok(self)
    }

    /// Goes `permille` of each step. Default 1000.
    ///
    /// # Errors
    /// When it is zero or above 1000.
    pub const fn smoothing(mut self, permille: u16) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 1_000 {
            return Err(ConfigError::new("smoothing", "from 1 to 1000"));
        }
        self.smoothing = Share::of_permille(permille);
        Ok(self)
    }

    const fn lowered(&self, limit: Estimate, lg: u16) -> Estimate {
        match self.fall {
            None => limit.minus(lg),
            Some(share) => limit.times(share),
        }
    }

    /// Where the step goes.
    fn goal(&self, limit: Estimate, sample: &Sample) -> Estimate {
        let lg = log10(limit.whole());
        let queue = Queue::new(limit, sample);
        if sample.dropped {
            self.lowered(limit, lg)
        } else if self.jumps && queue.is_up_to(lg) {
            limit.plus(self.beta * lg)
        } else if queue.is_up_to(self.alpha * lg - 1) {
            limit.plus(lg)
        } else if queue.is_up_to(self.beta * lg) {
            limit
        } else {
            self.lowered(limit, lg)
        }
    }
}

/// `limit x waited / rtt`, not divided.
struct Queue {
    product: u64,
    rtt: u64,
}

impl Queue {
    fn new(limit: Estimate, sample: &Sample) -> Self {
        let waited = sample.rtt.saturating_sub(sample.no_load.unwrap_or(sample.rtt));
        // The share is the same when both lose the same bits, and 31 of them leave room for the limit's 32.
        let spare = 33_u32.saturating_sub(sample.rtt.leading_zeros());
        Self { product: u64::from(limit.to_bits()) * (waited >> spare), rtt: sample.rtt >> spare }
    }

    /// Whether it is `n` at most, which is the same for the queue rounded up to a whole call.
    fn is_up_to(&self, n: u16) -> bool {
        self.product <= u64::from(Estimate::of(n).to_bits()) * self.rtt
    }
}

impl LimitRule for Vegas {
    type Memory = ();
    const EMPTY: () = ();

    fn update(&self, _memory: &mut (), limit: Estimate, sample: &Sample) -> Estimate {
        limit.toward(self.goal(limit, sample), self.smoothing)
    }

    fn no_load(&self) -> NoLoad {
        if self.shortest { NoLoad::Shortest } else { NoLoad::Mean }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rule: Vegas, limit: u16, rtt: u64) -> u16 {
        let sample = Sample { rtt, in_flight: limit, dropped: false, no_load: Some(1_000) };
        rule.update(&mut (), Estimate::of(limit), &sample).whole()
    }

    #[test]
    fn each_row_of_the_table() {
        // At a limit of 50: a queue of 1 is 1021 / 1000, 2 is 1042, 3 is 1064, 6 is 1137.
        let told = [1_000, 1_020, 1_021, 1_041, 1_042, 1_136, 1_137].map(|rtt| after(Vegas::DEFAULT, 50, rtt));
        assert_eq!(told, [56, 56, 51, 51, 50, 50, 49]);
        assert_eq!(after(Vegas::DEFAULT.without_jumps(), 50, 1_000), 51);
        assert_eq!(after(Vegas::DEFAULT, 5_000, 2_000), 4_997);
        assert_eq!(after(Vegas::DEFAULT.falls_to(500).unwrap(), 50, 2_000), 25);
        assert_eq!(after(Vegas::DEFAULT.falls_to(500).unwrap().smoothing(500).unwrap(), 50, 2_000), 37);
    }

    #[test]
    fn a_drop_lowers_and_no_knowledge_is_no_queue() {
        let dropped = Sample { rtt: 1, in_flight: 9, dropped: true, no_load: Some(1) };
        assert_eq!(Vegas::DEFAULT.update(&mut (), Estimate::of(50), &dropped).whole(), 49);
        let unknown = Sample { rtt: 7, dropped: false, no_load: None, ..dropped };
        assert_eq!(Vegas::DEFAULT.update(&mut (), Estimate::of(50), &unknown).whole(), 56);
        let faster = Sample { no_load: Some(8), ..unknown };
        assert_eq!(Vegas::DEFAULT.update(&mut (), Estimate::of(50), &faster).whole(), 56);
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let long = (1 << 48) - 1;
        let sample = Sample { rtt: long, in_flight: 9, dropped: false, no_load: Some(1) };
        assert_eq!(Vegas::DEFAULT.update(&mut (), Estimate::of(u16::MAX), &sample).whole(), u16::MAX - 4);
        let most = Vegas::new(1_000, 1_000).unwrap();
        assert_eq!(most.update(&mut (), Estimate::of(60_000), &Sample { rtt: 1, ..sample }).whole(), 64_000);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(Vegas::new(0, 6).unwrap_err().setting, "alpha");
        assert_eq!(Vegas::new(7, 6).unwrap_err().setting, "beta");
        assert_eq!(Vegas::new(7, 1_001).unwrap_err().setting, "beta");
        assert_eq!(Vegas::DEFAULT.falls_to(1_000).unwrap_err().setting, "falls_to");
        assert_eq!(Vegas::DEFAULT.falls_to(0).unwrap_err().setting, "falls_to");
        assert_eq!(Vegas::DEFAULT.smoothing(0).unwrap_err().setting, "smoothing");
        assert_eq!(Vegas::DEFAULT.smoothing(1_001).unwrap_err().setting, "smoothing");
    }
}
