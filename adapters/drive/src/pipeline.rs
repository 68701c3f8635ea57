//! The pipeline: gates and a retry policy around any operation.

use core::future::Future;
use core::pin::{Pin, pin};

use fusebox::{Cause, Clock, Ended, Entropy, Guard, Instant, Outcome, Plan, RetryPolicy, SharedGate, Step, Verdict};

use crate::alarm::Alarm;
use crate::{CallError, Class, Classify, Errors, NoTurns, Timer, Turns};

/// What an operation is told about its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u16,
    /// When it will be dropped if it has not ended; pass the rest on to the callee.
    pub deadline: Option<Instant>,
}

/// Gates and a retry policy around any operation: outermost first the total deadline, retry, the gates (each attempt
/// asks them), the attempt timeout, the operation.
///
/// Made once per dependency, in a `static` or beside the client, and used through `&self` by any number of callers.
///
/// With a line ([`fair`](Pipeline::fair)) attempts ask the gates one after the other, first come, first served; combine
/// it with [`wait_for_gates`](fusebox::retry::RetryBuilder::wait_for_gates), else the first in line is refused at once.
#[derive(Debug)]
pub struct Pipeline<T, G, W = NoTurns> {
    pub(crate) timer: T,
    pub(crate) gate: G,
    turns: W,
    pub(crate) retry: RetryPolicy,
    pub(crate) entropy: Entropy,
}

impl<T, G> Pipeline<T, G> {
    /// A pipeline in which a refusal is known at once. `entropy` feeds the jitter of retries.
    pub const fn new(timer: T, gate: G, retry: RetryPolicy, entropy: Entropy) -> Self {
        Self { timer, gate, turns: NoTurns, retry, entropy }
    }
}

impl<T, G, W> Pipeline<T, G, W> {
    /// A pipeline whose callers stand in line for the gates.
    pub const fn fair(timer: T, gate: G, turns: W, retry: RetryPolicy, entropy: Entropy) -> Self {
        Self { timer, gate, turns, retry, entropy }
    }

    /// The gates: to read a snapshot, take an event, force a state.
    pub const fn gate(&self) -> &G {
        &self.gate
    }

    /// The timer.
    pub const fn timer(&self) -> &T {
        &self.timer
    }
}

impl<T: Timer, G: SharedGate, W: Turns> Pipeline<T, G, W> {
    /// Calls `operation` until it succeeds or the policy gives up; every error may be tried again.
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error.
    ///
    /// # Cancel safety
    /// As [`call_with`](Self::call_with).
    pub async fn call<V, E, F>(&self, operation: impl FnMut(Attempt) -> F) -> Result<V, CallError<E>>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.call_with(Errors, operation).await
    }

    /// Calls `operation` until `classify` is content or the policy gives up.
    ///
    /// An answer that is a value is never lost: if the last one was `Ok`, although classified as failed, it is returned
    /// as `Ok`.
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error.
    ///
    /// # Cancel safety
    /// May be dropped at any await. While waiting (for a turn, a gate, a delay) nothing is held but the place in line,
    /// and that is left. During an attempt the operation is dropped and its permit goes back as
    /// [`Outcome::Ignored`]; if the operation panics, as [`Outcome::Failure`].
    pub async fn call_with<V, E, F>(
        &self,
        classify: impl Classify<V, E>,
        mut operation: impl FnMut(Attempt) -> F,
    ) -> Result<V, CallError<E>>
    where
        F: Future<Output = Result<V, E>>,
    {
        let mut progress = Progress::new(self.timer.now());
        let mut plan = self.retry.start(progress.started, self.entropy.draw());
        let mut alarm = pin!(Alarm::new(&self.timer));
        let mut turn = None;
        loop {
            match plan.next(self.timer.now()) {
                Step::Wait { until: Some(until) } => alarm.as_mut().nap(until).await,
                // A retry waits for nothing but time, so there is always an `until`.
                Step::Wait { until: None } => {}
                Step::Finish(verdict) => return progress.finish(verdict, self.timer.now()),
                Step::Start { attempt, .. } if W::WAITS && turn.is_none() => {
                    let (taken, ended) = self.line_up(plan.deadline(), alarm.as_mut()).await;
                    turn = taken;
                    plan.ended(attempt, ended, self.timer.now());
                }
                Step::Start { attempt, deadline } => {
                    let context = Attempt { number: attempt, deadline };
                    let ended = match Guard::try_acquire(&self.gate, &self.timer) {
                        Ok(guard) => {
                            turn = None;
                            let answer = attend(guard, deadline, alarm.as_mut(), || operation(context)).await;
                            progress.attempt(answer, &classify, self.timer.now())
                        }
                        Err(rejected) => Ended::Refused(rejected),
                    };
                    plan.ended(attempt, ended, self.timer.now());
                }
            }
        }
    }

    /// Waits for the turn until `deadline`, and says how that counts for the attempt.
    async fn line_up(&self, deadline: Option<Instant>, alarm: Pin<&mut Alarm<'_, T>>) -> (Option<W::Turn<'_>>, Ended) {
        match alarm.race(deadline, pin!(self.turns.turn())).await {
            Some(Ok(turn)) => (Some(turn), Ended::Postponed),
            Some(Err(rejected)) => (None, Ended::Refused(rejected)),
            // The plan sees by itself that the time is over.
            None => (None, Ended::Postponed),
        }
    }
}

