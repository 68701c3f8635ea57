//! Who pays in, what a retry costs, and how long deposits are kept.

use core::time::Duration;

use super::After;
use super::credit::{PERMILLE, TOKEN};
use crate::pieces::length;
use crate::{ConfigError, checked};

/// Who pays in, what a retry costs, and how long deposits are kept: in `BUCKETS` pieces, so they go after `ttl` at the
/// latest and a `BUCKETS`th of it earlier. One is enough where nothing expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BudgetConfig<const BUCKETS: usize = 10> {
    /// Amounts are in billionths of a token.
    pub(super) per_call: u64,
    pub(super) per_success: u64,
    pub(super) capacity: u64,
    pub(super) start: u64,
    pub(super) floor: Floor,
    /// What must be left after a withdrawal.
    pub(super) keep: u64,
    failure: u64,
    timeout: u64,
    throttled: u64,
    /// Nanoseconds per piece; the maximum if nothing expires.
    pub(super) piece: u64,
    pub(super) refund: bool,
    pub(super) failures_pay: bool,
}

/// What time gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Floor {
    /// Billionths of a token per nanosecond, which is tokens per second.
    pub(super) rate: u64,
    pub(super) up_to: u64,
    /// 2^64 / rate, rounded down: divides by multiplying.
    inverse: u64,
}

/// Builds a [`BudgetConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct BudgetBuilder<const BUCKETS: usize = 10> {
    per_call: u32,
    per_success: u32,
    capacity: u32,
    start_full: bool,
    floor: (u32, u32),
    keep_permille: Option<u16>,
    costs: [u32; 3],
    ttl: Option<Duration>,
    refund: bool,
    failures_pay: bool,
}

impl Floor {
    #[expect(clippy::integer_division, reason = "configuration, not a decision")]
    const fn new(per_second: u32, up_to: u32) -> Result<Self, ConfigError> {
        let inverse = match (per_second, up_to) {
            (0, 0) => 0,
            (0, _) | (_, 0) => return Err(ConfigError::new("floor", "give both, or none: 0 per second up to 0")),
            _ => u64::MAX / per_second as u64,
        };
        Ok(Self { rate: per_second as u64, up_to: up_to as u64 * TOKEN, inverse })
    }

    /// How many nanoseconds it takes to give `amount`, at most `up_to`, rounded up.
    pub(super) const fn nanos_for(&self, amount: u64) -> u64 {
        let [high, low] = [self.inverse >> 32, self.inverse & 0xffff_ffff];
        #[expect(clippy::cast_possible_truncation, reason = "halves")]
        let [high, low] = [high as u32, low as u32];
        let mut nanos = crate::entropy::scale(amount, high) + (crate::entropy::scale(amount, low) >> 32);
        // Up to four too few: each of the four roundings loses less than one.
        while nanos.saturating_mul(self.rate) < amount {
            nanos += 1;
        }
        nanos
    }
}

impl<const BUCKETS: usize> BudgetBuilder<BUCKETS> {
    /// What each call pays in, in permille of a token: the share of calls that may be retried. Default 200.
    pub const fn deposit_permille(mut self, permille: u32) -> Self {
        self.per_call = permille;
        self
    }

    /// What each success pays in, in permille of a token. Default 0.
    pub const fn success_permille(mut self, permille: u32) -> Self {
        self.per_success = permille;
        self
    }

    /// What time gives: `per_second` tokens, saved up to `up_to`; it is there from the start. Lets those retry who call
    /// rarely, or have just begun. Default 10, up to 100; 0, up to 0 for none.
    pub const fn floor(mut self, per_second: u32, up_to: u32) -> Self {
        self.floor = (per_second, up_to);
        self
    }

    /// How long a deposit is kept. Default 10 s.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Deposits are kept until they are spent.
    pub const fn never_expires(mut self) -> Self {
        self.ttl = None;
        self
    }

    /// How many tokens of deposits there can be; what is above is not taken in. Default 2^32 - 1.
    pub const fn capacity(mut self, tokens: u32) -> Self {
        self.capacity = tokens;
        self
    }

    /// Starts with as many deposits as there can be.
    pub const fn start_full(mut self) -> Self {
        self.start_full = true;
        self
    }

    /// What a retry costs in tokens: after a failure, after a timeout, after the callee asked to be left alone. Default 1
    /// each.
    pub const fn costs(mut self, failure: u32, timeout: u32, throttled: u32) -> Self {
        self.costs = [failure, timeout, throttled];
        self
    }

    /// A retry only if more than so many permille of the capacity are left after it was paid. Default: none need be.
    pub const fn keep_above(mut self, permille: u16) -> Self {
        self.keep_permille = Some(permille);
        self
    }

    /// A retry that succeeds gets back what it cost, instead of what a success pays in.
    pub const fn refund_on_success(mut self) -> Self {
        self.refund = true;
        self
    }

