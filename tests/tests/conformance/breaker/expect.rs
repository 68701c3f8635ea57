//! What is to be seen after a step, field by field.

use fusebox::breaker::Rate;
use fusebox::{Instant, Reason, Snapshot, State};
use serde_json::Value;

use super::steps::Run;
use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::{Step, Vector};

/// Compares each field of `step.expect`. What fusebox has no notion of is noted.
pub(crate) fn compare(
    run: &mut Run<'_>,
    vector: &Vector,
    number: u32,
    step: &Step,
    now: Instant,
    findings: &mut Findings,
) -> Result<(), NotExpressible> {
    let seen = run.subject.snapshot(now);
    let percent = vector.system.starts_with("resilience4j");
    let expect = Fields::new("expect", &step.expect);
    for key in step.expect.keys() {
        let key = key.as_str();
        let at = format!("step {number}: {key}");
        let mut look = Look { run: &*run, seen, expect: &expect, key, at: &at, findings: &mut *findings };
        match key {
            "allowed" | "pending" | "error" | "retry_after" | "retry_after_known" => look.answer(vector, now)?,
            "state" | "state_after" => look.state()?,
            "trip" => look.flag(seen.trips > run.trips_before)?,
            "not_permitted" => look.count(run.refused(now))?,
            "event_transition" => look.count(run.events)?,
            // It is not told which rule was met.
            "event_failure_rate_exceeded" if seen.counts.slow.is_none_or(|slow| slow.bad == 0) => {
                look.count(seen.trips)?;
            }
            "dead_for" => {
                let open_for = run.subject.open_for(now).map(|nanos| vector.unit.of_nanos(nanos));
                let expected = if expect.value(key).is_some_and(Value::is_null) { None } else { expect.number(key)? };
                findings.compare(&at, expected, open_for);
            }
            "buffered" | "total" | "failed" | "failures" | "successes" | "slow" => look.calls()?,
            "failure_rate" | "slow_rate" => look.rate(if percent { 10.0 } else { 1_000.0 })?,
            "failure_ratio" | "slow_ratio" => look.rate(1_000.0)?,
            "counts" => look.counts()?,
            _ => look.skip("fusebox has no such notion"),
        }
    }
    Ok(())
}

/// One field.
struct Look<'a> {
    run: &'a Run<'a>,
    seen: Snapshot,
    expect: &'a Fields<'a>,
    key: &'a str,
    at: &'a str,
    findings: &'a mut Findings,
}

