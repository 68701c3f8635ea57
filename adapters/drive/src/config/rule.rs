//! When a breaker trips.

use core::time::Duration;
use std::format;

use fusebox::ConfigError;
use fusebox::breaker::{Consecutive, Ewma, FailureCount, FailureRate, SlowRate};
use serde::{Deserialize, Serialize};

use super::any_rule::{CALLS, OneRule};
use super::error::{InvalidConfig, need, only};
use super::human;

/// A trip rule: see the [table](fusebox::breaker).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct RuleSection {
    /// Which one. Must be there.
    pub kind: Option<RuleKind>,
    /// So many failures: for `consecutive` and `failure_count`.
    pub threshold: Option<u32>,
    /// Such a share: for the rates and `ewma`.
    pub permille: Option<u16>,
    /// From so many calls on: for the rates and `ewma`.
    pub minimum_calls: Option<u32>,
    /// Of the last so many calls, 1024 at most; or else `within`. For an `ewma`, how many calls weigh.
    pub last: Option<u32>,
    /// Of the calls of so long; or else `last`.
    #[serde(with = "human")]
    pub within: Option<Duration>,
}

/// A trip rule's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// [`Consecutive`].
    Consecutive,
    /// [`FailureCount`].
    FailureCount,
    /// [`FailureRate`].
    FailureRate,
    /// [`SlowRate`]; the breaker needs a `slow_after`.
    SlowRate,
    /// [`Ewma`].
    Ewma,
}

/// Of which calls.
enum Window {
    Last(u32),
    Within(Duration),
}

impl RuleSection {
    pub(super) fn build(&self) -> Result<OneRule, InvalidConfig> {
        let kind = need(self.kind, "kind", "which rule, such as \"failure_rate\"")?;
        self.only_what_is_known_to(kind)?;
        let threshold = || need(self.threshold, "threshold", "how many failures trip");
        let permille = || need(self.permille, "permille", "which share of the calls trips, such as 500 for half");
        let minimum = || need(self.minimum_calls, "minimum_calls", "from how many calls on it judges, such as 20");
        let rule = match kind {
            RuleKind::Consecutive => Consecutive::new(threshold()?).map(OneRule::Consecutive),
            RuleKind::FailureCount => match self.window()? {
                Window::Last(calls) => FailureCount::of_last(size(calls)?, threshold()?).map(OneRule::CountOfLast),
                Window::Within(span) => FailureCount::within(span, threshold()?).map(OneRule::CountWithin),
            },
            RuleKind::FailureRate => match self.window()? {
                Window::Last(calls) => {
                    FailureRate::of_last(size(calls)?, permille()?, minimum()?).map(OneRule::RateOfLast)
                }
                Window::Within(span) => FailureRate::within(span, permille()?, minimum()?).map(OneRule::RateWithin),
            },
            RuleKind::SlowRate => match self.window()? {
                Window::Last(calls) => {
                    SlowRate::of_last(size(calls)?, permille()?, minimum()?).map(OneRule::SlowOfLast)
                }
                Window::Within(span) => SlowRate::within(span, permille()?, minimum()?).map(OneRule::SlowWithin),
            },
            RuleKind::Ewma => match self.window()? {
                Window::Last(calls) => Ewma::by_calls(permille()?, calls, minimum()?).map(OneRule::Ewma),
                Window::Within(span) => Ewma::by_time(permille()?, span, minimum()?).map(OneRule::Ewma),
            },
        };
        rule.map_err(located)
    }

    fn window(&self) -> Result<Window, InvalidConfig> {
        match (self.last, self.within) {
            (Some(_), Some(_)) => Err(InvalidConfig::new("within", "there is a last too: have one of them only")),
            (Some(calls), None) => Ok(Window::Last(calls)),
            (None, Some(span)) => Ok(Window::Within(span)),
            (None, None) => need(None, "last", "of how many calls, such as 100, or within which time, such as \"10s\""),
        }
    }

    fn only_what_is_known_to(&self, kind: RuleKind) -> Result<(), InvalidConfig> {
        let known: &[&str] = match kind {
            RuleKind::Consecutive => &["threshold"],
            RuleKind::FailureCount => &["threshold", "last", "within"],
            RuleKind::FailureRate | RuleKind::SlowRate | RuleKind::Ewma => {
                &["permille", "minimum_calls", "last", "within"]
            }
        };
        let given = [
            ("threshold", self.threshold.is_some()),
            ("permille", self.permille.is_some()),
            ("minimum_calls", self.minimum_calls.is_some()),
            ("last", self.last.is_some()),
            ("within", self.within.is_some()),
        ];
        only(&given, known)
    }
}

/// As many calls as a window has room for.
fn size(calls: u32) -> Result<u16, InvalidConfig> {
    let calls = u16::try_from(calls).ok().filter(|calls| (1..=CALLS).contains(calls));
    calls.ok_or_else(|| InvalidConfig::new("last", format!("from 1 to {CALLS} calls")))
}

/// The rules have other words for the window.
fn located(error: ConfigError) -> InvalidConfig {
    let path = match error.setting {
        "calls" => "last",
        "span" => "within",
        setting => setting,
    };
    InvalidConfig::new(path, error.problem)
}
