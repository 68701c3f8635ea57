//! The gates.

use core::num::NonZeroU32;
use core::time::Duration;

use fusebox::review::{Facts, Review};
use fusebox::{BreakerConfig, Clock, ConfigError, Entropy, Outcome, Quota, Rejected, SharedGate, sync};
use serde::{Deserialize, Serialize};

use super::any_breaker::AnyBreaker;
use super::any_rule::{AnyRule, OneRule};
use super::backoff::BackoffSection;
use super::error::{InvalidConfig, need};
use super::rule::RuleSection;
use super::{human, set};

/// Who asks a gate: see "Which gates where" at [`Pipeline`](crate::Pipeline).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each attempt.
    #[default]
    Attempt,
    /// Each call, once.
    Call,
}

/// A circuit breaker: a [`BreakerConfig`]. There is no seed: a file is the same for all who must not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct BreakerSection {
    /// When it trips. Must be there.
    pub rule: Option<RuleSection>,
    /// Another rule: either trips.
    pub or_rule: Option<RuleSection>,
    /// See [`open_for`](fusebox::breaker::BreakerBuilder::open_for).
    #[serde(with = "human")]
    pub open_for: Option<Duration>,
    /// Instead of `open_for`; see [`open_interval`](fusebox::breaker::BreakerBuilder::open_interval).
    pub open_interval: Option<BackoffSection>,
    /// See [`trials`](fusebox::breaker::BreakerBuilder::trials); 10 at most.
    pub trials: Option<u16>,
    /// See [`successes_to_close`](fusebox::breaker::BreakerBuilder::successes_to_close).
    pub successes_to_close: Option<u16>,
    /// See [`trial_ttl`](fusebox::breaker::BreakerBuilder::trial_ttl).
    #[serde(with = "human")]
    pub trial_ttl: Option<Duration>,
    /// See [`half_open_for`](fusebox::breaker::BreakerBuilder::half_open_for).
    #[serde(with = "human")]
    pub half_open_for: Option<Duration>,
    /// See [`slow_after`](fusebox::breaker::BreakerBuilder::slow_after).
    #[serde(with = "human")]
    pub slow_after: Option<Duration>,
    /// See [`max_hint`](fusebox::breaker::BreakerBuilder::max_hint).
    #[serde(with = "human")]
    pub max_hint: Option<Duration>,
    /// See [`slow_start`](fusebox::breaker::BreakerBuilder::slow_start).
    pub slow_start: Option<SlowStartSection>,
    /// Who asks it. Default: each attempt.
    pub per: Option<Per>,
}

/// What a breaker lets through after closing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct SlowStartSection {
    /// The share of calls at first. Must be there.
    pub from_permille: Option<u16>,
    /// After how long it is all of them. Must be there.
    #[serde(with = "human")]
    pub over: Option<Duration>,
}

/// A token bucket: a [`Quota`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct RateLimitSection {
    /// How many per period. Must be there.
    pub count: Option<u32>,
    /// The period. Default: as [`Quota::per_second`].
    #[serde(with = "human")]
    pub period: Option<Duration>,
    /// See [`with_burst`](Quota::with_burst). Default: the count.
    pub burst: Option<u32>,
    /// See [`with_max_wait`](Quota::with_max_wait).
    #[serde(with = "human")]
    pub max_wait: Option<Duration>,
    /// See [`with_max_pause`](Quota::with_max_pause).
    #[serde(with = "human")]
    pub max_pause: Option<Duration>,
    /// See [`with_max_hint`](Quota::with_max_hint).
    #[serde(with = "human")]
    pub max_hint: Option<Duration>,
    /// Who asks it. Default: each attempt.
    pub per: Option<Per>,
}

/// A bulkhead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct BulkheadSection {
    /// How many may be in flight. Must be there.
    pub limit: Option<NonZeroU32>,
    /// Who asks it. Default: each attempt.
    pub per: Option<Per>,
}

