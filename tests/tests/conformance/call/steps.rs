//! The steps of a vector, and its cases.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use fusebox::{Clock, Instant, SharedBudget};
use fusebox_drive::Timer;
use serde_json::{Map, Value};

use super::script::{Reply, Script};
use super::seen::{self, EXPECTED, Look};
use super::{Calling, Rig, Setup};
use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::{Step, Vector};

/// How an area reads a configuration.
pub(crate) type Reader = fn(&Fields<'_>, &Vector) -> Result<Setup, NotExpressible>;

/// Runs the steps of a vector, or each of its cases as one whole call.
pub(crate) fn run(vector: &Vector, budget: &impl SharedBudget, read: Reader) -> Result<Findings, NotExpressible> {
    let mut findings = Findings::default();
    if vector.cases.is_empty() {
        let config = Fields::new("config", &vector.config);
        let rig = Rig::new(read(&config, vector)?, budget, vector.unit)?;
        config.finish()?;
        rig.steps(vector, &mut findings)?;
    }
    for (number, case) in (1..).zip(&vector.cases) {
        let merged: Map<String, Value> = vector.config.clone().into_iter().chain(case.clone()).collect();
        let fields = Fields::new("case", &merged);
        let rig = Rig::new(read(&fields, vector)?, budget, vector.unit)?;
        let script = match fields.number("work")? {
            Some(work) => Script::working(vector.unit.nanos(work)),
            None => Script::read(&fields, vector.unit)?,
        };
        rig.run(script)?;
        let keys = EXPECTED.iter().filter(|key| case.contains_key(**key));
        rig.compare(keys, &fields, &format!("case {number}"), &mut findings)?;
        fields.finish()?;
    }
    Ok(findings)
}

impl<B: SharedBudget> Rig<'_, B> {
    /// Compares all that is expected at `at`.
    pub(crate) fn compare(
        &self,
        keys: impl Iterator<Item = impl AsRef<str>>,
        expect: &Fields<'_>,
        at: &str,
        findings: &mut Findings,
    ) -> Result<(), NotExpressible> {
        let (seen, breaker) = (self.seen.borrow(), self.layers.breaker.as_deref());
        let now = self.timer.now();
        let look = Look { seen: &seen, breaker, latencies: &self.latencies, unit: self.unit, now };
        for key in keys {
            let key = key.as_ref();
            look.compare(key, expect, &format!("{at}: {key}"), findings)?;
        }
        Ok(())
    }

    fn steps(&self, vector: &Vector, findings: &mut Findings) -> Result<(), NotExpressible> {
        let mut calling: Option<Calling<'_>> = None;
        for (number, step) in (1..).zip(&vector.steps) {
            self.step(step, number, &mut calling, findings)?;
        }
        Ok(())
    }

    /// Does what a step says, to the call that goes on if need be, and compares.
    pub(crate) fn step<'a>(
        &'a self,
        step: &Step,
        number: u32,
        calling: &mut Option<Calling<'a>>,
        findings: &mut Findings,
    ) -> Result<(), NotExpressible> {
        for _ in 0..step.n {
            self.act(step, calling)?;
            let expect = Fields::new("expect", &step.expect);
            self.compare(step.expect.keys(), &expect, &format!("step {number}"), findings)?;
        }
        Ok(())
    }

    fn act<'a>(&'a self, step: &Step, calling: &mut Option<Calling<'a>>) -> Result<(), NotExpressible> {
        let rest = Fields::new("step", &step.rest);
        rest.ignore("note");
        let at = self.unit.at(step.t()?);
        let answers = matches!(step.op()?, "success" | "failure").then(|| seen::number_of_try(step.id.as_deref()));
        match step.op()? {
            "run" => {
                self.pass_until(at);
                *calling = None;
                self.run(Script::read(&rest, self.unit)?)?;
            }
            "start" => {
                self.pass_until(at);
                *calling = None;
                *calling = Some(self.begin(None));
            }
            "success" | "failure" => {
                let number = answers.flatten().ok_or_else(|| NotExpressible::new("step.id: no such try"))?;
                let answer = if step.op()? == "success" { Ok("ok".to_owned()) } else { Err("F".to_owned()) };
                self.seen.borrow_mut().told.insert(number, (at, Reply { answer, nanos: 0 }));
            }
            "poll" | "check" => {}
            op => return Err(NotExpressible::new(format!("step.op = {op}: not known to the runner"))),
        }
        rest.finish()?;
        if let Some(call) = calling {
            self.go_on(call, at);
        }
        match answers.flatten() {
            Some(number) if number > self.seen.borrow().tries => Err(NotExpressible::new("step.id: has not started")),
            _ => Ok(()),
        }
    }

    /// Lets `call` go on until `at`.
    fn go_on(&self, call: &mut Calling<'_>, at: Instant) {
        if self.seen.borrow().end.is_none() {
            let mut waited = pin!((&self.timer).sleep_until(at));
            let ended = self.timer.block_on(poll_fn(|cx| match call.as_mut().poll(cx) {
                Poll::Ready(out) => Poll::Ready(Some((self.timer.now(), out))),
                Poll::Pending => waited.as_mut().poll(cx).map(|()| None),
            }));
            self.seen.borrow_mut().end = ended.flatten();
        }
        self.pass_until(at);
    }
}
