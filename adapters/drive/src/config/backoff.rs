//! Delays.

use core::time::Duration;

use fusebox::{Backoff, Jitter};
use serde::{Deserialize, Serialize};

use super::error::{InvalidConfig, need, only};
use super::human;

/// A [`Backoff`]. A table of delays is for code: it must live for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub struct BackoffSection {
    /// How the delays grow. Must be there.
    pub kind: Option<BackoffKind>,
    /// The first delay, or that of a constant. Must be there, except for `immediate`.
    #[serde(with = "human")]
    pub first: Option<Duration>,
    /// What a linear backoff adds each time. Must be there.
    #[serde(with = "human")]
    pub step: Option<Duration>,
    /// What an exponential backoff is multiplied by each time. Default: as [`Backoff::exponential`].
    pub factor_permille: Option<u32>,
    /// The longest delay, jitter included. Must be there, except for a constant.
    #[serde(with = "human")]
    pub cap: Option<Duration>,
    /// The shortest delay, jitter included. Default: none.
    #[serde(with = "human")]
    pub floor: Option<Duration>,
    /// How chance changes the delays. Default: not at all.
    pub jitter: Option<JitterKind>,
    /// The part, for a jitter `around` the delay.
    pub jitter_permille: Option<u16>,
}

/// How delays grow: see the [table](fusebox::backoff).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackoffKind {
    /// [`Backoff::IMMEDIATE`].
    Immediate,
    /// [`Backoff::constant`].
    Constant,
    /// [`Backoff::linear`].
    Linear,
    /// [`Backoff::exponential`], or [`Backoff::exponential_by`] with a factor.
    Exponential,
    /// [`Backoff::fibonacci`].
    Fibonacci,
}

/// A [`Jitter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JitterKind {
    /// [`Jitter::None`].
    None,
    /// [`Jitter::Full`].
    Full,
    /// [`Jitter::Equal`].
    Equal,
    /// [`Jitter::around`].
    Around,
    /// [`Jitter::Decorrelated`].
    Decorrelated,
}

impl BackoffSection {
    /// The backoff.
    ///
    /// # Errors
    /// What [`Backoff`] refuses, what is missing, and what means nothing to this kind.
    pub fn build(&self) -> Result<Backoff, InvalidConfig> {
        let kind = need(self.kind, "kind", "how the delays grow, such as \"exponential\"")?;
        self.only_what_is_known_to(kind)?;
        if kind == BackoffKind::Immediate {
            return Ok(Backoff::IMMEDIATE);
        }
        let first = need(self.first, "first", "the first delay, such as \"50ms\"")?;
        let cap = || need(self.cap, "cap", "the longest delay, such as \"1s\"");
        let grown = match (kind, self.factor_permille) {
            (BackoffKind::Linear, _) => {
                let step = need(self.step, "step", "what is added each time, such as \"50ms\"")?;
                Backoff::linear(first, step, cap()?)
            }
            (BackoffKind::Exponential, Some(factor)) => Backoff::exponential_by(factor, first, cap()?),
            (BackoffKind::Exponential, None) => Backoff::exponential(first, cap()?),
            (BackoffKind::Fibonacci, _) => Backoff::fibonacci(first, cap()?),
            (BackoffKind::Constant | BackoffKind::Immediate, _) => Backoff::constant(first),
        };
        self.bounded(grown?)
    }

    fn bounded(&self, mut backoff: Backoff) -> Result<Backoff, InvalidConfig> {
        if let Some(cap) = self.cap {
            backoff = backoff.with_cap(cap)?;
        }
        if let Some(floor) = self.floor {
            backoff = backoff.with_floor(floor)?;
        }
        Ok(backoff.with_jitter(self.jitter()?))
    }

    fn jitter(&self) -> Result<Jitter, InvalidConfig> {
        let kind = self.jitter.unwrap_or(JitterKind::None);
        if kind != JitterKind::Around && self.jitter_permille.is_some() {
            return Err(InvalidConfig::new("jitter_permille", "only for jitter = \"around\"; leave it out"));
        }
        Ok(match kind {
            JitterKind::None => Jitter::None,
            JitterKind::Full => Jitter::Full,
            JitterKind::Equal => Jitter::Equal,
            JitterKind::Decorrelated => Jitter::Decorrelated,
            JitterKind::Around => {
                let part =
                    need(self.jitter_permille, "jitter_permille", "the part, such as 200 for give or take 20 %")?;
                Jitter::around(part).map_err(|error| InvalidConfig::new("jitter_permille", error.problem))?
            }
        })
    }

    fn only_what_is_known_to(&self, kind: BackoffKind) -> Result<(), InvalidConfig> {
        let known: &[&str] = match kind {
            BackoffKind::Immediate => &[],
            BackoffKind::Constant | BackoffKind::Fibonacci => &["first", "cap", "floor", "jitter", "jitter_permille"],
            BackoffKind::Linear => &["first", "step", "cap", "floor", "jitter", "jitter_permille"],
            BackoffKind::Exponential => &["first", "factor_permille", "cap", "floor", "jitter", "jitter_permille"],
        };
        let given = [
            ("first", self.first.is_some()),
            ("step", self.step.is_some()),
            ("factor_permille", self.factor_permille.is_some()),
            ("cap", self.cap.is_some()),
            ("floor", self.floor.is_some()),
            ("jitter", self.jitter.is_some()),
            ("jitter_permille", self.jitter_permille.is_some()),
        ];
        only(&given, known)
    }
}
