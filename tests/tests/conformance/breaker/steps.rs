//! Vectors of steps: each is done, then what is to be seen is compared.

use std::collections::BTreeMap;

use fusebox::{Gate, Instant, Outcome, Rejected, Snapshot, State};

use super::config::Spec;
use super::expect;
use super::subject::{Held, Manual, Subject};
use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::{Step, Unit, Vector};

/// What a step does.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// Ask, and keep the permission.
    Ask,
    /// Report on a call that was permitted before.
    Report(Outcome),
    /// Give a permission back unused.
    Cancel,
    /// Ask, and report at once.
    Call(Outcome),
    /// A call that panics.
    Panic,
    /// Let time act.
    Look,
    Hand(Manual),
    /// Trip so that the open interval is over now.
    TripBefore,
    /// A failure that trips.
    TripByFailure,
}

pub(crate) struct Run<'v> {
    pub(crate) subject: Subject,
    pub(crate) spec: &'v Spec,
    unit: Unit,
    /// Permissions, the oldest first.
    unnamed: Vec<Held>,
    named: BTreeMap<&'v str, Held>,
    /// Permissions of the first phase, for reports on calls that nobody permitted since.
    late: Vec<Held>,
    /// Refusals before the present state.
    refused_before: u32,
    pub(crate) events: u32,
    /// Calls below which others tell no rate, in the phase that the counts are of.
    pub(crate) minimum: u32,
    /// What the last thing asked for in this step got.
    pub(crate) answer: Option<Result<(), Rejected>>,
    pub(crate) trips_before: u32,
    state: State,
}

pub(crate) fn run(vector: &Vector, specs: &[Spec]) -> Result<Findings, NotExpressible> {
    let mut findings = Findings::default();
    let first = vector.steps.first().map_or(Ok(0.0), Step::t)?;
    let mut run = Run::new(specs, vector.unit, vector.unit.at(first.min(0.0)))?;
    for (number, step) in (1..).zip(&vector.steps) {
        let now = vector.unit.at(step.t()?);
        for _ in 0..step.n {
            run.step(step, now)?;
            expect::compare(&mut run, vector, number, step, now, &mut findings)?;
        }
    }
    Ok(findings)
}

impl<'v> Run<'v> {
    fn new(specs: &'v [Spec], unit: Unit, start: Instant) -> Result<Self, NotExpressible> {
        let mut subject = Subject::new(specs)?;
        let spec = specs.first().ok_or_else(|| NotExpressible::new("config.any_of: empty"))?;
        let late = (0..64).filter_map(|_| subject.try_acquire(start).ok()).collect();
        Ok(Self {
            subject,
            spec,
            unit,
            unnamed: Vec::new(),
            named: BTreeMap::new(),
            late,
            refused_before: 0,
            events: 0,
            minimum: spec.minimum,
            answer: None,
            trips_before: 0,
            state: State::Closed,
        })
    }

    /// Refusals in the present state.
    pub(crate) fn refused(&self, now: Instant) -> u32 {
        self.subject.snapshot(now).refused - self.refused_before
    }

    /// Whether a permission is out.
    pub(crate) fn holds(&self) -> bool {
        !self.unnamed.is_empty() || !self.named.is_empty()
    }

    fn step(&mut self, step: &'v Step, now: Instant) -> Result<(), NotExpressible> {
        let rest = Fields::new("step", &step.rest);
        let took = rest.number("took")?.map(|took| self.unit.nanos(took));
        rest.ignore("note");
        rest.finish()?;
        self.answer = None;
        self.trips_before = self.subject.snapshot(now).trips;
        for action in parse(step.op()?, &self.spec.ignored)? {
            if took.is_some() && !matches!(action, Action::Call(_) | Action::Report(_)) {
                return Err(NotExpressible::new("step.took: of what is no call"));
            }
            self.act(action, step.id.as_deref(), took, now)?;
            self.observe(now);
        }
        Ok(())
    }

    fn act(
        &mut self,
        action: Action,
        id: Option<&'v str>,
        took: Option<u64>,
        now: Instant,
    ) -> Result<(), NotExpressible> {
        match action {
            Action::Ask => {
                if let Some(permit) = self.ask(0, now)? {
                    self.keep(id, permit);
                }
            }
            Action::Call(outcome) => {
                if let Some(permit) = self.ask(took.unwrap_or(0), now)? {
                    self.subject.release(permit, outcome, now);
                }
            }
            Action::Report(outcome) => {
                let permit = self.permit_of(id, took, now)?;
                self.subject.release(permit, outcome, now);
            }
            Action::Cancel => {
                let permit = self.permit_of(id, took, now)?;
                self.subject.cancel(permit, now);
            }
            Action::Panic => self.subject.call_panicking(now),
            Action::Look => self.subject.handle_timeout(now),
            Action::Hand(manual) => self.by_hand(manual, now),
            Action::TripBefore => {
                self.by_hand(Manual::Trip, Instant::from_nanos(now.as_nanos() - self.spec.open_first));
                self.subject.handle_timeout(now);
            }
            Action::TripByFailure => {
                self.act(Action::Call(Outcome::Failure), id, took, now)?;
                self.by_hand(Manual::Trip, now);
            }
        }
        Ok(())
    }