/// An attempt's answer and the duty to tell its gate; `None` when its time ran out.
type Answered<'a, G, T, V, E> = Option<(Result<V, E>, Guard<'a, G, T>)>;

/// Runs one attempt with its permit.
async fn attend<'a, G: SharedGate, T: Timer, V, E, F: Future<Output = Result<V, E>>>(
    mut guard: Guard<'a, G, T>,
    deadline: Option<Instant>,
    alarm: Pin<&mut Alarm<'_, T>>,
    operation: impl FnOnce() -> F,
) -> Answered<'a, G, T, V, E> {
    guard.on_drop(Outcome::Failure); // a panic while it runs is a failure
    let operation = operation();
    let answer = {
        let mut operation = pin!(operation);
        let guarded = core::future::poll_fn(|cx| {
            guard.on_drop(Outcome::Failure);
            let polled = operation.as_mut().poll(cx);
            guard.on_drop(Outcome::Ignored);
            polled
        });
        alarm.race(deadline, pin!(guarded)).await
    };
    if let Some(answer) = answer {
        return Some((answer, guard));
    }
    guard.release(Outcome::Failure);
    None
}

/// What a call has to show so far.
pub(crate) struct Progress<V, E> {
    pub(crate) started: Instant,
    last: Option<Result<V, E>>,
    attempts: u16,
    timed_out: u16,
}

impl<V, E> Progress<V, E> {
    pub(crate) const fn new(started: Instant) -> Self {
        Self { started, last: None, attempts: 0, timed_out: 0 }
    }

    /// Takes in how an attempt went and tells its gate.
    pub(crate) fn attempt<G: SharedGate, C: Clock>(
        &mut self,
        answer: Answered<'_, G, C, V, E>,
        classify: &impl Classify<V, E>,
        now: Instant,
    ) -> Ended {
        self.attempts = self.attempts.saturating_add(1);
        let Some((answer, mut guard)) = answer else {
            self.timed_out = self.timed_out.saturating_add(1);
            return Ended::TimedOut;
        };
        guard.on_drop(Outcome::Failure); // the classifier may panic
        let class: Class = classify.classify(&answer);
        guard.release(class.outcome(now));
        self.last = Some(answer);
        class.ended(now)
    }

    pub(crate) fn finish(self, verdict: Verdict, now: Instant) -> Result<V, CallError<E>> {
        let cause = match verdict {
            Verdict::GaveUp(cause) => cause,
            // Only seen if the classifier calls an error a success: then it is final.
            Verdict::Success => Cause::Stopped,
        };
        let last = match self.last {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) => Some(error),
            None => None,
        };
        Err(CallError {
            cause,
            last,
            attempts: self.attempts,
            timed_out: self.timed_out,
            elapsed: now.saturating_since(self.started),
        })
    }
}
