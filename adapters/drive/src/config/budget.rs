//! The retry budget.

use core::time::Duration;

use fusebox::BudgetConfig;
use serde::{Deserialize, Serialize};

use super::error::{InvalidConfig, need};
use super::{human, set};

/// A retry budget: a [`BudgetConfig`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct BudgetSection {
    /// See [`deposit_permille`](fusebox::budget::BudgetBuilder::deposit_permille).
    pub deposit_permille: Option<u32>,
    /// See [`success_permille`](fusebox::budget::BudgetBuilder::success_permille).
    pub success_permille: Option<u32>,
    /// See [`floor`](fusebox::budget::BudgetBuilder::floor).
    pub floor: Option<FloorSection>,
    /// See [`capacity`](fusebox::budget::BudgetBuilder::capacity).
    pub capacity: Option<u32>,
    /// See [`ttl`](fusebox::budget::BudgetBuilder::ttl).
    #[serde(with = "human")]
    pub ttl: Option<Duration>,
    /// Whether deposits are kept until they are spent. Default: for a `ttl`.
    pub never_expires: Option<bool>,
    /// Whether it starts with as many deposits as there can be. Default: with none.
    pub start_full: Option<bool>,
    /// See [`costs`](fusebox::budget::BudgetBuilder::costs).
    pub costs: Option<CostsSection>,
    /// See [`keep_above`](fusebox::budget::BudgetBuilder::keep_above).
    pub keep_above: Option<u16>,
    /// Whether a retry that succeeds gets back what it cost. Default: no.
    pub refund_on_success: Option<bool>,
    /// Whether every failure pays that might be tried again. Default: a retry pays.
    pub failures_pay: Option<bool>,
}

/// What time gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct FloorSection {
    /// So many tokens per second. Must be there.
    pub per_second: Option<u32>,
    /// Saved up to so many. Must be there.
    pub up_to: Option<u32>,
}

/// What a retry costs, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct CostsSection {
    /// After a failure. Must be there.
    pub failure: Option<u32>,
    /// After a timeout. Must be there.
    pub timeout: Option<u32>,
    /// After the callee asked to be left alone. Must be there.
    pub throttled: Option<u32>,
}

impl BudgetSection {
    /// The configuration.
    ///
    /// # Errors
    /// What [`BudgetConfig`] refuses, or when deposits expire after a `ttl` and never.
    pub fn build(&self) -> Result<BudgetConfig, InvalidConfig> {
        let mut builder = BudgetConfig::builder();
        set!(builder, self, deposit_permille, success_permille, capacity, ttl, keep_above);
        if let Some(floor) = self.floor {
            let per_second = need(floor.per_second, "floor.per_second", "so many tokens per second")?;
            let up_to = need(floor.up_to, "floor.up_to", "saved up to so many")?;
            builder = builder.floor(per_second, up_to);
        }
        if let Some(costs) = self.costs {
            let failure = need(costs.failure, "costs.failure", "what a retry costs after a failure")?;
            let timeout = need(costs.timeout, "costs.timeout", "what a retry costs after a timeout")?;
            let throttled = need(costs.throttled, "costs.throttled", "what a retry costs after a callee's hint")?;
            builder = builder.costs(failure, timeout, throttled);
        }
        if self.never_expires == Some(true) {
            if self.ttl.is_some() {
                return Err(InvalidConfig::new("never_expires", "there is a ttl too: have one of them only"));
            }
            builder = builder.never_expires();
        }
        if self.start_full == Some(true) {
            builder = builder.start_full();
        }
        if self.refund_on_success == Some(true) {
            builder = builder.refund_on_success();
        }
        if self.failures_pay == Some(true) {
            builder = builder.failures_pay();
        }
        Ok(builder.build()?)
    }
}
