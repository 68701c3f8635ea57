//! Area `bulkhead`: vectors on [`fusebox::Bulkhead`] with a [`fusebox::WaitQueue`] before it where they wait, and on
//! [`fusebox::ClassBulkhead`] where they have partitions.

mod config;
mod subject;

use std::collections::BTreeMap;

use fusebox::wait::Ticket;
use fusebox::{Instant, Reason, Rejected};

use crate::fields::{Fields, NotExpressible};
use crate::report::{Area, Findings, Gap};
use crate::vector::{Step, Vector};
use config::Spec;
use subject::{Asked, Held, Subject};

pub(crate) const AREA: Area = Area { names: &["bulkhead"], run, differ: &[], gaps: GAPS };

const GAPS: &[Gap] = &[Gap {
    id: "r4j-bh-02",
    field: "config.max_concurrent",
    why: "\"a zero limit is unrepresentable\": what lets nothing through is a breaker that is forced open",
}];

/// Callers of a vector.
struct Run<'v> {
    subject: Subject,
    classes: Vec<String>,
    /// Who runs, the newest last. The others have no name.
    running: Vec<(Option<&'v str>, Held)>,
    /// Who waits: the name and the class.
    waiting: BTreeMap<Ticket, (Option<&'v str>, usize)>,
    /// What the one who asked in this step was told, if not to wait.
    answer: Option<Result<(), Rejected>>,
    /// Who was granted after waiting, in this step.
    granted: Vec<Option<&'v str>>,
    /// Whether somebody gave up in this step.
    gave_up: bool,
}

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    if !vector.cases.is_empty() {
        return Err(NotExpressible::new("cases: of a bulkhead"));
    }
    let spec = Spec::read(vector)?;
    let mut run = Run {
        subject: Subject::new(&spec)?,
        classes: spec.partitions.into_iter().map(|(name, _)| name).collect(),
        running: Vec::new(),
        waiting: BTreeMap::new(),
        answer: None,
        granted: Vec::new(),
        gave_up: false,
    };
    let mut findings = Findings::default();
    for (number, step) in (1..).zip(&vector.steps) {
        let now = vector.unit.at(step.t()?);
        for _ in 0..step.n {
            run.step(step, now)?;
            run.compare(step, number, &mut findings)?;
        }
    }
    Ok(findings)
}

impl<'v> Run<'v> {
    fn step(&mut self, step: &'v Step, now: Instant) -> Result<(), NotExpressible> {
        let rest = Fields::new("step", &step.rest);
        rest.ignore("note");
        let class = self.class(&rest)?;
        rest.finish()?;
        (self.answer, self.granted, self.gave_up) = (None, Vec::new(), false);
        let id = step.id.as_deref();
        match step.op()? {
            "acquire" => self.ask(id, class, now),
            "acquire_cancelled" => {
                // Gone by the time it is answered.
                self.ask(id, class, now);
                self.leave(id, now)?;
            }
            "cancel" => self.leave(id, now)?,
            "release" | "success" | "failure" | "ignored" => {
                let held = self.running_of(id)?;
                self.subject.release(held, now);
            }
            "check" | "poll" => {}
            op => return Err(NotExpressible::new(format!("step.op = {op}: not known to the runner"))),
        }
        self.serve(now);
        Ok(())
    }

    fn class(&self, rest: &Fields<'_>) -> Result<usize, NotExpressible> {
        let Some(who) = rest.text("who")? else { return Ok(0) };
        let at = self.classes.iter().position(|name| name == who);
        at.ok_or_else(|| rest.cannot("who", "no such partition"))
    }

    fn ask(&mut self, id: Option<&'v str>, class: usize, now: Instant) {
        match self.subject.enter(class, now) {
            Ok(Asked::Granted(held)) => {
                self.running.push((id, held));
                self.answer = Some(Ok(()));
            }
            Ok(Asked::Wait { ticket, .. }) => drop(self.waiting.insert(ticket, (id, class))),
            Err(rejected) => self.answer = Some(Err(rejected)),
        }
    }

    /// Gives up: the place in line, or what was granted.
    fn leave(&mut self, id: Option<&str>, now: Instant) -> Result<(), NotExpressible> {
        let ticket = self.waiting.iter().rev().find(|(_, (name, _))| *name == id).map(|(ticket, _)| *ticket);
        if let Some(ticket) = ticket {
            self.waiting.remove(&ticket);
            self.gave_up = self.subject.leave(ticket);
        } else {
            let held = self.running_of(id)?;
            self.subject.cancel(held, now);
            self.gave_up = true;
        }
        self.answer = None;
        Ok(())
    }

    fn running_of(&mut self, id: Option<&str>) -> Result<Held, NotExpressible> {
        let at = self.running.iter().rposition(|(name, _)| id.is_none() || *name == id);
        let at = at.ok_or_else(|| NotExpressible::new(format!("step.id = {id:?}: does not run")))?;
        Ok(self.running.remove(at).1)
    }

    /// Serves all whose turn it is.
    fn serve(&mut self, now: Instant) {
        while let Some((ticket, (id, class))) =
            self.subject.front(now).and_then(|front| self.waiting.remove_entry(&front))
        {
            match self.subject.ask(ticket, class, now) {
                Ok(Asked::Granted(held)) => {
                    self.running.push((id, held));
                    self.granted.push(id);
                }
                Ok(Asked::Wait { .. }) => {
                    self.waiting.insert(ticket, (id, class));
                    return;
                }
                Err(_) => {}
            }
        }
    }

    fn compare(&self, step: &Step, number: u32, findings: &mut Findings) -> Result<(), NotExpressible> {
        let expect = Fields::new("expect", &step.expect);
        let seen = self.subject.snapshot();
        for key in step.expect.keys() {
            let at = format!("step {number}: {key}");
            match key.as_str() {
                "allowed" => findings.compare(&at, expect.flag(key)?, self.answer == Some(Ok(()))),
                "pending" => findings.compare(&at, expect.flag(key)?, self.answer.is_none() && !self.gave_up),
                "runs" => findings.compare(&at, expect.flag(key)?, !self.gave_up),
                "available" => findings.compare(&at, expect.count(key)?, Some(seen.available())),
                "in_flight" => findings.compare(&at, expect.count(key)?, Some(seen.in_flight)),
                "granted" => findings.compare(&at, expect.text(key)?, self.granted.first().copied().flatten()),
                "result" => {
                    let got = match self.answer {
                        _ if self.gave_up => Some("cancelled"),
                        Some(Err(Rejected { reason: Reason::InFlight | Reason::QueueFull | Reason::Shed, .. })) => {
                            Some("bulkhead_full")
                        }
                        _ => None,
                    };
                    findings.compare(&at, expect.text(key)?, got);
                }
                _ => findings.skip(key, "fusebox has no such notion"),
            }
        }
        Ok(())
    }
}
