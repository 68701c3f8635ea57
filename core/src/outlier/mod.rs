//! Outlier ejection: of a set of endpoints, take those out for a while that do worse than they should, or than the
//! others.
//!
//! # Why
//! Of many equal endpoints usually one is sick, not all. A breaker over the whole set would cut off the healthy ones,
//! and a breaker for each knows nothing of the others: a rate that is bad among good ones is ordinary during an outage,
//! and taking out most of the set makes an outage worse. The rules are those of Envoy's outlier detection.
//!
//! # State picture
//! ```text
//!          a rule is met, and the cap leaves room
//!   In ----------------------------------------------> Out
//!    ^                                                   |
//!    +---------------------------------------------------+
//!            now >= until, `restore`, or `reset`
//! ```
//!
//! | rule | judged | out when | default |
//! | --- | --- | --- | --- |
//! | consecutive failures | at each failure | so many failures in a row | 5 |
//! | success rate | at the sweep | success rate < mean - factor x standard deviation | 1.9; 5 endpoints; 100 calls |
//! | failure threshold | at the sweep | so many permille of the calls failed | off (850; 5 endpoints; 50 calls) |
//!
//! The two rules of the sweep look at the outcomes of one interval, at endpoints with at least `minimum_calls` of them,
//! and only if there are `minimum_endpoints` such endpoints.
//!
//! # Contract
//! - Never more than `max_out_permille` of the endpoints are out, counting the one about to go. Rounded down this is
//!   none of 9 for 10 %, so a set that could never eject does not construct; `at_least_one` lets one go regardless.
//!   When the set shrinks, those that would be back first come back at once until the cap holds again.
//! - The `k`th ejection in a row lasts `k` times `base_ejection`, at most `max_ejection`. `k` goes down by one for each
//!   whole interval that the endpoint is in.
//! - An ejection ends inclusively: admitted when `now >= until`, which is what `retry_at` says. The endpoint starts with
//!   nothing recorded; outcomes of calls that began before the ejection are dropped.
//! - `Ignored` counts nowhere. Any other outcome that is not a success is a failure.
//! - An interval begins with the first outcome after the last sweep, so an idle set arms no timer. Whoever never polls
//!   gets the same answers: what was due is done as of when it was due, in one pass.
//! - Where a sweep finds more outliers than may go, the worst go.
//! - A permit that never comes back costs nothing.
//! - A clock that steps back keeps no endpoint out beyond the length of its ejection.
//!
//! Unlike in Envoy, an endpoint comes back at its time and not at the next sweep, brings no counts of before with it,
//! and goes out at its next failure, not after another five, if the cap had no room when the row was full. Rates are
//! compared in steps of 1/4096, all else is exact.
//!
//! # Defaults
//! Those of Envoy: a sweep every 10 s, 30 s per ejection, 300 s at most, 100 permille out. One endpoint can be at most
//! √(n - 1) standard deviations below the mean of n, which is why 1.9 goes with five endpoints.
//!
//! # Example
//! ```
//! use fusebox::outlier::{OutlierConfig, Outliers};
//! use fusebox::{Instant, Outcome, Reason, checked};
//!
//! const CONFIG: OutlierConfig = checked!(OutlierConfig::builder().consecutive_failures(2).at_least_one(true).build());
//! let mut endpoints: Outliers<3> = checked!(Outliers::new(CONFIG));
//! let at = Instant::from_secs;
//! for _ in 0..2 {
//!     let permit = endpoints.try_acquire(1, at(0)).unwrap();
//!     endpoints.release(permit, Outcome::Failure, at(0));
//! }
//! let refused = endpoints.try_acquire(1, at(1)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::Ejected, Some(at(30))));
//! assert!(endpoints.available(at(1)).eq([0, 2]));
//! assert!(endpoints.try_acquire(1, at(30)).is_ok());
//! ```
//!
//! # When not
//! With one endpoint, or endpoints that differ by nature (a primary and its replicas), use a breaker for each. With
//! `max_out_permille(1_000)` all may be out: decide what the balancer then does.

mod config;
mod endpoint;
mod machine;
mod stats;
#[cfg(test)]
mod tests;

pub use config::{FailureThreshold, OutlierBuilder, OutlierConfig, SuccessRate};
pub use machine::Outliers;

use crate::Instant;

/// Permission to call one endpoint. 8 bytes.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "without an outcome nothing is learned: release or cancel it"]
pub struct EndpointPermit {
    endpoint: u16,
    generation: u32,
}

impl EndpointPermit {
    /// Which endpoint it was given for.
    #[must_use]
    pub const fn endpoint(&self) -> usize {
        self.endpoint as usize
    }
}

/// Which rule took an endpoint out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum OutlierRule {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// A success rate far below that of the others.
    SuccessRate,
    /// Too large a share of its calls failed.
    FailureThreshold,
}

impl core::fmt::Display for OutlierRule {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::ConsecutiveFailures => "consecutive failures",
            Self::SuccessRate => "success rate",
            Self::FailureThreshold => "failure threshold",
        })
    }
}

/// An endpoint's time out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ejection {
    /// From when on it is in again.
    pub until: Instant,
    /// Why it is out.
    pub rule: OutlierRule,
}

/// One or more changes of one endpoint that nobody has taken yet, made into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EndpointChange {
    /// Which endpoint.
    pub endpoint: usize,
    /// Whether it was out before the first of them. It may be so again: it came back and went out in between.
    pub was_out: bool,
    /// How it is after the last; `None` when it is in.
    pub out: Option<Ejection>,
    /// When the last one happened.
    pub at: Instant,
}

/// What is known of one endpoint. The total counts from when it was added or reset, and stops at its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EndpointSnapshot {
    /// Whether it is out, why, and until when.
    pub out: Option<Ejection>,
    /// Failures in a row.
    pub failures_in_a_row: u32,
    /// Outcomes of this interval.
    pub calls: u32,
    /// Of these, the failures.
    pub failures: u32,
    /// Times it was ejected.
    pub ejections: u32,
    /// How many times the base the current ejection lasts; when in, the next one lasts one more.
    pub multiplier: u16,
}

/// What is known of the set. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OutlierSnapshot {
    /// Endpoints in the set.
    pub endpoints: usize,
    /// Of these, the ones that are out.
    pub out: usize,
    /// When the next sweep is; `None` while there is nothing to judge.
    pub sweep_at: Option<Instant>,
    /// Ejections.
    pub ejections: u32,
    /// Times that a rule was met and the cap kept the endpoint in.
    pub spared: u32,
    /// Calls refused.
    pub refused: u32,
}
