//! As many layers as one pipeline has places for.

use std::time::Duration;

use fusebox::hedge::Quantile;
use fusebox::{Backoff, ConfigError, HedgePolicy, RetryPolicy, checked};

use super::gates::{AnyGate, PLACES};
use super::layers::Layer;
use super::seen::Latencies;
use crate::backoff::Shape;
use crate::fields::{Fields, NotExpressible};
use crate::vector::Vector;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) attempts: u16,
    pub(crate) backoff: Backoff,
    /// In nanoseconds, as all times below.
    pub(crate) max_duration: Option<u64>,
}

impl Retries {
    const ONCE: Self = Self { attempts: 1, backoff: Backoff::IMMEDIATE, max_duration: None };

    pub(crate) fn read(fields: &Fields<'_>, vector: &Vector) -> Result<Self, NotExpressible> {
        let unlimited = fields.value("max_retries").is_some_and(|max| max == "unlimited" || max == -1);
        let attempts = if unlimited {
            u32::from(u16::MAX) // more than any vector has results for
        } else {
            let retries = fields.count("max_retries")?.map(|retries| retries + 1);
            fields.needed("max_attempts", retries.or(fields.count("max_attempts")?))?
        };
        let max_duration = fields.number("max_duration")?.map(|max| vector.unit.nanos(max));
        let backoff = Shape::of_retries(fields, vector)?;
        Ok(Self { attempts: attempts.min(u16::MAX.into()) as u16, backoff, max_duration })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Hedges {
    pub(crate) attempts: usize,
    pub(crate) delay: u64,
    pub(crate) fails_fast: bool,
}

impl Hedges {
    /// Nobody waits so long.
    const NEVER: u64 = 1 << 60;

    /// `max` counts further attempts.
    pub(crate) fn read(fields: &Fields<'_>, vector: &Vector) -> Result<Self, NotExpressible> {
        let delay = match fields.value("delay") {
            // Whoever gives none, does not come to see it: failures start what follows at once.
            None => Self::NEVER,
            Some(none) if none == "infinite" || none.as_f64().is_some_and(|delay| delay < 0.0) => Self::NEVER,
            Some(_) => vector.unit.nanos(fields.needed("delay", fields.number("delay")?)?),
        };
        let max = fields.count("max")?.map(|max| max + 1).or(fields.count("max_attempts")?);
        let attempts = max.unwrap_or(2) as usize;
        Self { attempts, delay, fails_fast: vector.system == "twitter/finagle" }.checked(&fields.at("max"))
    }

    /// The same, if a pipeline has places for so many.
    pub(crate) fn checked(self, at: &str) -> Result<Self, NotExpressible> {
        if (2..=6).contains(&self.attempts) {
            return Ok(self);
        }
        Err(NotExpressible::new(format!("{at}: {} attempts, not two to six", self.attempts)))
    }
}

/// What one pipeline does, and the fallback around it.
#[derive(Default)]
pub(crate) struct Level<'a> {
    pub(crate) falls_back: bool,
    timeout: Option<u64>,
    pub(crate) per_call: Vec<&'a dyn AnyGate>,
    pub(crate) plan: Option<&'a Layer>,
    pub(crate) per_attempt: Vec<&'a dyn AnyGate>,
    pub(crate) attempt_timeout: Option<u64>,
}

impl<'a> Level<'a> {
    /// The outermost of `layers` that go into one pipeline, and the others.
    pub(crate) fn split(layers: &'a [Layer]) -> (Self, &'a [Layer]) {
        let mut level = Self::default();
        let fit = layers.iter().take_while(|layer| level.take(layer)).count();
        (level, layers.get(fit..).unwrap_or_default())
    }

    /// Whether there is a place for it. Gates answer at once, so it is all the same which side of a timeout they are on.
    fn take(&mut self, layer: &'a Layer) -> bool {
        let inside = self.plan.is_some();
        match layer {
            Layer::Fallback if !self.falls_back && self.timeout.is_none() && self.per_call.is_empty() && !inside => {
                self.falls_back = true;
            }
            Layer::Retry(_) | Layer::Hedge(_) if !inside => self.plan = Some(layer),
            Layer::Timeout(length) if inside && self.attempt_timeout.is_none() => self.attempt_timeout = Some(*length),
            Layer::Timeout(length) if !inside && self.timeout.is_none() => self.timeout = Some(*length),
            Layer::Gate(gate) if inside && self.per_attempt.len() < PLACES => {
                self.per_attempt.push(gate.as_ref());
            }
            Layer::Gate(gate) if !inside && self.per_call.len() < PLACES => self.per_call.push(gate.as_ref()),
            _ => return false,
        }
        true
    }

    fn retries(&self) -> Retries {
        match self.plan {
            Some(Layer::Retry(retries)) => *retries,
            _ => Retries::ONCE,
        }
    }

    /// Whether a result of the whole is one of trying again in vain.
    pub(crate) fn retried(&self) -> bool {
        matches!(self.plan, Some(Layer::Retry(_)))
    }

    /// The total deadline, and whether it is a timeout and not the retries' own.
    pub(crate) fn deadline(&self) -> Option<(u64, bool)> {
        let of_retries = self.retries().max_duration.map(|max| (max, false));
        self.timeout.map(|timeout| (timeout, true)).into_iter().chain(of_retries).min_by_key(|(length, _)| *length)
    }

    pub(crate) fn retry(&self) -> Result<RetryPolicy, ConfigError> {
        let Retries { attempts, backoff, .. } = self.retries();
        let mut policy = RetryPolicy::builder().attempts(attempts).backoff(backoff);
        if let Some((length, _)) = self.deadline() {
            policy = policy.deadline(Duration::from_nanos(length));
        }
        if let Some(length) = self.attempt_timeout {
            policy = policy.attempt_timeout(Duration::from_nanos(length));
        }
        policy.build()
    }

    /// What `hedges` asks for, told how long its attempts take.
    pub(crate) fn hedge<'l, const N: usize>(
        &self,
        hedges: Hedges,
        latencies: &'l Latencies,
    ) -> Result<HedgePolicy<N, fusebox::hedge::Measured<&'l Latencies>>, ConfigError> {
        let mut policy = HedgePolicy::<N>::builder(Duration::from_nanos(hedges.delay));
        if let Some((length, _)) = self.deadline() {
            policy = policy.deadline(Duration::from_nanos(length));
        }
        if let Some(length) = self.attempt_timeout {
            policy = policy.attempt_timeout(Duration::from_nanos(length));
        }
        if hedges.fails_fast {
            policy = policy.fail_fast();
        }
        Ok(policy.build()?.measured(checked!(Quantile::new(950)), latencies))
    }

    /// That fusebox takes this configuration.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self.plan {
            Some(Layer::Hedge(hedges)) => self.hedge::<2>(*hedges, &Latencies::default()).map(drop),
            _ => self.retry().map(drop),
        }
    }
}
