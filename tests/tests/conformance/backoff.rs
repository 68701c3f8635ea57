//! Area `backoff`: vectors on [`fusebox::Backoff`].

use std::time::Duration;

use fusebox::{Backoff, ConfigError, Jitter, Schedule};
use serde_json::Value;

use crate::fields::{Fields, NotExpressible};
use crate::report::{Area, Differs, Findings, Ground};
use crate::retry;
use crate::vector::{Unit, Vector};

pub(crate) const AREA: Area = Area { names: &["backoff"], run, differ: DIFFER, gaps: &[] };

const DIFFER: &[Differs] = &[Differs {
    id: "a6-bo-01",
    at: &["case 5: high"],
    ground: Ground::Decided(&["jitter and cap"]),
    why: "gRPC jitters what was capped, so its longest delay is a fifth above the cap; here the cap holds after jitter",
}];

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let config = Fields::new("config", &vector.config);
    if config.value("retry_after").is_some() {
        return retry::run_headers(vector, config);
    }
    let common = Shape::read(&config)?;
    let table = config.list("delays")?;
    // How many delays there are to see.
    for field in ["max_retries", "max_attempts", "types", "note"] {
        config.ignore(field);
    }
    config.finish()?;
    let mut findings = Findings::default();
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        let shape = Shape::read(&case)?.or(common);
        let look = Look { backoff: shape.backoff(table, vector)?, unit: vector.unit, whole: shape.is_whole() };
        look.check(&mut findings, number, &case, vector.counts_from_zero(), shape.chance())?;
        case.finish()?;
    }
    Ok(findings)
}

impl Vector {
    /// Whether the first delay is that of attempt 0. Elsewhere it is that of attempt, or retry, 1.
    fn counts_from_zero(&self) -> bool {
        self.is_pollys()
    }

    fn is_pollys(&self) -> bool {
        self.system == "App-vNext/Polly"
    }
}

/// What a configuration and a case say together.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    kind: Option<&'a str>,
    first: Option<f64>,
    factor: Option<f64>,
    cap: Option<f64>,
    floor: Option<f64>,
    jitter: Option<&'a Value>,
    r: Option<f64>,
}

impl<'a> Shape<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, NotExpressible> {
        let first = fields.number("base")?.or(fields.number("initial")?).or(fields.number("delay_in")?);
        Ok(Self {
            kind: fields.text("type")?,
            first,
            factor: fields.number("factor")?,
            cap: fields.number("cap")?,
            floor: fields.number("min")?,
            jitter: fields.value("jitter"),
            r: fields.number("r")?,
        })
    }

    /// The delays of a retry: none, a constant `delay`, or exponential ones. Its plan draws the chance by itself, so where
    /// the vector names it, the delays are those that it makes of full jitter.
    pub(crate) fn of_retries(fields: &Fields<'a>, vector: &Vector) -> Result<Backoff, NotExpressible> {
        let shape = Self::read(fields)?;
        if let Some(delay) = fields.number("delay")?.or(fields.number("wait")?) {
            return Ok(Backoff::constant(Duration::from_nanos(vector.unit.nanos(delay)))?);
        }
        let Some(first) = shape.first else { return Ok(Backoff::IMMEDIATE) };
        let r = shape.r.unwrap_or(1.0);
        let kind = shape.kind.filter(|kind| *kind != "full_jitter" || shape.r.is_none()).or(Some("exponential"));
        let jitter = shape.jitter.filter(|jitter| !jitter.as_str().is_some_and(|text| text.starts_with("none")));
        let shape = Self { kind, first: Some(first * r), cap: shape.cap.map(|cap| cap * r), jitter, ..shape };
        shape.backoff(&[], vector)
    }

    fn or(self, common: Self) -> Self {
        Self {
            kind: self.kind.or(common.kind),
            first: self.first.or(common.first),
            factor: self.factor.or(common.factor),
            cap: self.cap.or(common.cap),
            floor: self.floor.or(common.floor),
            jitter: self.jitter.or(common.jitter),
            r: self.r.or(common.r),
        }
    }

    /// Failsafe's delays are whole numbers of the unit, rounded down.
    fn is_whole(&self) -> bool {
        self.kind == Some("factor_jitter")
    }

    /// Failsafe's longest delay is that of the least chance.
    fn chance(&self) -> f64 {
        let r = self.r.unwrap_or(0.5);
        if self.is_whole() { 1.0 - r } else { r }
    }

    fn backoff(&self, table: &[Value], vector: &Vector) -> Result<Backoff, NotExpressible> {
        let length = |t: f64| Duration::from_nanos(vector.unit.nanos(t));
        let first = self.first.map(length).unwrap_or_default();
        let cap = self.cap.map_or(Duration::MAX, length);
        let factor = permille(self.factor.unwrap_or(2.0));
        let jittered = self.jitter == Some(&Value::Bool(true));
        let backoff = match self.kind.unwrap_or_default() {
            "exponential" if jittered && vector.is_pollys() => return Ok(Backoff::polly_exponential(first, cap)?),
            "exponential" | "full_jitter" => Backoff::exponential_by(factor, first, cap),
            "linear" => Backoff::linear(first, first, cap),
            "constant" | "factor_jitter" => Backoff::constant(first).and_then(|constant| constant.with_cap(cap)),
            "table" => leaked(table.iter().filter_map(Value::as_f64).map(length)),
            kind => return Err(NotExpressible::new(format!("config.type = {kind}: not known to the runner"))),
        };
        let backoff = backoff?.with_jitter(self.jitter(vector)?);
        Ok(self.floor.map_or(Ok(backoff), |floor| backoff.with_floor(length(floor)))?)
    }

    fn jitter(&self, vector: &Vector) -> Result<Jitter, NotExpressible> {
        match (self.kind, self.jitter) {
            (Some("full_jitter"), _) => Ok(Jitter::Full),
            (Some("factor_jitter"), _) => Ok(around(self.factor.unwrap_or_default())?),
            (_, None | Some(Value::Bool(false))) => Ok(Jitter::None),
            (_, Some(Value::Bool(true))) if vector.is_pollys() => Ok(around(0.25)?),
            (_, Some(Value::String(text))) => match part(text) {
                Some(part) => Ok(around(part)?),
                None => Err(NotExpressible::new(format!("config.jitter = {text}: not known to the runner"))),
            },
            (_, Some(jitter)) => Err(NotExpressible::new(format!("config.jitter = {jitter}: whose?"))),
        }
    }
}

