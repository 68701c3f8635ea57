//! What is seen of a call, and whether that is what was expected.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use fusebox::hedge::SharedLatencies;
use fusebox::{Instant, Reason, State};
use serde_json::Value;

use super::layers::SharedBreaker;
use super::script::{Reply, name_of};
use super::{Failed, Out};
use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::Unit;

/// One call so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Tries of the operation that were started.
    pub(crate) tries: u32,
    /// Of these, further ones of a retry and of a hedge.
    pub(crate) retries: u32,
    pub(crate) hedges: u32,
    /// Tries that were dropped before they had answered.
    pub(crate) cancelled: Vec<u32>,
    /// When timeouts came.
    pub(crate) timeouts: BTreeSet<Instant>,
    pub(crate) fallbacks: u32,
    /// What tries answer, by hand: by their number, from the instant on.
    pub(crate) told: BTreeMap<u32, (Instant, Reply)>,
    /// Whether a try started for which there is no reply.
    pub(crate) unscripted: bool,
    pub(crate) end: Option<(Instant, Out)>,
}

/// What the hedge recorded exactly; of those that were dropped it only knows that they would have taken longer.
#[derive(Debug, Default)]
pub(crate) struct Latencies(RefCell<Vec<u64>>);

impl SharedLatencies for Latencies {
    fn quantile(&self, _permille: u16, _now: Instant) -> Option<u64> {
        None
    }
    fn record(&self, took: u64, _now: Instant) {
        self.0.borrow_mut().push(took);
    }
    fn record_at_least(&self, _took: u64, _now: Instant) {}
}

/// How try number `number` is called.
fn names_of_try(number: u32) -> [String; 3] {
    let [first, second] = if number == 1 { ["primary", "original"] } else { ["hedge", "backup"] };
    [first.to_owned(), second.to_owned(), format!("attempt {number}")]
}

/// The number of the try that is called so.
pub(crate) fn number_of_try(name: Option<&str>) -> Option<u32> {
    let name = name.unwrap_or("primary");
    (1..=6).find(|number| names_of_try(*number).iter().any(|known| known == name))
}

/// By which names a value of try number `number` goes.
pub(crate) fn names_of_value(value: &str, number: u32) -> Vec<String> {
    let [a, b, attempt] = names_of_try(number);
    vec![value.to_owned(), a, b, format!("of {attempt}")]
}

/// By which names an error of try number `number` goes.
pub(crate) fn names_of_error(error: &str, number: u32) -> Vec<String> {
    let [a, b, attempt] = names_of_try(number);
    let names = [format!("error of {attempt}"), format!("error of the {a}"), format!("{b} error")];
    [error.to_owned(), "error".to_owned()].into_iter().chain(names).collect()
}

/// By which names a refusal goes.
pub(crate) fn names_of_refusal(reason: Reason) -> Vec<String> {
    let names: &[&str] = match reason {
        Reason::RateLimited => &["rate_limited"],
        Reason::InFlight => &["bulkhead_full"],
        Reason::Open | Reason::TrialsOut => &["circuit_open", "breaker_open"],
        other => return vec![other.to_string()],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What is looked at.
pub(crate) struct Look<'a> {
    pub(crate) seen: &'a Seen,
    pub(crate) breaker: Option<&'a SharedBreaker>,
    pub(crate) latencies: &'a Latencies,
    pub(crate) unit: Unit,
    pub(crate) now: Instant,
}

/// What can be expected of a call.
pub(crate) const EXPECTED: [&str; 13] = [
    "attempts",
    "executions",
    "retries",
    "hedges",
    "timeouts",
    "fallback_runs",
    "result",
    "ends_at",
    "cancelled",
    "work_cancelled",
    "latency_recorded",
    "breaker",
    "applies",
];

impl Look<'_> {
    /// Compares the field `key` of `expect`, which is there.
    pub(crate) fn compare(
        &self,
        key: &str,
        expect: &Fields<'_>,
        at: &str,
        findings: &mut Findings,
    ) -> Result<(), NotExpressible> {
        let seen = self.seen;
        let count = match key {
            "attempts" | "executions" => seen.tries,
            "retries" => seen.retries,
            "hedges" => seen.hedges,
            "timeouts" => seen.timeouts.len() as u32,
            "fallback_runs" => seen.fallbacks,
            _ => return self.compare_other(key, expect, at, findings),
        };
        findings.compare(at, expect.count(key)?, Some(count));
        Ok(())
    }

    fn compare_other(
        &self,
        key: &str,
        expect: &Fields<'_>,
        at: &str,
        findings: &mut Findings,
    ) -> Result<(), NotExpressible> {
        let time = |nanos| self.unit.of_nanos(nanos);
        match key {
            "result" => compare_names(expect.value(key), self.names(), at, findings),
            "cancelled" => {
                let cancelled = self.seen.cancelled.iter().flat_map(|number| names_of_try(*number));
                compare_names(expect.value(key), cancelled.collect(), at, findings);
            }
            "work_cancelled" => findings.compare(at, expect.flag(key)?, !self.seen.cancelled.is_empty()),
            "applies" => findings.compare(at, expect.flag(key)?, !self.seen.timeouts.is_empty()),
            "ends_at" => {
                let end = self.seen.end.as_ref().map(|(at, _)| time(at.nanos_since(self.unit.at(0.0))));
                findings.compare(at, expect.number(key)?, end);
            }
            "latency_recorded" => {
                let expected = if expect.value(key) == Some(&Value::Null) { None } else { expect.number(key)? };
                findings.compare(at, expected, self.latencies.0.borrow().last().map(|took| time(*took)));
            }
            "breaker" => {
                let breaker = self.breaker.ok_or_else(|| expect.cannot(key, "there is none"))?;
                let expect = expect.needed(key, expect.object(key)?)?;
                self.compare_breaker(breaker, &expect, at, findings)?;
                expect.finish()?;
            }
            _ => findings.skip(key, "fusebox has no such notion"),
        }
        Ok(())
    }

    fn compare_breaker(
        &self,
        breaker: &SharedBreaker,
        expect: &Fields<'_>,
        at: &str,
        findings: &mut Findings,
    ) -> Result<(), NotExpressible> {
        let snapshot = breaker.with(|breaker| breaker.snapshot(self.now));
        let calls = snapshot.counts.failed.unwrap_or_default();
        for (key, got) in [("failures", calls.bad), ("successes", calls.calls - calls.bad)] {
            if let Some(expected) = expect.count(key)? {
                findings.compare(&format!("{at}.{key}"), expected, got);
            }
        }
        if let Some(expected) = expect.text("state")? {
            let state = match snapshot.state {
                State::Closed => "closed",
                State::HalfOpen => "half_open",
                State::Open => "open",
                _ => "forced",
            };
            findings.compare(&format!("{at}.state"), expected, state);
        }
        Ok(())
    }

    /// By which names the result goes.
    fn names(&self) -> Vec<String> {
        match &self.seen.end {
            None => vec!["pending".to_owned()],
            Some((_, Ok(said))) => said.names.clone(),
            Some((_, Err(Failed { names, .. }))) => names.clone(),
        }
    }
}

/// Whether what was expected is among `names`.
fn compare_names(expected: Option<&Value>, names: Vec<String>, at: &str, findings: &mut Findings) {
    let expected = expected.filter(|expected| !expected.is_null()).map(name_of);
    match expected {
        Some(expected) if names.contains(&expected) => findings.compare(at, &expected, &expected),
        Some(expected) => findings.compare(at, expected, names.join(" / ")),
        None => findings.compare(at, vec![], names),
    }
}
