//! Whole calls: a real [`Pipeline`] for each level of the layers that a vector lists, in time that only it moves.

mod gates;
pub(crate) mod layers;
pub(crate) mod level;
pub(crate) mod script;
mod seen;
mod steps;

pub(crate) use steps::run;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use fusebox::fallback::When;
use fusebox::{Cause, Clock, Entropy, Instant, SharedBudget};
use fusebox_drive::{Attempt, CallError, Class, Drive, Fallback, Layers as Parts, NoTurns, Pipeline, Timer};
use fusebox_tests::ManualTimer;

use crate::breaker::with_const;
use crate::fields::NotExpressible;
use crate::vector::Unit;
use gates::places;
use layers::{Layer, Layers};
use level::Level;
use script::{Judge, Reply, Script};
use seen::{Latencies, Seen};

/// A value: what it is, and by which names it goes.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    value: String,
    names: Vec<String>,
}

/// No value: by which names that goes, and what it means to the plans around.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    names: Vec<String>,
    class: Class,
}

pub(crate) type Out = Result<Said, Failed>;

type Calling<'a> = Pin<Box<dyn Future<Output = Out> + 'a>>;

/// The attempt that a call is a part of, and whether its deadline is that of a timeout.
#[derive(Clone, Copy)]
struct Around {
    attempt: Attempt,
    by_timeout: bool,
}

/// What a configuration says.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) layers: Layers,
    pub(crate) judge: Judge,
}

/// Calls through the layers of one configuration.
pub(crate) struct Rig<'b, B> {
    timer: ManualTimer,
    layers: Layers,
    judge: Judge,
    budget: &'b B,
    unit: Unit,
    latencies: Latencies,
    seen: RefCell<Seen>,
    /// `None`: the steps say what tries answer.
    script: RefCell<Option<Script>>,
}

/// Counts a timeout if it is dropped when that has come.
struct Timed<'a> {
    seen: &'a RefCell<Seen>,
    clock: &'a ManualTimer,
    timeout_at: Option<Instant>,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let now = self.clock.now();
        if self.timeout_at.is_some_and(|at| now >= at) {
            self.seen.borrow_mut().timeouts.insert(now);
        }
    }
}

/// Tells that a try was dropped before it had answered.
struct Trying<'a> {
    seen: &'a RefCell<Seen>,
    number: Option<u32>,
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.seen.borrow_mut().cancelled.extend(self.number);
    }
}

impl<'b, B: SharedBudget> Rig<'b, B> {
    pub(crate) fn new(setup: Setup, budget: &'b B, unit: Unit) -> Result<Self, NotExpressible> {
        let Setup { layers, judge } = setup;
        let mut rest = layers.list.as_slice();
        while !rest.is_empty() {
            let (level, others) = Level::split(rest);
            level.check()?;
            rest = others;
        }
        let rig = Self {
            timer: ManualTimer::default(),
            layers,
            judge,
            budget,
            unit,
            latencies: Latencies::default(),
            seen: RefCell::default(),
            script: RefCell::default(),
        };
        rig.pass_until(unit.at(0.0));
        Ok(rig)
    }

    fn pass_until(&self, at: Instant) {
        self.timer.block_on((&self.timer).sleep_until(at)).unwrap();
    }

