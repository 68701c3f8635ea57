//! Pipelines from configuration files, with errors that name the setting.
//!
//! # Why
//! What is right for a dependency is found out in production, by people who do not compile. But a file has no compiler: a
//! misspelt setting that is passed over, or a nonsense that stops the server, is worse than a constant. So nothing is
//! passed over, nothing panics, and whoever wrote the file is told which line of it to mend, and how.
//!
//! # State picture
//! ```text
//!           from_toml, from_json                build                call
//!   text -------------------------> sections ------------> Pipeline -------> ...
//!      unknown, misspelt, of the       missing, nonsense,
//!      wrong type: refused by path     contradictory: refused by path
//! ```
//! | section | layer |
//! | --- | --- |
//! | `[pipeline]` | deadline, attempt timeout, whether gates are waited for |
//! | `[retry]` or `[hedge]` | [`RetryPolicy`], [`HedgePolicy`](fusebox::HedgePolicy) of two attempts; neither: one attempt |
//! | `[breaker]` | [`sync::Breaker`] with any trip rule, or two of them |
//! | `[rate_limit]` | [`sync::TokenBucket`] |
//! | `[bulkhead]` | [`sync::Bulkhead`] |
//! | `[budget]` | [`RetryBudget`] in 10 pieces |
//!
//! # Contract
//! - A section's settings are called as the builder's methods, and mean the same. A duration is a text with its unit.
//! - Each gate is asked by each attempt, or with `per = "call"` once per call; always in the order of the table.
//! - The same type whatever the file names: a layer that it does not name lets everything through.
//! - Every error is an [`InvalidConfig`]. No text panics. Nothing is made before all of it was found right, so a server
//!   that reads its file again keeps what it has when the new one is refused.
//! - What is refused stays refused in code: sections have public fields and can be made or changed there too.
//!
//! # Defaults
//! Those of the builders: what is left out is not said to them. A file without sections is one attempt without limits.
//!
//! # Example
//! [`EXAMPLE`] is this file:
//! ```toml
#![doc = include_str!("example.toml")]
//! ```
//! ```
//! use fusebox_drive::config::{EXAMPLE, PipelineConfig, from_toml};
//! use fusebox_drive::{ThreadTimer, entropy};
//!
//! let config: PipelineConfig = from_toml(EXAMPLE).unwrap();
//! let payments = config.build_blocking(ThreadTimer::new(), entropy()).unwrap();
//! assert!(payments.review().is_empty());
//! assert_eq!(payments.call_blocking(|_| Ok::<_, ()>("paid")), Ok("paid"));
//!
//! let wrong: PipelineConfig = from_toml(&EXAMPLE.replace("50ms", "0ms")).unwrap();
//! let error = wrong.build_blocking(ThreadTimer::new(), entropy()).unwrap_err();
//! assert_eq!(error.path, "retry.backoff.first");
//! let error = from_toml::<PipelineConfig>(&EXAMPLE.replace("attempts", "atempts")).unwrap_err();
//! assert_eq!(error.path, "retry.atempts");
//! ```
//! A server with several dependencies has a struct of its own with a [`PipelineConfig`] in each field; [`from_toml`] reads
//! that too, and [`InvalidConfig::within`] says which one did not build. They do not share gates or budgets: for that, take
//! the [`layers`](PipelineConfig::layers).
//!
//! # When not
//! Where the settings are known when it is compiled, the builder with [`checked!`](fusebox::checked) leaves nothing to
//! fail. What a file cannot say is for code: a line in front of the gates, a delay of hedges that is measured, more than two
//! attempts side by side, a table of delays, gates of one's own.

mod any_breaker;
mod any_policy;
mod any_rule;
mod backoff;
mod budget;
mod error;
mod gates;
mod human;
mod policy;
mod rule;

use std::sync::{Arc, Mutex};

pub use any_breaker::AnyBreaker;
pub use any_policy::{AnyPlan, AnyPolicy};
pub use any_rule::{AnyMemory, AnyRule};
pub use backoff::{BackoffKind, BackoffSection, JitterKind};
pub use budget::{BudgetSection, CostsSection, FloorSection};
pub use error::{InvalidConfig, from_deserializer, from_json, from_toml};
pub use gates::{BreakerSection, BulkheadSection, Gates, Per, RateLimitSection, SlowStartSection};
pub use policy::{HedgeSection, LimitsSection, RetrySection};
pub use rule::{RuleKind, RuleSection};

use fusebox::{Entropy, RetryBudget, RetryPolicy, Shared, sync};
use serde::{Deserialize, Serialize};

use crate::{Layers, NoTurns, Pipeline};