    /// Other libraries' ways by hand lead from anywhere.
    fn by_hand(&mut self, manual: Manual, now: Instant) {
        let snapshot = self.subject.snapshot(now);
        let forced = snapshot.dry_run || matches!(snapshot.state, State::ForcedOpen | State::ForcedClosed);
        if forced && matches!(manual, Manual::Trip | Manual::HalfOpen) {
            self.subject.by_hand(Manual::Reset, now);
        }
        if matches!(manual, Manual::HalfOpen) && snapshot.state != State::HalfOpen {
            self.subject.by_hand(Manual::Trip, now);
        }
        self.subject.by_hand(manual, now);
    }

    /// Asks for a call that began `took` ago. The clock of a vector stands still during a call, ours tells how long one
    /// took: so it is set back for the asking, where asking changes nothing but what it grants.
    fn ask(&mut self, took: u64, now: Instant) -> Result<Option<Held>, NotExpressible> {
        if took > 0 {
            self.subject.handle_timeout(now);
        }
        let snapshot = self.subject.snapshot(now);
        let started = match snapshot.state {
            State::Closed | State::HalfOpen => Instant::from_nanos(now.as_nanos() - took),
            State::Open | State::ForcedOpen | State::ForcedClosed => now,
        };
        if snapshot.state == State::HalfOpen && self.spec.half_open.limit.is_some() && started < snapshot.since {
            return Err(NotExpressible::new("step.took: a trial longer than it has been half-open, which has a limit"));
        }
        let asked = self.subject.try_acquire(started);
        self.answer = Some(asked.as_ref().map(|_| ()).map_err(|rejected| *rejected));
        Ok(asked.ok())
    }

    fn keep(&mut self, id: Option<&'v str>, permit: Held) {
        match id {
            Some(id) => drop(self.named.insert(id, permit)),
            None => self.unnamed.push(permit),
        }
    }

    /// The permission that a report is about: the one of its name, else the newest one, else one that is implied.
    fn permit_of(&mut self, id: Option<&str>, took: Option<u64>, now: Instant) -> Result<Held, NotExpressible> {
        let held = match id {
            Some(id) => {
                let none = || NotExpressible::new(format!("step.id = {id}: was not permitted"));
                Some(self.named.remove(id).ok_or_else(none)?)
            }
            None => self.unnamed.pop(),
        };
        match (held, took) {
            (Some(permit), None) => Ok(permit),
            // It began at another time than it was asked for.
            (Some(permit), Some(took)) => {
                self.subject.cancel(permit, now);
                self.implied(took, now)
            }
            (None, took) => self.implied(took.unwrap_or(0), now),
        }
    }

    /// A permission nobody asked for. Where there is none to be had, the call was permitted in an earlier phase.
    fn implied(&mut self, took: u64, now: Instant) -> Result<Held, NotExpressible> {
        let snapshot = self.subject.snapshot(now);
        if snapshot.dry_run || !matches!(snapshot.state, State::Open | State::ForcedOpen) {
            let permit = self.ask(took, now)?;
            self.answer = None;
            if let Some(permit) = permit {
                return Ok(permit);
            }
            self.refused_before += 1;
        }
        self.late.pop().ok_or_else(|| NotExpressible::new("step.op: too many reports on calls that were not permitted"))
    }

    /// Follows the state.
    fn observe(&mut self, now: Instant) {
        let Snapshot { state, refused, .. } = self.subject.snapshot(now);
        if state != self.state {
            self.refused_before = refused;
        }
        self.state = state;
        self.minimum = match state {
            State::HalfOpen => self.spec.half_open.trials as u32,
            State::Open => self.minimum,
            State::Closed | State::ForcedOpen | State::ForcedClosed => self.spec.minimum,
        };
        self.events += self.subject.events();
    }
}

fn parse(op: &str, ignored: &[String]) -> Result<Vec<Action>, NotExpressible> {
    let unknown = || NotExpressible::new(format!("step.op = {op}: not known to the runner"));
    if let Some(outcomes) = op.strip_prefix("call_") {
        let call = |word| match word {
            "panic" => Some(Action::Panic),
            word => outcome(word, ignored).map(Action::Call),
        };
        return outcomes.split('_').map(call).collect::<Option<_>>().ok_or_else(unknown);
    }
    let action = match op {
        "acquire" => Action::Ask,
        "cancel" | "release_permission" => Action::Cancel,
        "check" | "poll" => Action::Look,
        "force_open" => Action::Hand(Manual::Trip),
        "force_half_open" => Action::Hand(Manual::HalfOpen),
        "force_half_open_by_time" => Action::TripBefore,
        "force_open_by_failure" => Action::TripByFailure,
        "force_forced_open" | "force_isolated" | "isolate" => Action::Hand(Manual::ForceOpen),
        "force_disabled" => Action::Hand(Manual::ForceClosed),
        "force_metrics_only" => Action::Hand(Manual::DryRun),
        "force_closed" | "close" | "reset" => Action::Hand(Manual::Reset),
        report => outcome(report, ignored).map(Action::Report).ok_or_else(unknown)?,
    };
    Ok(vec![action])
}

fn outcome(word: &str, ignored: &[String]) -> Option<Outcome> {
    match word {
        "ok" | "success" => Some(Outcome::Success),
        "fail" | "failure" => Some(Outcome::Failure),
        "ignored" => Some(Outcome::Ignored),
        word if ignored.iter().any(|name| name == word) => Some(Outcome::Ignored),
        _ => None,
    }
}
