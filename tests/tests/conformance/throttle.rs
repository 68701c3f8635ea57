//! Area `throttle`: vectors on [`fusebox::Throttle`].

use fusebox::{Gate, Instant, Outcome, Throttle, ThrottleConfig};

use crate::fields::{Fields, NotExpressible};
use crate::report::{Area, Findings, Gap};
use crate::vector::Vector;

pub(crate) const AREA: Area = Area { names: &["throttle"], run, differ: &[], gaps: GAPS };

const GAPS: &[Gap] = &[Gap {
    id: "fsgo-th-04",
    field: "config.threshold",
    why: "it sheds by how full a queue is, not by how many calls succeed: no throttle, but a queue's affair",
}];

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let config = read(&Fields::new("config", &vector.config))?;
    let mut findings = Findings::default();
    let now = vector.unit.at(0.0);
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        let executions = case.needed("executions", case.count("executions")?)?;
        let successes = case.needed("successes", case.count("successes")?)?;
        let mut throttle = Throttle::new(config, 0);
        (0..executions).for_each(|n| call(&mut throttle, n < successes, now));
        let rate = case.needed("rate", case.number("rate")?)?;
        findings.compare(&format!("case {number}: rate"), permille(rate), throttle.chance_permille(now));
        case.finish()?;
    }
    let mut throttle = Throttle::new(config, 0);
    for (number, step) in (1..).zip(&vector.steps) {
        let now = vector.unit.at(step.t()?);
        Fields::new("step", &step.rest).finish()?;
        let mut allowed = None;
        for _ in 0..step.n {
            match step.op()? {
                "success" | "failure" => call(&mut throttle, step.op()? == "success", now),
                // What is refused at all is refused at this entropy.
                "acquire" => allowed = Some(throttle.try_acquire_with(0, now).is_ok()),
                op => return Err(NotExpressible::new(format!("step.op = {op}: not known to the runner"))),
            }
        }
        let expect = Fields::new("expect", &step.expect);
        if expect.value("allowed").is_some() {
            findings.compare(&format!("step {number}: allowed"), Some(expect.flag("allowed")?), allowed);
        }
        if let Some(rate) = expect.number("rejection_rate")? {
            findings.compare(&format!("step {number}: rejection_rate"), permille(rate), throttle.chance_permille(now));
        }
        expect.finish()?;
    }
    Ok(findings)
}

fn read(config: &Fields<'_>) -> Result<ThrottleConfig, NotExpressible> {
    let threshold = config.needed("threshold", config.number("threshold")?)?;
    let at_most = config.needed("max_rate", config.number("max_rate")?)?;
    let minimum = config.needed("min_executions", config.count("min_executions")?)?;
    let builder = ThrottleConfig::builder().accept_permille(permille(threshold)).at_most_permille(permille(at_most));
    Ok(builder.minimum(minimum).build()?)
}

/// Rates are told rounded down to a permille.
fn permille(rate: f64) -> u16 {
    (rate * 1_000.0 + 0.001).floor() as u16
}

/// A call that is let through in any case.
fn call(throttle: &mut Throttle, success: bool, now: Instant) {
    if let Ok(request) = throttle.try_acquire_with(u32::MAX, now) {
        throttle.release(request, if success { Outcome::Success } else { Outcome::Failure }, now);
    }
}
