//! How a half-open breaker comes to a verdict: every library has its own words for it.

use std::time::Duration;

use super::config::read_k_of_n;
use crate::fields::{Fields, NotExpressible};
use crate::vector::Unit;

#[derive(Clone, Copy, Debug)]
pub(crate) struct HalfOpen {
    pub(crate) trials: usize,
    pub(crate) to_close: u16,
    /// Reopens after so long without a verdict.
    pub(crate) limit: Option<Duration>,
}

impl HalfOpen {
    pub(crate) fn read(config: &Fields<'_>, unit: Unit) -> Result<Self, NotExpressible> {
        let failures = read_k_of_n(config, "failure_threshold")?;
        let successes = read_k_of_n(config, "success_threshold")?;
        let (trials, to_close, limit) = match (config.object("half_open")?, successes, failures) {
            (Some(_), Some(_), _) => return Err(config.cannot("success_threshold", "beside half_open")),
            (Some(half_open), None, _) => return Self::read_own(config, half_open, unit),
            (None, Some((k, of)), _) => (of, k, None),
            // It reopens at the kth failure, so that many successes are needed.
            (None, None, Some((k, of))) => (of, of - k + 1, None),
            (None, None, None) => (1, 1, None),
        };
        Ok(Self { trials: trials.into(), to_close, limit })
    }

    fn read_own(config: &Fields<'_>, fields: Fields<'_>, unit: Unit) -> Result<Self, NotExpressible> {
        let limit = fields.number("max_wait")?.map(|limit| Duration::from_nanos(unit.nanos(limit)));
        if fields.text("after_max_wait")?.is_some_and(|state| state != "open") {
            return Err(fields.cannot("after_max_wait", "half-open without a verdict always reopens"));
        }
        let trials = match fields.count("permits")? {
            Some(permits) => permits,
            None => fields.count("max_requests")?.unwrap_or(1),
        };
        let trials = u16::try_from(trials).map_err(|_| fields.cannot("permits", "too many trials"))?;
        let to_close = match (fields.text("decide")?, fields.value("close_after").is_some()) {
            (None, true) => read_close_after(&fields, trials)?,
            (Some("first"), false) if trials == 1 => 1,
            (Some("after_all_permits" | "after_all") | None, false) => tolerate_ratio(config, trials)?,
            _ => return Err(fields.cannot("decide", "no number of successes that closes")),
        };
        fields.finish()?;
        Ok(Self { trials: trials.into(), to_close, limit })
    }
}

/// So many successes, and no failure.
fn read_close_after(fields: &Fields<'_>, trials: u16) -> Result<u16, NotExpressible> {
    if fields.text("reopen_on")?.is_some_and(|when| when != "first failure") {
        return Err(fields.cannot("reopen_on", "unread"));
    }
    let words: Vec<&str> = fields.text("close_after")?.unwrap_or_default().split_whitespace().collect();
    let successes = match words.as_slice() {
        ["max_requests", "consecutive", "successes"] => Some(trials),
        [n, "consecutive", "successes" | "success"] => n.parse().ok(),
        _ => None,
    };
    let successes = fields.needed("close_after", successes)?;
    if successes < trials {
        return Err(fields.cannot("close_after", "with more trials than that, failures are tolerated"));
    }
    Ok(successes)
}

/// All trials are judged by the ratio that trips: as many may fail as stay below it. A slow trial is a failed trial, so
/// a ratio of slow ones counts too: the lower one.
fn tolerate_ratio(config: &Fields<'_>, trials: u16) -> Result<u16, NotExpressible> {
    let ratio = match (config.number("failure_ratio")?, config.number("slow_ratio")?) {
        (Some(failed), Some(slow)) => failed.min(slow),
        (Some(ratio), None) | (None, Some(ratio)) => ratio,
        (None, None) => 0.0,
    };
    let strict = config.text("cmp")? == Some(">");
    let met = |failures: u16| {
        let share = f64::from(failures) / f64::from(trials);
        failures > 0 && if strict { share > ratio } else { share >= ratio }
    };
    let tolerated = (0..trials).take_while(|failures| !met(*failures)).last().unwrap_or(0);
    Ok(trials - tolerated)
}