impl Look<'_> {
    fn skip(&mut self, why: &str) {
        self.findings.skip(self.key, why);
    }

    fn flag(&mut self, got: bool) -> Result<(), NotExpressible> {
        self.findings.compare(self.at, self.expect.flag(self.key)?, got);
        Ok(())
    }

    fn count(&mut self, got: u32) -> Result<(), NotExpressible> {
        self.findings.compare(self.at, self.expect.count(self.key)?, Some(got));
        Ok(())
    }

    /// What the one who asked was told.
    fn answer(&mut self, vector: &Vector, now: Instant) -> Result<(), NotExpressible> {
        let asked = self.run.answer.ok_or_else(|| self.expect.cannot(self.key, "nobody asked"))?;
        let retry_after = asked.err().and_then(|rejected| rejected.retry_at).map(|at| at.nanos_since(now));
        match self.key {
            "allowed" => self.flag(asked.is_ok()),
            // A gate answers at once.
            "pending" => self.flag(false),
            "retry_after_known" => self.flag(retry_after.is_some()),
            "error" => self.error(asked.err().map(|rejected| rejected.reason)),
            _ => {
                let got = retry_after.map(|nanos| vector.unit.of_nanos(nanos));
                self.findings.compare(self.at, self.expect.number(self.key)?, got);
                Ok(())
            }
        }
    }

    fn error(&mut self, got: Option<Reason>) -> Result<(), NotExpressible> {
        let expected = match self.expect.text(self.key)? {
            Some("too_many_requests") => Reason::TrialsOut,
            Some("open" | "open_state" | "circuit_open" | "broken_circuit") => Reason::Open,
            Some("isolated" | "isolated_circuit") => Reason::ForcedOpen,
            _ => return Err(self.expect.cannot(self.key, "not an error known to the runner")),
        };
        self.findings.compare(self.at, Some(expected), got);
        Ok(())
    }

    fn state(&mut self) -> Result<(), NotExpressible> {
        let expected = match self.expect.text(self.key)? {
            Some("isolated") => Some("forced_open"),
            other => other,
        };
        self.findings.compare(self.at, expected, Some(name(self.seen)));
        Ok(())
    }

    /// Failed calls if the rule looks at them; else nothing is known of failures.
    fn rate_of(&self, slow: bool) -> Option<Rate> {
        let counts = self.seen.counts;
        match self.seen.state {
            _ if !self.run.spec.counts_calls() => None,
            State::ForcedOpen | State::ForcedClosed => Some(Rate::default()),
            _ if slow => counts.slow,
            _ => counts.failed,
        }
    }

    fn calls(&mut self) -> Result<(), NotExpressible> {
        let of_all = matches!(self.key, "buffered" | "total");
        let rate = self.rate_of(self.key == "slow").or(if of_all { self.rate_of(true) } else { None });
        match (rate, self.key) {
            (None, _) => self.skip("the rule does not remember it"),
            (Some(rate), "buffered" | "total") => self.count(rate.calls)?,
            (Some(rate), "successes") => self.count(rate.calls - rate.bad)?,
            (Some(rate), _) => self.count(rate.bad)?,
        }
        Ok(())
    }

    /// Rates are told rounded down to a permille. Others tell none below a minimum of calls, and say -1.
    fn rate(&mut self, permille_each: f64) -> Result<(), NotExpressible> {
        let Some(rate) = self.rate_of(self.key.starts_with("slow")) else {
            self.skip("the rule does not remember it");
            return Ok(());
        };
        let expected = self.expect.number(self.key)?;
        let expected = expected.filter(|rate| *rate >= 0.0).map(|rate| (rate * permille_each + 0.001).floor() as u16);
        let got = rate.permille.filter(|_| rate.calls >= self.run.minimum);
        self.findings.compare(self.at, expected, got);
        Ok(())
    }

    /// gobreaker's set: of the calls since the last transition.
    fn counts(&mut self) -> Result<(), NotExpressible> {
        let counts = self.expect.object(self.key)?;
        let counts = self.expect.needed(self.key, counts)?;
        let expected = self.expect.value(self.key).and_then(Value::as_object).into_iter().flat_map(|map| map.keys());
        let spec = self.run.spec;
        let rate = self.seen.counts.failed;
        for key in expected {
            let excluded = counts.count("exclusions")?.unwrap_or(0);
            let expected = counts.count(key)?;
            let got = match (key.as_str(), rate) {
                _ if self.seen.state == State::Open => Err("while open, fusebox tells what was there when it opened"),
                ("requests", Some(rate)) if spec.counts_calls() && !self.run.holds() => Ok(rate.calls + excluded),
                ("successes", Some(rate)) if spec.counts_calls() => Ok(rate.calls - rate.bad),
                ("failures", Some(rate)) if spec.counts_calls() => Ok(rate.bad),
                ("consecutive_failures", Some(rate)) if spec.counts_in_a_row() => Ok(rate.bad),
                ("requests", _) if self.run.holds() => Err("fusebox counts calls when they end"),
                ("exclusions", _) => Err("fusebox does not count what it ignores"),
                _ => Err("the rule does not remember it"),
            };
            match got {
                Ok(got) => self.findings.compare(&format!("{}.{key}", self.at), expected, Some(got)),
                Err(why) => self.findings.skip(&format!("counts.{key}"), why),
            }
        }
        Ok(())
    }
}

/// The state in the vectors' words. A dry run is a state of its own there.
pub(crate) fn name(seen: Snapshot) -> &'static str {
    match seen.state {
        _ if seen.dry_run => "metrics_only",
        State::Closed => "closed",
        State::Open => "open",
        State::HalfOpen => "half_open",
        State::ForcedOpen => "forced_open",
        State::ForcedClosed => "disabled",
    }
}
