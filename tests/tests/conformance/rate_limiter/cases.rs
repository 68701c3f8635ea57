//! Short histories of token buckets, each a row: tokens after some time, how long to wait for some, and probes.

use fusebox::Instant;

use super::subject::{Greedy, Limit, Subject};
use super::{Wait, adaptive};
use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::{Unit, Vector};

pub(crate) fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let config = Fields::new("config", &vector.config);
    match config.text("algorithm")? {
        Some("token_bucket_greedy_integer") => {}
        Some("aws_adaptive_cubic") => return adaptive::run(vector),
        _ => return Err(config.cannot("algorithm", "not known to the runner, for cases")),
    }
    let shared = ["capacity", "refill", "period"].map(|key| config.value(key).is_some());
    let mut findings = Findings::default();
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        let at = |field: &str| format!("case {number}: {field}");
        if case.value("limits").is_some() {
            wait_for(vector.unit, &case, &at("wait"), &mut findings)?;
        } else if case.value("t_now").is_some() {
            tokens_after(vector.unit, &case, &at("tokens"), &mut findings)?;
        } else if shared == [true; 3] {
            probe(vector.unit, &config, &case, &at, &mut findings)?;
        } else {
            return Err(NotExpressible::new("case: not known to the runner"));
        }
        case.finish()?;
    }
    config.finish()?;
    Ok(findings)
}

fn limit(unit: Unit, fields: &Fields<'_>, tokens: u32) -> Result<Limit, NotExpressible> {
    let capacity = fields.needed("capacity", fields.count("capacity")?)?;
    let refill = fields.needed("refill", fields.count("refill")?)?;
    let period = unit.nanos(fields.needed("period", fields.number("period")?)?);
    Ok(Limit { capacity, refill, period, tokens })
}

fn tokens_after(unit: Unit, case: &Fields<'_>, at: &str, findings: &mut Findings) -> Result<(), NotExpressible> {
    let initial = case.needed("initial", case.count("initial")?)?;
    let begin = unit.at(case.needed("t_init", case.number("t_init")?)?);
    let bucket = Greedy::new([limit(unit, case, initial)?], begin)?;
    let now = unit.at(case.needed("t_now", case.number("t_now")?)?);
    let tokens = case.needed("tokens", case.count("tokens")?)?;
    findings.compare(at, i64::from(tokens), bucket.available(now));
    if case.value("rounding_error").is_some() {
        findings.skip("rounding_error", "what there is of the next token is in the TAT, which is exact, and not told");
    }
    Ok(())
}

fn wait_for(unit: Unit, case: &Fields<'_>, at: &str, findings: &mut Findings) -> Result<(), NotExpressible> {
    let mut limits = vec![];
    for row in case.list("limits")? {
        limits.push(read_limit(unit, row).ok_or_else(|| case.cannot("limits", "not rows of four numbers"))?);
    }
    let n = case.needed("consume", case.count("consume")?)?;
    let now = unit.at(0.0);
    let got = match *limits.as_slice() {
        [one] => wait(Greedy::new([one], now)?, n, now),
        [one, other] => wait(Greedy::new([one, other], now)?, n, now),
        [one, other, third] => wait(Greedy::new([one, other, third], now)?, n, now),
        _ => return Err(case.cannot("limits", "the runner was compiled for one to three")),
    };
    findings.compare(at, expected_wait(unit, case)?, got);
    Ok(())
}

/// Capacity, tokens per period, period, tokens at first.
pub(crate) fn read_limit(unit: Unit, row: &serde_json::Value) -> Option<Limit> {
    let numbers: Vec<f64> = row.as_array()?.iter().map(serde_json::Value::as_f64).collect::<Option<_>>()?;
    let [capacity, refill, period, tokens] = *numbers.as_slice() else { return None };
    Some(Limit { capacity: capacity as u32, refill: refill as u32, period: unit.nanos(period), tokens: tokens as u32 })
}

fn wait(mut bucket: impl Subject, n: u32, now: Instant) -> Wait {
    match bucket.reserve(n, Instant::MAX, now) {
        Ok(ready_at) => Wait::Nanos(ready_at.nanos_since(now)),
        Err(refused) if refused.retry_at.is_none() => Wait::Never,
        Err(_) => Wait::Refused,
    }
}

fn expected_wait(unit: Unit, case: &Fields<'_>) -> Result<Wait, NotExpressible> {
    let value = case.needed("wait", case.value("wait"))?;
    match (value.as_f64(), value.as_str()) {
        (Some(wait), _) => Ok(Wait::Nanos(unit.nanos(wait))),
        (_, Some("never")) => Ok(Wait::Never),
        _ => Err(case.cannot("wait", "neither a number nor never")),
    }
}

/// Asks for use at once; a refusal takes nothing, and tells the wait.
fn probe(
    unit: Unit,
    config: &Fields<'_>,
    case: &Fields<'_>,
    at: &impl Fn(&str) -> String,
    findings: &mut Findings,
) -> Result<(), NotExpressible> {
    let now = unit.at(0.0);
    let tokens = case.needed("tokens", case.count("tokens")?)?;
    let mut bucket = Greedy::new([limit(unit, config, tokens)?], now)?;
    let answer = bucket.reserve(case.needed("consume", case.count("consume")?)?, now, now);
    findings.compare(&at("ok"), case.flag("ok")?, answer.is_ok());
    let remaining = case.needed("remaining", case.count("remaining")?)?;
    findings.compare(&at("remaining"), i64::from(remaining), bucket.available(now));
    let wait = match answer {
        Ok(_) => Wait::Nanos(0),
        Err(refused) => refused.retry_at.map_or(Wait::Never, |retry_at| Wait::Nanos(retry_at.nanos_since(now))),
    };
    findings.compare(&at("wait"), expected_wait(unit, case)?, wait);
    Ok(())
}
