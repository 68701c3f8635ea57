//! Limits, retries and hedges.

use core::time::Duration;

use fusebox::{ConfigError, HedgePolicy, RetryPolicy};
use serde::{Deserialize, Serialize};

use super::any_policy::AnyPolicy;
use super::backoff::BackoffSection;
use super::error::{InvalidConfig, need};
use super::{human, set};

/// The limits of all calls, whether they retry, hedge, or do neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct LimitsSection {
    /// How long a call may take, everything included. Default: for ever.
    #[serde(with = "human")]
    pub deadline: Option<Duration>,
    /// How long an attempt may take. Default: for ever.
    #[serde(with = "human")]
    pub attempt_timeout: Option<Duration>,
    /// Whether to wait for a gate that refuses and says when to come back. Default: no.
    pub wait_for_gates: Option<bool>,
}

/// A [`RetryPolicy`]; the limits are the [`LimitsSection`]'s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct RetrySection {
    /// See [`attempts`](fusebox::retry::RetryBuilder::attempts).
    pub attempts: Option<u16>,
    /// See [`backoff`](fusebox::retry::RetryBuilder::backoff).
    pub backoff: Option<BackoffSection>,
    /// See [`max_hint`](fusebox::retry::RetryBuilder::max_hint).
    #[serde(with = "human")]
    pub max_hint: Option<Duration>,
    /// See [`hint_on_top`](fusebox::retry::RetryBuilder::hint_on_top).
    #[serde(with = "human")]
    pub hint_on_top: Option<Duration>,
    /// Whether the operation may have its effect more than once. Default: it is taken to, and a review asks.
    pub idempotent: Option<bool>,
}

/// A [`HedgePolicy`] of two attempts, which is where most of the gain is; the limits are the [`LimitsSection`]'s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct HedgeSection {
    /// After how long the second attempt starts. Must be there.
    #[serde(with = "human")]
    pub delay: Option<Duration>,
    /// See [`max_hint`](fusebox::hedge::HedgeBuilder::max_hint).
    #[serde(with = "human")]
    pub max_hint: Option<Duration>,
    /// Whether a failure starts no further attempt. Default: it does.
    pub fail_fast: Option<bool>,
    /// Whether the operation may have its effect more than once. Default: it is taken to, and a review asks.
    pub idempotent: Option<bool>,
}

/// Both builders have the same words for what both have.
macro_rules! limit_and_say {
    ($builder:ident, $limits:expr, $section:expr) => {
        set!($builder, $limits, deadline, attempt_timeout);
        if $limits.wait_for_gates == Some(true) {
            $builder = $builder.wait_for_gates();
        }
        match $section.idempotent {
            Some(true) => $builder = $builder.idempotent(),
            Some(false) => $builder = $builder.not_idempotent(),
            None => {}
        }
    };
}

impl RetrySection {
    /// The policy. The path in an error begins with its section.
    ///
    /// # Errors
    /// What [`RetryPolicy`] and the backoff refuse.
    pub fn build(&self, limits: &LimitsSection) -> Result<RetryPolicy, InvalidConfig> {
        let mut builder = RetryPolicy::builder();
        set!(builder, self, attempts, max_hint, hint_on_top);
        if let Some(backoff) = &self.backoff {
            builder = builder.backoff(backoff.build().map_err(|error| error.within("retry.backoff"))?);
        }
        limit_and_say!(builder, limits, self);
        builder.build().map_err(|error| located(error, "retry"))
    }
}

impl HedgeSection {
    /// The policy. The path in an error begins with its section.
    ///
    /// # Errors
    /// What [`HedgePolicy`] refuses, or when there is no delay.
    pub fn build(&self, limits: &LimitsSection) -> Result<HedgePolicy<2>, InvalidConfig> {
        let delay = need(self.delay, "hedge.delay", "the time within which 95 of 100 calls answer, such as \"30ms\"")?;
        let mut builder = HedgePolicy::builder(delay);
        set!(builder, self, max_hint);
        if self.fail_fast == Some(true) {
            builder = builder.fail_fast();
        }
        limit_and_say!(builder, limits, self);
        builder.build().map_err(|error| located(error, "hedge"))
    }
}

pub(super) fn policy(
    limits: &LimitsSection,
    retry: Option<&RetrySection>,
    hedge: Option<&HedgeSection>,
) -> Result<AnyPolicy, InvalidConfig> {
    match (retry, hedge) {
        (Some(_), Some(_)) => Err(InvalidConfig::new("hedge", "multiplies with retry: have one of them only")),
        (_, Some(hedge)) => Ok(AnyPolicy::Hedge(hedge.build(limits)?)),
        (Some(retry), None) => Ok(AnyPolicy::Retry(retry.build(limits)?)),
        (None, None) => {
            let once = RetrySection { attempts: Some(1), ..RetrySection::default() };
            Ok(AnyPolicy::Retry(once.build(limits)?))
        }
    }
}

/// The limits have a section of their own.
fn located(error: ConfigError, section: &str) -> InvalidConfig {
    let section = match error.setting {
        "deadline" | "attempt_timeout" | "wait_for_gates" => "pipeline",
        _ => section,
    };
    InvalidConfig::from(error).within(section)
}
