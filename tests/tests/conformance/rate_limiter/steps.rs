//! Timed steps on one limiter.

use fusebox::{Instant, Rejected};

use super::Wait;
use super::cases::read_limit;
use super::subject::{Fixed, Greedy, Limit, PayLater, Smooth, Subject, Warming};
use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::{Step, Unit, Vector};

pub(crate) fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let config = Fields::new("config", &vector.config);
    let unit = vector.unit;
    let algorithm = config.needed("algorithm", config.text("algorithm")?)?;
    let begin = config.number("t_init")?.unwrap_or(0.0);
    let subject: Box<dyn Subject> = match algorithm {
        "token_bucket_greedy_integer" => Box::new(Greedy::new([read_one(unit, &config)?], unit.at(begin))?),
        "token_bucket_interval" | "token_bucket_interval_aligned" => Box::new(read_intervals(unit, &config, begin)?),
        "cycle" => {
            let limit = config.needed("limit", config.count("limit")?)?;
            let period = unit.nanos(config.needed("period", config.number("period")?)?);
            let limit = Limit { capacity: limit, refill: limit, period, tokens: limit };
            let line = unit.at(config.number("start")?.unwrap_or(0.0));
            Box::new(Fixed::new(&[limit], line, line)?)
        }
        "smooth" => {
            let interval = config.needed("interval", config.number("interval")?)?;
            Box::new(Smooth::new(unit.nanos(interval), unit.at(begin))?)
        }
        "guava_smooth_bursty" => {
            let rate = config.needed("rate_per_s", config.number("rate_per_s")?)?;
            let burst = config.needed("max_burst_s", config.number("max_burst_s")?)?;
            Box::new(PayLater::new(rate, burst, unit.at(begin))?)
        }
        "guava_smooth_warming_up" => {
            let rate = config.needed("rate_per_s", config.number("rate_per_s")?)?;
            let warm_up = unit.nanos(config.needed("warmup", config.number("warmup")?)?);
            if (config.number("cold_factor")?.unwrap_or(3.0) - 3.0).abs() > 1e-9 {
                return Err(config.cannot("cold_factor", "it is 3"));
            }
            Box::new(Warming::new(rate, warm_up)?)
        }
        _ => return Err(config.cannot("algorithm", "not known to the runner")),
    };
    let timeout = config.number("timeout")?.map(|timeout| unit.nanos(timeout));
    let rounding = read_rounding(unit, &config)?;
    config.finish()?;
    let mut run = Run { subject, unit, timeout, rounding, now: unit.at(begin), findings: Findings::default() };
    for (number, step) in (1..).zip(&vector.steps) {
        run.step(number, step)?;
    }
    Ok(run.findings)
}

fn read_one(unit: Unit, config: &Fields<'_>) -> Result<Limit, NotExpressible> {
    let capacity = config.needed("capacity", config.count("capacity")?)?;
    let refill = config.needed("refill", config.count("refill")?)?;
    let period = unit.nanos(config.needed("period", config.number("period")?)?);
    Ok(Limit { capacity, refill, period, tokens: config.count("initial")?.unwrap_or(capacity) })
}

fn read_intervals(unit: Unit, config: &Fields<'_>, begin: f64) -> Result<Fixed, NotExpressible> {
    let mut limits = vec![];
    for row in config.list("limits")? {
        limits.push(read_limit(unit, row).ok_or_else(|| config.cannot("limits", "not rows of four numbers"))?);
    }
    if limits.is_empty() {
        limits.push(read_one(unit, config)?);
    }
    if config.flag("adaptive_initial")? {
        return Err(config.cannot("adaptive_initial", "a limiter begins full, or is drained"));
    }
    let line = config.number("first_refill")?.unwrap_or(begin);
    Fixed::new(&limits, unit.at(line), unit.at(begin))
}

/// To what the waits of a series are printed, in nanoseconds.
fn read_rounding(unit: Unit, config: &Fields<'_>) -> Result<u64, NotExpressible> {
    let Some(text) = config.text("rounding")? else { return Ok(1) };
    let number = text.strip_prefix("printed to ").and_then(|text| text.strip_suffix(" ms")?.parse::<u64>().ok());
    let Unit::Ms = unit else { return Err(config.cannot("rounding", "not in milliseconds")) };
    number.map(|millis| millis * 1_000_000).ok_or_else(|| config.cannot("rounding", "not known to the runner"))
}

struct Run {
    subject: Box<dyn Subject>,
    unit: Unit,
    timeout: Option<u64>,
    rounding: u64,
    now: Instant,
    findings: Findings,
}