fn permille(share: f64) -> u32 {
    (share * 1_000.0).round() as u32
}

fn around(part: f64) -> Result<Jitter, ConfigError> {
    Jitter::around(u16::try_from(permille(part)).unwrap_or(u16::MAX))
}

/// `U(0.8,1.2)` or `+-25%`.
fn part(text: &str) -> Option<f64> {
    if let Some(percent) = text.strip_prefix("+-").and_then(|rest| rest.strip_suffix('%')) {
        return Some(percent.parse::<f64>().ok()? / 100.0);
    }
    let (low, high) = text.strip_prefix("U(")?.strip_suffix(')')?.split_once(',')?;
    let (low, high): (f64, f64) = (low.parse().ok()?, high.parse().ok()?);
    (permille(1.0 - low) == permille(high - 1.0)).then_some(high - 1.0)
}

/// Tables live for ever.
fn leaked(delays: impl Iterator<Item = Duration>) -> Result<Backoff, ConfigError> {
    Backoff::table(Vec::leak(delays.collect()))
}

struct Look {
    backoff: Backoff,
    unit: Unit,
    whole: bool,
}

impl Look {
    fn check(
        &self,
        findings: &mut Findings,
        number: u32,
        case: &Fields<'_>,
        from_zero: bool,
        chance: f64,
    ) -> Result<(), NotExpressible> {
        let expected: Vec<f64> = case.list("delays")?.iter().filter_map(Value::as_f64).collect();
        let told: Vec<f64> = (0..expected.len() as u32).map(|before| self.told(before, chance)).collect();
        if !expected.is_empty() {
            findings.compare(&format!("case {number}: delays"), expected, told);
        }
        let attempt = case.count("attempt")?.or(case.count("retry")?);
        let before = attempt.map_or(0, |attempt| if from_zero { attempt } else { attempt.saturating_sub(1) });
        for (field, chance) in [("low", 0.0), ("high", 1.0), ("delay", chance)] {
            let at = format!("case {number}: {field}");
            match case.value(field) {
                None => {}
                Some(Value::String(max)) if max == "max" => {
                    findings.compare(&at, u64::MAX, self.nth(before, chance));
                }
                Some(_) => findings.compare(&at, case.number(field)?, Some(self.told(before, chance))),
            }
        }
        Ok(())
    }

    /// The delay after `before` others, in nanoseconds.
    fn nth(&self, before: u32, chance: f64) -> u64 {
        let entropy = (chance * f64::from(u32::MAX)).round() as u32;
        let mut schedule = Schedule::new();
        (0..before).for_each(|_| _ = self.backoff.next(&mut schedule, entropy));
        self.backoff.next(&mut schedule, entropy)
    }

    /// The same in the vector's unit, to a thousandth.
    fn told(&self, before: u32, chance: f64) -> f64 {
        let told = (self.unit.of_nanos(self.nth(before, chance)) * 1_000.0).round() / 1_000.0;
        if self.whole { told.trunc() } else { told }
    }
}