impl BreakerSection {
    /// The breaker; `entropy` gives the seed of its open interval.
    ///
    /// # Errors
    /// What the rules and [`BreakerConfig`] refuse, more than 10 trials, and what is missing.
    pub fn build(&self, entropy: &Entropy) -> Result<AnyBreaker, InvalidConfig> {
        let rule =
            need(self.rule.as_ref(), "rule", "when it trips, such as { kind = \"consecutive\", threshold = 5 }")?;
        let one = rule.build().map_err(|error| error.within("rule"))?;
        let other = self.or_rule.map(|rule| rule.build()).transpose().map_err(|error| error.within("or_rule"))?;
        if self.slow_after.is_none() && [Some(one), other].iter().flatten().any(OneRule::looks_at_slow_calls) {
            return need(None, "slow_after", "the rule looks at slow calls, and no call is slow");
        }
        let mut builder = BreakerConfig::builder(AnyRule { one, other }).seed(entropy.draw());
        set!(builder, self, open_for, successes_to_close, trial_ttl, half_open_for, slow_after, max_hint);
        if let Some(interval) = &self.open_interval {
            if self.open_for.is_some() {
                return Err(InvalidConfig::new("open_interval", "there is an open_for too: have one of them only"));
            }
            builder = builder.open_interval(interval.build().map_err(|error| error.within("open_interval"))?);
        }
        if let Some(start) = &self.slow_start {
            let from =
                need(start.from_permille, "slow_start.from_permille", "the share of calls at first, such as 100")?;
            let over = need(start.over, "slow_start.over", "after how long it is all of them, such as \"30s\"")?;
            builder = builder.slow_start(from, over);
        }
        AnyBreaker::new(builder, self.trials).map_err(|error| self.located(error))
    }

    /// The open interval has two names.
    fn located(&self, error: ConfigError) -> InvalidConfig {
        match (error.setting, self.open_interval) {
            ("open_for", Some(_)) => InvalidConfig::new("open_interval", error.problem),
            _ => error.into(),
        }
    }
}

impl RateLimitSection {
    /// The quota.
    ///
    /// # Errors
    /// What [`Quota`] refuses, or when there is no count.
    pub fn build(&self) -> Result<Quota, InvalidConfig> {
        let count = need(self.count, "count", "how many per period")?;
        let mut quota = match self.period {
            Some(period) => Quota::new(count, period),
            None => Quota::per_second(count),
        }?;
        if let Some(burst) = self.burst {
            quota = quota.with_burst(burst)?;
        }
        if let Some(max) = self.max_wait {
            quota = quota.with_max_wait(max);
        }
        if let Some(max) = self.max_pause {
            quota = quota.with_max_pause(max)?;
        }
        if let Some(max) = self.max_hint {
            quota = quota.with_max_hint(max)?;
        }
        Ok(quota)
    }
}

impl BulkheadSection {
    /// The bulkhead.
    ///
    /// # Errors
    /// When there is no limit.
    pub fn build(&self) -> Result<sync::Bulkhead, InvalidConfig> {
        let limit = need(self.limit, "limit", "how many may be in flight")?;
        Ok(sync::Bulkhead::new(limit))
    }
}

/// The gates that a file names, outermost first; those it does not name let everything through.
#[derive(Debug, Default)]
pub struct Gates {
    /// The circuit breaker.
    pub breaker: Option<AnyBreaker>,
    /// The token bucket.
    pub rate_limit: Option<sync::TokenBucket>,
    /// The bulkhead.
    pub bulkhead: Option<sync::Bulkhead>,
}

type Parts<'g> = (&'g Option<AnyBreaker>, &'g Option<sync::TokenBucket>, &'g Option<sync::Bulkhead>);

impl Gates {
    const fn parts(&self) -> Parts<'_> {
        (&self.breaker, &self.rate_limit, &self.bulkhead)
    }
}

impl SharedGate for Gates {
    type Permit = <Parts<'static> as SharedGate>::Permit;

    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        self.parts().try_acquire(now)
    }

    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock) {
        self.parts().release(permit, outcome, now);
    }

    fn cancel(&self, permit: Self::Permit, now: impl Clock) {
        self.parts().cancel(permit, now);
    }
}

impl Review for Gates {
    fn review(&self, facts: &mut Facts) {
        self.parts().review(facts);
    }
}