impl Run {
    fn step(&mut self, number: u32, step: &Step) -> Result<(), NotExpressible> {
        if let Ok(t) = step.t() {
            self.now = self.unit.at(t);
        }
        let (fields, expect) = (Fields::new("step", &step.rest), Fields::new("expect", &step.expect));
        if step.op()? == "acquire_block_series" {
            self.series(number, step.n, &expect)?;
        } else {
            for _ in 0..step.n {
                self.once(number, step.op()?, &fields, &expect)?;
            }
        }
        fields.finish()?;
        expect.finish()
    }

    fn once(&mut self, number: u32, op: &str, fields: &Fields<'_>, expect: &Fields<'_>) -> Result<(), NotExpressible> {
        let at = |field: &str| format!("step {number}: {field}");
        let n = fields.count("permits")?.unwrap_or(1);
        let now = self.now;
        match op {
            "check" => {}
            "acquire" | "acquire_block" | "reserve" | "try_acquire" => {
                let own = fields.number("timeout")?.map(|timeout| self.unit.nanos(timeout));
                let until = own.or(self.timeout).map_or(Instant::MAX, |timeout| now.after(timeout));
                let answer = self.subject.reserve(n, until, now);
                self.answered(answer, &at, expect)?;
            }
            "drain" => {
                let taken = self.subject.drain(now)?;
                if let Some(expected) = expect.count("taken")? {
                    self.findings.compare(&at("taken"), expected, taken);
                }
            }
            "cancel_waiter" => self.subject.cancel(now)?,
            "sleep" => self.now = now.after(self.unit.nanos(fields.needed("dur", fields.number("dur")?)?)),
            "set_rate" => self.subject.set_rate(fields.needed("rate_per_s", fields.number("rate_per_s")?)?, now)?,
            "set_limit" => self.subject.set_limit(fields.needed("limit", fields.count("limit")?)?, now)?,
            op => return Err(NotExpressible::new(format!("step.op = {op}: not known to the runner"))),
        }
        self.look(&at, expect)
    }

    fn answered(
        &mut self,
        answer: Result<Instant, Rejected>,
        at: &impl Fn(&str) -> String,
        expect: &Fields<'_>,
    ) -> Result<(), NotExpressible> {
        if expect.value("allowed").is_some() {
            self.findings.compare(&at("allowed"), expect.flag("allowed")?, answer.is_ok());
        }
        if let Some(wait) = expect.number("wait")? {
            let expected = if wait < 0.0 { Wait::Refused } else { Wait::Nanos(self.unit.nanos(wait)) };
            let got = match answer {
                Ok(ready_at) => Wait::Nanos(ready_at.nanos_since(self.now)),
                Err(refused) if refused.retry_at.is_none() => Wait::Never,
                Err(_) => Wait::Refused,
            };
            self.findings.compare(&at("wait"), expected, got);
        }
        Ok(())
    }

    /// What is to be seen after a step.
    fn look(&mut self, at: &impl Fn(&str) -> String, expect: &Fields<'_>) -> Result<(), NotExpressible> {
        if let Some(available) = expect.number("available")? {
            self.findings.compare(&at("available"), available as i64, self.subject.available(self.now));
        }
        if let Some(wait) = expect.number("next_wait")? {
            let next = self.subject.next(self.now).nanos_since(self.now);
            self.findings.compare(&at("next_wait"), self.unit.nanos(wait), next);
        }
        if let Some(t) = expect.number("next_free")? {
            self.findings.compare(&at("next_free"), self.unit.at(t), self.subject.next(self.now));
        }
        Ok(())
    }

    /// Takes one after the other, and waits each time.
    fn series(&mut self, number: u32, n: u32, expect: &Fields<'_>) -> Result<(), NotExpressible> {
        let mut waits = vec![];
        for _ in 0..n {
            let ready_at = self.subject.reserve(1, Instant::MAX, self.now);
            let ready_at = ready_at.map_err(|refused| NotExpressible::new(format!("step.op: {refused}")))?;
            // Half of it is rounded up.
            let wait = ready_at.nanos_since(self.now) + self.rounding.div_ceil(2) - u64::from(self.rounding == 1);
            waits.push(wait - wait % self.rounding);
            self.now = ready_at;
        }
        let expected = expect.list("waits")?.iter().filter_map(serde_json::Value::as_f64);
        let expected: Vec<u64> = expected.map(|wait| self.unit.nanos(wait)).collect();
        self.findings.compare(&format!("step {number}: waits"), expected, waits);
        Ok(())
    }
}