/// A file that builds, with a word on each setting: to begin with, or for `--print-config`.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Says to a builder what a section says, and nothing else.
macro_rules! set {
    ($builder:ident, $section:expr, $($setting:ident),*) => {$(
        if let Some(value) = $section.$setting {
            $builder = $builder.$setting(value);
        }
    )*};
}
use set;

/// One pipeline's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct PipelineConfig {
    /// The limits of all calls.
    pub pipeline: LimitsSection,
    /// Retries. Default: one attempt.
    pub retry: Option<RetrySection>,
    /// Hedges, instead of retries.
    pub hedge: Option<HedgeSection>,
    /// The circuit breaker. Default: none.
    pub breaker: Option<BreakerSection>,
    /// The token bucket. Default: none.
    pub rate_limit: Option<RateLimitSection>,
    /// The bulkhead. Default: none.
    pub bulkhead: Option<BulkheadSection>,
    /// What pays for further attempts. Default: nothing.
    pub budget: Option<BudgetSection>,
}

/// A budget that several pipelines can share, if there is one.
pub type AnyBudget = Option<Arc<Shared<Mutex<RetryBudget>>>>;

/// The layers of a pipeline from a file.
pub type AnyLayers<T, P = AnyPolicy> = Layers<T, Gates, NoTurns, AnyBudget, P, Gates>;

/// A pipeline from a file.
pub type AnyPipeline<T, P = AnyPolicy> = Pipeline<T, Gates, NoTurns, AnyBudget, P, Gates>;

impl PipelineConfig {
    /// The pipeline. `entropy` feeds the jitter, of retries and of the breaker's open interval.
    ///
    /// # Errors
    /// What is missing, contradictory, or refused by the builders, by its path.
    pub fn build<T>(&self, timer: T, entropy: Entropy) -> Result<AnyPipeline<T>, InvalidConfig> {
        Ok(Pipeline::of(self.layers(timer, entropy)?))
    }

    /// The pipeline for code that blocks, which has one attempt at a time.
    ///
    /// # Errors
    /// As [`build`](Self::build), and when there are hedges.
    pub fn build_blocking<T>(&self, timer: T, entropy: Entropy) -> Result<AnyPipeline<T, RetryPolicy>, InvalidConfig> {
        match self.policy()? {
            AnyPolicy::Retry(policy) => Ok(Pipeline::of(self.around(policy, timer, entropy)?)),
            AnyPolicy::Hedge(_) => Err(InvalidConfig::new("hedge", "code that blocks cannot hedge: retry instead")),
        }
    }

    /// What the pipeline is made of: to put something else in a place before [`Pipeline::of`], or to share it.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn layers<T>(&self, timer: T, entropy: Entropy) -> Result<AnyLayers<T>, InvalidConfig> {
        self.around(self.policy()?, timer, entropy)
    }

    fn policy(&self) -> Result<AnyPolicy, InvalidConfig> {
        policy::policy(&self.pipeline, self.retry.as_ref(), self.hedge.as_ref())
    }

    /// All but the policy.
    fn around<T, P>(&self, policy: P, timer: T, entropy: Entropy) -> Result<AnyLayers<T, P>, InvalidConfig> {
        let mut gate = Gates {
            breaker: made("breaker", self.breaker.as_ref(), |section| section.build(&entropy))?,
            rate_limit: made("rate_limit", self.rate_limit.as_ref(), RateLimitSection::build)?
                .map(sync::TokenBucket::new),
            bulkhead: made("bulkhead", self.bulkhead.as_ref(), BulkheadSection::build)?,
        };
        let budget = made("budget", self.budget.as_ref(), BudgetSection::build)?;
        let budget = budget.map(|config| Arc::new(Shared::new(Mutex::new(RetryBudget::new(config)))));
        let call_gate = self.asked_per_call(&mut gate);
        Ok(Layers { timer, call_gate, gate, turns: NoTurns, budget, policy, entropy })
    }

    /// Takes those out that a call asks once.
    fn asked_per_call(&self, gates: &mut Gates) -> Gates {
        let is_call = |per: Option<Option<Per>>| per == Some(Some(Per::Call));
        Gates {
            breaker: gates.breaker.take_if(|_| is_call(self.breaker.map(|section| section.per))),
            rate_limit: gates.rate_limit.take_if(|_| is_call(self.rate_limit.map(|section| section.per))),
            bulkhead: gates.bulkhead.take_if(|_| is_call(self.bulkhead.map(|section| section.per))),
        }
    }
}

/// What a section makes, if there is one.
fn made<S, M>(
    name: &str,
    section: Option<&S>,
    make: impl FnOnce(&S) -> Result<M, InvalidConfig>,
) -> Result<Option<M>, InvalidConfig> {
    section.map(make).transpose().map_err(|error| error.within(name))
}