    /// Every failure that might be tried again pays, whether it is or not.
    pub const fn failures_pay(mut self) -> Self {
        self.failures_pay = true;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When nothing would ever be paid in, a retry is free or can never be paid, a floor is half given, deposits expire
    /// that are there from the start, or there is no time or no piece to keep them in.
    pub const fn build(self) -> Result<BudgetConfig<BUCKETS>, ConfigError> {
        let floor = match Floor::new(self.floor.0, self.floor.1) {
            Ok(floor) => floor,
            Err(error) => return Err(error),
        };
        let piece = match self.ttl {
            Some(_) if self.start_full => {
                return Err(ConfigError::new("start_full", "what is there from the start would expire; use a floor"));
            }
            Some(ttl) => length(ttl, BUCKETS, "ttl"),
            None => match length(Duration::from_nanos(1), BUCKETS, "ttl") {
                Ok(_) => Ok(u64::MAX),
                Err(error) => Err(error),
            },
        };
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => return Err(error),
        };
        let keep = match self.keep_permille {
            None => 0,
            Some(permille) if permille >= 1_000 => {
                return Err(ConfigError::new("keep_above", "no retry could be paid"));
            }
            // One more than that, so that "at least" is "more than".
            Some(permille) => self.capacity as u64 * permille as u64 * PERMILLE + 1,
        };
        let capacity = self.capacity as u64 * TOKEN;
        let [failure, timeout, throttled] = self.costs;
        let config = BudgetConfig {
            per_call: self.per_call as u64 * PERMILLE,
            per_success: self.per_success as u64 * PERMILLE,
            capacity,
            start: if self.start_full { capacity } else { 0 },
            floor,
            keep,
            failure: failure as u64 * TOKEN,
            timeout: timeout as u64 * TOKEN,
            throttled: throttled as u64 * TOKEN,
            piece,
            refund: self.refund,
            failures_pay: self.failures_pay,
        };
        config.check()
    }
}

impl<const BUCKETS: usize> BudgetConfig<BUCKETS> {
    /// A builder with the defaults.
    pub const fn builder() -> BudgetBuilder<BUCKETS> {
        BudgetBuilder {
            per_call: 200,
            per_success: 0,
            capacity: u32::MAX,
            start_full: false,
            floor: (10, 100),
            keep_permille: None,
            costs: [1; 3],
            ttl: Some(Duration::from_secs(10)),
            refund: false,
            failures_pay: false,
        }
    }

    /// As Finagle's `RetryBudget(ttl, minRetriesPerSec, percentCanRetry)`, which has 10 pieces. Two things differ once
    /// deposits expire: there, what was withdrawn weighs on the balance for a `ttl` of its own, so that it can fall below
    /// nothing; here, a token that is spent is gone. And the floor there comes back a `ttl` after it was spent, here
    /// steadily.
    ///
    /// # Errors
    /// As [`build`](BudgetBuilder::build).
    pub const fn finagle(permille: u32, ttl: Duration, min_retries_per_sec: u32) -> Result<Self, ConfigError> {
        let up_to = (min_retries_per_sec as u64).saturating_mul(ttl.as_secs());
        if up_to > u32::MAX as u64 {
            return Err(ConfigError::new("min_retries_per_sec", "times the ttl is more than there can be"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "just checked")]
        let floor = (min_retries_per_sec, up_to as u32);
        Self::builder().deposit_permille(permille).ttl(ttl).floor(floor.0, floor.1).build()
    }

    /// What a retry costs.
    #[inline]
    pub(super) const fn cost(&self, after: After) -> u64 {
        match after {
            After::Failure | After::Delay => self.failure,
            After::Timeout => self.timeout,
            After::Throttled => self.throttled,
        }
    }

    const fn check(self) -> Result<Self, ConfigError> {
        let most = self.capacity + self.floor.up_to;
        let costs = [self.failure, self.timeout, self.throttled];
        let [mut dearest, mut cheapest] = [self.failure; 2];
        let mut rest = costs.as_slice();
        while let [cost, more @ ..] = rest {
            dearest = if *cost > dearest { *cost } else { dearest };
            cheapest = if *cost < cheapest { *cost } else { cheapest };
            rest = more;
        }
        if self.capacity == 0 {
            return Err(ConfigError::new("capacity", "there is room for no token"));
        }
        if cheapest == 0 {
            return Err(ConfigError::new("costs", "a retry that costs nothing needs no budget"));
        }
        if self.keep > most || dearest > most - self.keep {
            return Err(ConfigError::new("costs", "more than there can be: such a retry could never be paid"));
        }
        if self.per_call == 0 && self.per_success == 0 && self.start == 0 && self.floor.rate == 0 {
            return Err(ConfigError::new("deposit_permille", "nothing is ever paid in; allow one attempt instead"));
        }
        Ok(self)
    }
}

impl BudgetConfig<1> {
    /// The quota of the AWS SDKs' standard mode: 500 tokens; a retry costs 5, after a timeout 10; a retry that succeeds
    /// gets its cost back, a first attempt that succeeds pays in 1.
    pub const AWS: Self = checked!(Self::quota().costs(5, 10, 5).build());

    /// The same as the SDKs have it behind `AWS_NEW_RETRIES_2026`: a retry costs 14, timeouts included, but 5 when the
    /// callee asked to be left alone.
    pub const AWS_2026: Self = checked!(Self::quota().costs(14, 14, 5).build());

    const fn quota() -> BudgetBuilder<1> {
        Self::kept(500).success_permille(1_000).refund_on_success()
    }

    const fn kept(capacity: u32) -> BudgetBuilder<1> {
        Self::builder().deposit_permille(0).floor(0, 0).never_expires().capacity(capacity).start_full()
    }

    /// gRPC's retry throttling (gRFC A6): each failure takes 1 of `max_tokens`, each success gives `token_ratio`, which
    /// gRPC keeps to a thousandth as well, and retries go out only while more than half are left.
    ///
    /// # Errors
    /// When there are less than 3 tokens, of which the first retry would leave no more than half, or a success gives none.
    pub const fn grpc(max_tokens: u32, token_ratio_permille: u32) -> Result<Self, ConfigError> {
        if token_ratio_permille == 0 {
            return Err(ConfigError::new("token_ratio_permille", "what failures took would never come back"));
        }
        Self::kept(max_tokens).success_permille(token_ratio_permille).keep_above(500).failures_pay().build()
    }
}
