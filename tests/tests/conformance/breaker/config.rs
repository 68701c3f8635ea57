//! A vector's configuration in fusebox's words.

use std::time::Duration;

use fusebox::{Backoff, ConfigError};

use super::half_open::HalfOpen;
use crate::fields::{Fields, NotExpressible};
use crate::vector::{Unit, Vector};

/// One breaker.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// Any of them trips; none: only by hand.
    pub(crate) rules: Vec<Rule>,
    pub(crate) open: Backoff,
    /// The first open interval.
    pub(crate) open_first: u64,
    pub(crate) slow_after: Option<Duration>,
    pub(crate) half_open: HalfOpen,
    /// Below so many calls other libraries tell no rate while closed.
    pub(crate) minimum: u32,
    /// The names of outcomes that count for nothing.
    pub(crate) ignored: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    InARow(u32),
    FailureShare { window: Window, permille: u16, minimum: u32 },
    SlowShare { window: Window, permille: u16, minimum: u32 },
    FailuresOfLast { failures: u16, calls: u16 },
    WeightedByCalls { permille: u16, calls: u32, minimum: u32 },
    WeightedByTime { permille: u16, span: Duration, minimum: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Window {
    Calls(u16),
    Time { span: Duration, buckets: usize },
}

impl Spec {
    /// Whether the first rule's counts are those of a window of calls.
    pub(crate) fn counts_calls(&self) -> bool {
        use Rule::{FailureShare, FailuresOfLast, SlowShare};
        matches!(self.rules.first(), Some(FailureShare { .. } | SlowShare { .. } | FailuresOfLast { .. }))
    }

    pub(crate) fn counts_in_a_row(&self) -> bool {
        matches!(self.rules.first(), None | Some(Rule::InARow(_)))
    }
}

/// The breakers of a vector: one, or several that must all let a call through.
pub(crate) fn read(vector: &Vector) -> Result<Vec<Spec>, NotExpressible> {
    let fields = Fields::new("config", &vector.config);
    let members = fields.list("any_of")?;
    if members.is_empty() {
        return Ok(vec![read_one(fields, vector.unit)?]);
    }
    fields.ignore("note");
    fields.finish()?;
    let member = |value: &serde_json::Value| {
        let map = value.as_object().ok_or_else(|| NotExpressible::new("config.any_of: not objects"))?;
        read_one(Fields::new("config.any_of", map), vector.unit)
    };
    members.iter().map(member).collect()
}

fn read_one(fields: Fields<'_>, unit: Unit) -> Result<Spec, NotExpressible> {
    fields.ignore("note");
    fields.ignore("start");
    if fields.text("evaluate")?.is_some_and(|when| when != "after_every_result") {
        return Err(fields.cannot("evaluate", "fusebox judges after each outcome that counts against the callee"));
    }
    if fields.value("generations").is_some_and(|value| value != true) {
        return Err(fields.cannot("generations", "every permit has one"));
    }
    let ignored = fields.list("ignored")?.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect();
    let slow_after = fields.number("slow_over")?.map(|slow| Duration::from_nanos(unit.nanos(slow)));
    let (rules, minimum) = read_rules(&fields, unit)?;
    let (open, open_first) = read_open_interval(&fields, unit)?;
    let half_open = HalfOpen::read(&fields, unit)?;
    fields.finish()?;
    Ok(Spec { rules, open, open_first, slow_after, half_open, minimum, ignored })
}

fn read_rules(fields: &Fields<'_>, unit: Unit) -> Result<(Vec<Rule>, u32), NotExpressible> {
    let mut rules = Vec::new();
    if fields.value("ema_success_rate").is_some() {
        rules.push(read_weighted(fields, unit)?);
        return Ok((rules, 1));
    }
    let window = fields.object("window")?.map(|window| read_window(window, unit)).transpose()?;
    let trip = fields.text("trip")?.map(|trip| parse_trip(trip).ok_or_else(|| fields.cannot("trip", "unread")));
    let trip = trip.transpose()?;
    let minimum = read_minimum(fields, window)?;
    let strict = match fields.text("cmp")? {
        Some(">") => true,
        Some(">=") | None => false,
        Some(_) => return Err(fields.cannot("cmp", "not a comparison that trips")),
    };
    let ratio = fields.number("failure_ratio")?;
    if let Some(ratio) = ratio {
        let window = fields.needed("window", window)?;
        rules.push(Rule::FailureShare { window, permille: permille(ratio, strict), minimum });
    }
    if let Some(ratio) = fields.number("slow_ratio")? {
        let window = fields.needed("window", window)?;
        fields.needed("slow_over", fields.number("slow_over")?)?;
        rules.push(Rule::SlowShare { window, permille: permille(ratio, strict), minimum });
    }
    if let Some(Trip::Share { minimum, ratio, strict }) = trip {
        let window = fields.needed("window", window)?;
        rules.push(Rule::FailureShare { window, permille: permille(ratio, strict), minimum });
    }
    if let Some((failures, calls)) = read_k_of_n(fields, "failure_threshold")? {
        rules.push(Rule::FailuresOfLast { failures, calls });
    }
    if let Some(failures) = fields.count("consecutive")? {
        rules.push(Rule::InARow(failures));
    }
    if let Some(Trip::InARow(failures)) = trip {
        rules.push(Rule::InARow(failures));
    }
    Ok((rules, minimum))
}

/// An average of successes; ours is of failures. Over calls it is not judged before there were as many.
fn read_weighted(fields: &Fields<'_>, unit: Unit) -> Result<Rule, NotExpressible> {
    let success = fields.needed("ema_success_rate", fields.number("ema_success_rate")?)?;
    let permille = permille(1.0 - success, false);
    let minimum = fields.count("min_calls")?;
    match (fields.count("window_requests")?, fields.value("window").and_then(serde_json::Value::as_f64)) {
        (Some(calls), None) => Ok(Rule::WeightedByCalls { permille, calls, minimum: minimum.unwrap_or(calls) }),
        (None, Some(span)) => {
            let span = Duration::from_nanos(unit.nanos(span));
            Ok(Rule::WeightedByTime { permille, span, minimum: minimum.unwrap_or(1) })
        }
        _ => Err(fields.cannot("ema_success_rate", "over calls or over time")),
    }
}

fn read_minimum(fields: &Fields<'_>, window: Option<Window>) -> Result<u32, NotExpressible> {
    let per_second = fields.number("min_rps")?;
    match (fields.count("min_calls")?, per_second, window) {
        (Some(calls), None, _) => Ok(calls),
        (None, Some(rps), Some(Window::Time { span, .. })) => Ok((rps * span.as_secs_f64()).ceil() as u32),
        (_, Some(_), _) => Err(fields.cannot("min_rps", "beside another minimum, or without a span of time")),
        // Others wait for a window of calls to fill up.
        (None, None, Some(Window::Calls(size))) => Ok(size.into()),
        (None, None, _) => Ok(1),
    }
}

/// The least whole permille at which a rule with `>=` does what one at `ratio` does.
fn permille(ratio: f64, strict: bool) -> u16 {
    // Binary fractions of decimal ones are off by far less.
    let (permille, tiny) = (ratio * 1_000.0, 1e-6);
    if strict { (permille + tiny).floor() as u16 + 1 } else { (permille - tiny).ceil() as u16 }
}

pub(crate) fn read_window(fields: Fields<'_>, unit: Unit) -> Result<Window, NotExpressible> {
    let span = fields.number("span")?.map(|span| unit.nanos(span));
    let kind = fields.text("type")?;
    let tumbling = fields.flag("tumbling")? || kind == Some("tumbling");
    let window = match kind {
        Some("count") => {
            let size = fields.needed("size", fields.count("size")?)?;
            Window::Calls(u16::try_from(size).map_err(|_| fields.cannot("size", "more than a window holds"))?)
        }
        Some("none") => Window::Time { span: Duration::MAX, buckets: 1 },
        Some("time" | "tumbling") => {
            let span = fields.needed("span", span)?;
            let buckets = if tumbling { 1 } else { read_buckets(&fields, unit, span)? };
            Window::Time { span: Duration::from_nanos(span), buckets }
        }
        _ => return Err(fields.cannot("type", "no such window")),
    };
    fields.finish()?;
    Ok(window)
}

/// Ten if nothing is said, as in most libraries.
fn read_buckets(fields: &Fields<'_>, unit: Unit, span: u64) -> Result<usize, NotExpressible> {
    let buckets = match (fields.number("bucket")?, fields.count("windows")?.or(fields.count("buckets")?)) {
        (None, buckets) => buckets.unwrap_or(10),
        (Some(bucket), None) => {
            let buckets = span.checked_div(unit.nanos(bucket)).unwrap_or(0);
            if buckets * unit.nanos(bucket) != span {
                return Err(fields.cannot("bucket", "not a whole part of the span"));
            }
            buckets as u32
        }
        (Some(_), Some(_)) => return Err(fields.cannot("bucket", "said twice")),
    };
    Ok(buckets as usize)
}

/// `{k, of}`, or `{k}` for so many in a row.
pub(crate) fn read_k_of_n(fields: &Fields<'_>, key: &str) -> Result<Option<(u16, u16)>, NotExpressible> {
    let Some(threshold) = fields.object(key)? else { return Ok(None) };
    let k = threshold.needed("k", threshold.count("k")?)?;
    let of = threshold.count("of")?.unwrap_or(k);
    if k == 0 || k > of || of > 1_000 {
        return Err(fields.cannot(key, "not some of the last 1000 calls"));
    }
    threshold.finish()?;
    Ok(Some((k as u16, of as u16)))
}

fn read_open_interval(fields: &Fields<'_>, unit: Unit) -> Result<(Backoff, u64), NotExpressible> {
    use serde_json::Value;
    let said: Vec<_> =
        ["open_for", "break_for", "dead_for"].into_iter().filter(|k| fields.value(k).is_some()).collect();
    let (backoff, first) = match (said.as_slice(), said.first().and_then(|key| fields.value(key))) {
        ([], _) => (Backoff::constant(Duration::from_secs(60)), Duration::from_secs(60)),
        ([_], Some(Value::Number(interval))) => {
            let interval = Duration::from_nanos(unit.nanos(interval.as_f64().unwrap_or(0.0)));
            (Backoff::constant(interval), interval)
        }
        // From an interval that grows by its first value each time, the number of the attempt can be read off.
        ([_], Some(Value::String(text))) if text == "f(half_open_attempts)" => {
            (Backoff::linear(PER_ATTEMPT, PER_ATTEMPT, Duration::MAX), PER_ATTEMPT)
        }
        ([key], Some(Value::Object(_))) => {
            let growing = fields.object(key)?;
            read_growing(fields.needed(key, growing)?, unit)?
        }
        ([key, ..], _) => return Err(fields.cannot(key, "not one open interval")),
    };
    Ok((backoff?, first.as_nanos() as u64))
}

/// See [`read_open_interval`].
pub(crate) const PER_ATTEMPT: Duration = Duration::from_secs(1);

type Interval = (Result<Backoff, ConfigError>, Duration);

fn read_growing(fields: Fields<'_>, unit: Unit) -> Result<Interval, NotExpressible> {
    let duration = |key| Ok::<_, NotExpressible>(fields.number(key)?.map(|n| Duration::from_nanos(unit.nanos(n))));
    let first = fields.needed("initial", duration("initial")?)?;
    let cap = duration("max")?.or(duration("cap")?).unwrap_or(Duration::MAX);
    let backoff = match fields.text("type")? {
        Some("exponential") => {
            let factor = (fields.number("factor")?.unwrap_or(2.0) * 1_000.0).round() as u32;
            Backoff::exponential_by(factor, first, cap)
        }
        Some("linear") => Backoff::linear(first, fields.needed("step", duration("step")?)?, cap),
        _ => return Err(fields.cannot("type", "no such growth")),
    };
    fields.finish()?;
    Ok((backoff, first))
}

/// A condition in words.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trip {
    InARow(u32),
    Share { minimum: u32, ratio: f64, strict: bool },
}

fn parse_trip(text: &str) -> Option<Trip> {
    let at_least = |cmp: &str, n: &str| match (cmp, n.parse::<u32>()) {
        (">=", Ok(n)) => Some(n),
        (">", Ok(n)) => Some(n + 1),
        _ => None,
    };
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "valid").collect();
    match words.as_slice() {
        [n, "consecutive", "failures" | "failure"] => n.parse().ok().map(Trip::InARow),
        ["consecutive_failures", cmp, n] => at_least(cmp, n).map(Trip::InARow),
        ["requests", cmp, n, "AND" | "and", "failures/valid" | "failures/requests", than, ratio] => {
            let strict = match *than {
                ">" => true,
                ">=" => false,
                _ => return None,
            };
            Some(Trip::Share { minimum: at_least(cmp, n)?, ratio: ratio.parse().ok()?, strict })
        }
        _ => None,
    }
}