    /// A new call.
    fn begin(&self, script: Option<Script>) -> Calling<'_> {
        *self.seen.borrow_mut() = Seen::default();
        *self.script.borrow_mut() = script;
        let now = self.timer.now();
        let attempt = Attempt { number: 1, called: now, started: now, deadline: None, counted: false };
        self.call(&self.layers.list, Around { attempt, by_timeout: false })
    }

    /// One whole call.
    pub(crate) fn run(&self, script: Script) -> Result<(), NotExpressible> {
        let out = self.timer.block_on(self.begin(Some(script)));
        self.seen.borrow_mut().end = out.map(|out| (self.timer.now(), out));
        if self.seen.borrow().unscripted {
            return Err(NotExpressible::new("step.results: not one for each try"));
        }
        Ok(())
    }

    fn call<'a>(&'a self, layers: &'a [Layer], around: Around) -> Calling<'a> {
        Box::pin(async move {
            let (level, rest) = Level::split(layers);
            match level.plan {
                Some(Layer::Hedge(hedges)) => {
                    let out = with_const!(hedges.attempts, [2 3 4 5 6], N => {
                        self.through(&level, level.hedge::<N>(*hedges, &self.latencies).unwrap(), rest, around).await
                    });
                    out.unwrap()
                }
                _ => self.through(&level, level.retry().unwrap(), rest, around).await,
            }
        })
    }

    /// A call through a pipeline of `level`, with the `rest` of the layers inside.
    async fn through<P: Drive>(&self, level: &Level<'_>, policy: P, rest: &[Layer], around: Around) -> Out {
        let pipeline = Pipeline::of(Parts {
            timer: &self.timer,
            call_gate: places(&level.per_call),
            gate: places(&level.per_attempt),
            turns: NoTurns,
            budget: self.budget,
            policy,
            entropy: Entropy::new(1),
        });
        let deadline = level.deadline().map(|(length, by_timeout)| (self.timer.now().after(length), by_timeout));
        // What a fallback is around is not told of the time left: when that is over, it must not answer from within.
        let deadline_around = around.attempt.deadline.filter(|_| !level.falls_back);
        let nearest = deadline_around.map(|at| (at, around.by_timeout)).into_iter().chain(deadline);
        let by_timeout = nearest.min_by_key(|(at, _)| *at).is_some_and(|(_, by_timeout)| by_timeout);
        let operation = |attempt: Attempt| self.attempt(level, rest, Around { attempt, by_timeout });
        let called = pipeline.within(Attempt { deadline: deadline_around, ..around.attempt }, &self.timer);
        let result = called.call_with(|out: &Out| self.judge.class(out), operation).await;
        let out_of_time = result.as_ref().is_err_and(|error| matches!(error.cause, Cause::OutOfTime(_)));
        if by_timeout && out_of_time {
            self.seen.borrow_mut().timeouts.insert(self.timer.now());
        }
        let served = if level.falls_back { self.fall_back(result) } else { result };
        served.map_err(|error| failed(error, level, by_timeout))
    }

    fn fall_back(&self, result: Result<Said, CallError<Failed>>) -> Result<Said, CallError<Failed>> {
        let instead = || Said { value: "fallback".to_owned(), names: vec!["fallback".to_owned()] };
        let alternative = |_: &CallError<Failed>| {
            self.seen.borrow_mut().fallbacks += 1;
            Some(instead())
        };
        Fallback::from(result).or(When::ANY, alternative).served().map(|served| served.value)
    }

    /// An attempt of the plan of `level`.
    async fn attempt(&self, level: &Level<'_>, rest: &[Layer], mut around: Around) -> Out {
        let further = u32::from(around.attempt.number > 1);
        match level.plan {
            Some(Layer::Retry(_)) => self.seen.borrow_mut().retries += further,
            Some(Layer::Hedge(_)) => self.seen.borrow_mut().hedges += further,
            _ => {}
        }
        let timeout_at = level.attempt_timeout.map(|length| around.attempt.started.after(length));
        around.by_timeout |= timeout_at.is_some() && timeout_at == around.attempt.deadline;
        let mut timed = Timed { seen: &self.seen, clock: &self.timer, timeout_at };
        let out = if rest.is_empty() { self.work().await } else { self.call(rest, around).await };
        timed.timeout_at = None;
        out
    }

    /// The operation.
    async fn work(&self) -> Out {
        let number = {
            let mut seen = self.seen.borrow_mut();
            seen.tries += 1;
            seen.tries
        };
        let mut trying = Trying { seen: &self.seen, number: Some(number) };
        let scripted = self.script.borrow().as_ref().map(|script| script.of(number));
        if let Some(reply) = scripted {
            let mut seen = self.seen.borrow_mut();
            let now = self.timer.now();
            seen.unscripted |= reply.is_none();
            let reply = reply.unwrap_or(Reply { answer: Err("fatal".to_owned()), nanos: 0 });
            seen.told.insert(number, (now.after(reply.nanos), reply));
        }
        let answer = poll_fn(|cx| {
            let told = self.seen.borrow().told.get(&number).cloned();
            let Some((at, reply)) = told else { return Poll::Pending };
            pin!((&self.timer).sleep_until(at)).poll(cx).map(|()| reply.answer)
        });
        let answer = answer.await;
        trying.number = None;
        match answer {
            Ok(value) => Ok(Said { names: seen::names_of_value(&value, number), value }),
            Err(error) => Err(Failed { class: self.judge.error(&error), names: seen::names_of_error(&error, number) }),
        }
    }
}

/// What the end of a pipeline's call means, and by which names it goes.
fn failed(error: CallError<Failed>, level: &Level<'_>, by_timeout: bool) -> Failed {
    let class = match error.cause {
        Cause::Refused(_) => Class::Ignore, // "never burns attempts"
        Cause::Stopped => Class::Stop,
        _ => Class::Retry,
    };
    let of_last = |last: Option<Failed>| last.map_or_else(|| vec!["timeout".to_owned()], |last| last.names);
    let names = match error.cause {
        Cause::Refused(rejected) => seen::names_of_refusal(rejected.reason),
        Cause::OutOfTime(_) if by_timeout => vec!["timeout".to_owned()],
        Cause::OutOfTime(_) => vec!["retries_exceeded".to_owned()],
        Cause::BudgetExhausted => vec!["the operation's error, budget exhausted".to_owned()],
        Cause::Exhausted if level.retried() => {
            ["retries_exceeded".to_owned()].into_iter().chain(of_last(error.last)).collect()
        }
        _ => of_last(error.last),
    };
    Failed { names, class }
}
