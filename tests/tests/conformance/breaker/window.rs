//! Vectors of a window alone: two of fusebox's, one for failures, one for slow calls.

use fusebox::breaker::{CountMemory, Rate, Tally, TimeMemory, Window as _};
use fusebox::{CountWindow, Instant, TimeWindow};

use super::config::{self, Window};
use super::rules::WORDS;
use super::with_buckets;
use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::{Step, Vector};

/// A window of any type with what it remembers.
trait DynWindow {
    fn push(&mut self, bad: bool, now: Instant);
    fn tally(&self, now: Instant) -> Tally;
}

impl<const N: usize> DynWindow for (CountWindow<N>, CountMemory<N>) {
    fn push(&mut self, bad: bool, now: Instant) {
        self.0.push(&mut self.1, bad, now);
    }
    fn tally(&self, now: Instant) -> Tally {
        self.0.tally(&self.1, now)
    }
}

impl<const N: usize> DynWindow for (TimeWindow<N>, TimeMemory<N>) {
    fn push(&mut self, bad: bool, now: Instant) {
        self.0.push(&mut self.1, bad, now);
    }
    fn tally(&self, now: Instant) -> Tally {
        self.0.tally(&self.1, now)
    }
}

fn make(window: Window) -> Result<Box<dyn DynWindow>, NotExpressible> {
    match window {
        Window::Calls(size) => Ok(Box::new((CountWindow::<WORDS>::new(size)?, CountWindow::<WORDS>::EMPTY))),
        Window::Time { span, buckets } => {
            let make = with_buckets!(buckets, N => {
                TimeWindow::<N>::new(span)
                    .map(|window| Box::new((window, TimeWindow::<N>::EMPTY)) as Box<dyn DynWindow>)
            });
            let many = || NotExpressible::new(format!("config: the runner was not compiled for {buckets} buckets"));
            Ok(make.ok_or_else(many)??)
        }
    }
}

pub(crate) fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let fields = Fields::new("config", &vector.config);
    fields.ignore("note");
    fields.ignore("start");
    let slow_over = fields.number("slow_over")?;
    if fields.flag("aligned_to_whole_seconds")? {
        check_aligned(vector, &fields)?;
    }
    let window = config::read_window(fields, vector.unit)?;
    let (mut failures, mut slow) = (make(window)?, make(window)?);
    let mut findings = Findings::default();
    for (number, step) in (1..).zip(&vector.steps) {
        let now = vector.unit.at(step.t()?);
        let is_slow = read_slow(step, slow_over)?;
        for _ in 0..step.n {
            match step.op()? {
                "check" | "poll" => {}
                op @ ("success" | "failure") => {
                    failures.push(op == "failure", now);
                    slow.push(is_slow, now);
                }
                op => return Err(NotExpressible::new(format!("step.op = {op}: not known to the runner"))),
            }
            compare(vector, number, step, [failures.tally(now), slow.tally(now)], &mut findings)?;
        }
    }
    Ok(findings)
}

/// Our buckets begin with the first call: which must then be at the beginning of a second.
fn check_aligned(vector: &Vector, fields: &Fields<'_>) -> Result<(), NotExpressible> {
    let first = vector.steps.first().map_or(Ok(0.0), Step::t)?;
    match vector.unit.at(first).as_nanos() % 1_000_000_000 {
        0 => Ok(()),
        _ => Err(fields.cannot("aligned_to_whole_seconds", "buckets begin with the first call")),
    }
}

fn read_slow(step: &Step, slow_over: Option<f64>) -> Result<bool, NotExpressible> {
    let rest = Fields::new("step", &step.rest);
    let took = rest.number("took")?;
    let slow = rest.flag("slow")? || matches!((took, slow_over), (Some(took), Some(over)) if took > over);
    rest.finish()?;
    Ok(slow)
}

fn compare(
    vector: &Vector,
    number: u32,
    step: &Step,
    [failed, slow]: [Tally; 2],
    findings: &mut Findings,
) -> Result<(), NotExpressible> {
    let expect = Fields::new("expect", &step.expect);
    let percent = vector.system.starts_with("resilience4j");
    for key in step.expect.keys() {
        let at = format!("step {number}: {key}");
        let count = |got: u32, findings: &mut Findings| -> Result<(), NotExpressible> {
            findings.compare(&at, expect.count(key)?, Some(got));
            Ok(())
        };
        match key.as_str() {
            "total" | "buffered" => count(failed.calls, findings)?,
            "failures" | "failed" => count(failed.bad, findings)?,
            "successes" => count(failed.calls - failed.bad, findings)?,
            "slow" => count(slow.bad, findings)?,
            "failure_rate" | "slow_rate" | "failure_ratio" => {
                let tally = if key == "slow_rate" { slow } else { failed };
                let permille_each = if percent && key != "failure_ratio" { 10.0 } else { 1_000.0 };
                let expected = expect.number(key)?.map(|rate| (rate * permille_each + 0.001).floor() as u16);
                // A window has no minimum; others say that of no calls none failed.
                findings.compare(&at, expected, Some(Rate::of(tally.bad, tally.calls).permille.unwrap_or(0)));
            }
            _ => findings.skip(key, "fusebox has no such notion"),
        }
    }
    Ok(())
}
