//! Calls to a device that is recovered when it fails.

use core::future::Future;
use core::pin::pin;
use core::time::Duration;

use fusebox::recovery::{Act, Acted, Ladder, Next, Turn};
use fusebox::{Cause, Clock, Ended, Guard, Instant, Lock, Outcome, Shared, Stage, Verdict, nanos};

use crate::alarm::Alarm;
use crate::blocking::BlockingTimer;
use crate::progress::Progress;
use crate::{Attempt, CallError, Classify, Errors, NoTurns, Timer, Turns};

/// A device behind a recovery [`Ladder`]: calls go to it, and whoever finds it failed helps it up.
///
/// Made once per device, in a `static` or beside the driver, and used through `&self` by any number of callers. A call
/// that fails is made again after each step of the ladder, as its trial, by the same caller; so do not use it for what may
/// not happen twice. One caller at a time acts or tries. The others are refused meanwhile; in line
/// ([`fair`](Recovering::fair)) they wait, and only one at a time uses the device at all.
///
/// A call ends when it is answered, when the ladder gives up, or when its time ([`within`](Recovering::within)) is over.
/// Callers who may be dropped, or have too little time for an action, should not be the only ones: let a task of its own
/// call a probe now and then.
#[derive(Debug)]
pub struct Recovering<T, L, W = NoTurns> {
    timer: T,
    ladder: Shared<L>,
    turns: W,
    within: Option<u64>,
}

impl<T, L> Recovering<T, L> {
    /// A device whose ladder is in `lock`; a caller is refused while another one helps.
    pub const fn new(timer: T, lock: L) -> Self {
        Self::fair(timer, lock, NoTurns)
    }
}

impl<T, L, W> Recovering<T, L, W> {
    /// A device whose callers stand in line for it: each has it to itself until its call ends.
    pub const fn fair(timer: T, lock: L, turns: W) -> Self {
        Self { timer, ladder: Shared::new(lock), turns, within: None }
    }

    /// How long a call may go on: after that nothing new is begun for it, neither an attempt, nor an action, nor a wait
    /// that would end later. What runs is not cut short. Default: as long as the ladder.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = Some(nanos(time));
        self
    }

    /// The ladder: to read a snapshot, take an event, reset it; or as a gate of other calls.
    pub const fn ladder(&self) -> &Shared<L> {
        &self.ladder
    }

    /// The timer.
    pub const fn timer(&self) -> &T {
        &self.timer
    }

    const fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.within {
            Some(within) => Some(now.after(within)),
            None => None,
        }
    }
}

impl<A: Copy, const N: usize, T: Clock, L: Lock<Value = Ladder<A, N>>, W> Recovering<T, L, W> {
    /// What is next for a call whose time is over at `deadline`.
    fn next(&self, deadline: &mut Option<Instant>, has_begun: bool) -> Result<Next<A>, Cause> {
        let now = self.timer.now();
        // Further away than the whole time: the clock stepped back.
        *deadline = (*deadline).min(self.deadline(now));
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Cause::OutOfTime(if has_begun { Stage::Attempt } else { Stage::Line }));
        }
        match self.ladder.with(|ladder| ladder.next(now)).map_err(Cause::Refused)? {
            Next::Wait { until } if deadline.is_some_and(|deadline| until >= deadline) => {
                Err(Cause::OutOfTime(Stage::Delay))
            }
            next => Ok(next),
        }
    }

    /// Tells the ladder how an attempt ended, with `None` because its time is over.
    fn ended<V, E>(
        &self,
        progress: &mut Progress,
        answer: Option<&Result<V, E>>,
        mut guard: Guard<'_, Shared<L>, T>,
        classify: &impl Classify<V, E>,
    ) -> Ended {
        guard.on_drop(Outcome::Failure); // the classifier may panic
        let class = answer.map(|answer| classify.classify(answer));
        let ended = progress.ended(class, &self.timer);
        guard.release(progress.outcome);
        ended
    }

    fn attempt(&self, progress: &Progress, deadline: Instant) -> Attempt {
        let (number, called, started) = (progress.attempts, progress.started, self.timer.now());
        Attempt { number, called, started, deadline: Some(deadline), counted: number > 1 }
    }

    const fn duty(&self, turn: Turn<A>) -> Duty<'_, A, N, T, L> {
        Duty { ladder: &self.ladder, clock: &self.timer, turn: Some(turn), acted: Acted::Abandoned }
    }
}

impl<A: Copy, const N: usize, T: Timer, L: Lock<Value = Ladder<A, N>>, W: Turns> Recovering<T, L, W> {
    /// Calls `operation`, and `recover` with what is to be done when it fails, until the one succeeds or the ladder gives
    /// up. Every error is a failure.
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error; the cause is [`Cause::Refused`], by a ladder that has given up or
    /// while somebody else helps, or [`Cause::OutOfTime`].
    ///
    /// # Cancel safety
    /// As [`call_with`](Self::call_with).
    pub fn call<V, E, X, F, R>(
        &self,
        operation: impl FnMut(Attempt) -> F,
        recover: impl FnMut(Act<A>) -> R,
    ) -> impl Future<Output = Result<V, CallError<E>>>
    where
        F: Future<Output = Result<V, E>>,
        R: Future<Output = Result<(), X>>,
    {
        self.call_with(Errors, operation, recover)
    }

    /// As [`call`](Self::call); `classify` says what is a failure, and which ends the call at once.
    ///
    /// An attempt is dropped at its deadline and has failed then, and so is an action. An action that ends with an error
    /// has failed, whatever the error: should it matter, `recover` is the place to tell.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`Cause::Stopped`].
    ///
    /// # Cancel safety
    /// May be dropped at any await. In line, the place is left. An attempt that is dropped says nothing about the device;
    /// if it was a trial, the next caller makes it. An action that is dropped was abandoned: its rung has been used, and
    /// the next caller goes on. A panic is the same.
    pub async fn call_with<V, E, X, F, R>(
        &self,
        classify: impl Classify<V, E>,
        mut operation: impl FnMut(Attempt) -> F,
        mut recover: impl FnMut(Act<A>) -> R,
    ) -> Result<V, CallError<E>>
    where
        F: Future<Output = Result<V, E>>,
        R: Future<Output = Result<(), X>>,
    {
        let mut progress = Progress::new(self.timer.now());
        let mut deadline = self.deadline(progress.started);
        let mut last = None;
        let mut alarm = pin!(Alarm::new(&self.timer));
        let in_line = alarm.as_mut().race(deadline, pin!(self.turns.turn())).await;
        let mut next = match &in_line {
            Some(Ok(_turn)) => self.next(&mut deadline, progress.has_begun()),
            Some(Err(rejected)) => Err(Cause::Refused(*rejected)),
            None => Err(Cause::OutOfTime(Stage::Line)),
        };
        loop {
            match next {
                Err(cause) => return progress.answer(Verdict::GaveUp(cause), last, &self.timer),
                Ok(Next::Call { deadline }) => {
                    // Refused only if somebody else was quicker.
                    if let Ok(guard) = Guard::try_acquire(&self.ladder, &self.timer) {
                        progress.begin();
                        let attempt = operation(self.attempt(&progress, deadline));
                        let answer = alarm.as_mut().race(Some(deadline), pin!(attempt)).await;
                        let ended = self.ended(&mut progress, answer.as_ref(), guard, &classify);
                        last = answer.or(last);
                        if is_final(ended) {
                            return progress.answer(Verdict::Success, last, &self.timer);
                        }
                    }
                }
                Ok(Next::Act(turn)) => {
                    let act = turn.act();
                    let duty = self.duty(turn);
                    duty.done(alarm.as_mut().race(Some(act.deadline), pin!(recover(act))).await);
                }
                Ok(Next::Wait { until }) => alarm.as_mut().nap(until).await,
            }
            next = self.next(&mut deadline, progress.has_begun());
        }
    }
}

impl<A: Copy, const N: usize, T: BlockingTimer, L: Lock<Value = Ladder<A, N>>> Recovering<T, L> {
    /// See [`call`](Self::call). Nothing can end an operation or an action that blocks: each is told its deadline, and must
    /// keep to it by itself. An answer that comes late is the caller's all the same, though the attempt has failed for the
    /// ladder.
    ///
    /// # Errors
    /// See [`call`](Self::call).
    pub fn call_blocking<V, E, X>(
        &self,
        operation: impl FnMut(Attempt) -> Result<V, E>,
        recover: impl FnMut(Act<A>) -> Result<(), X>,
    ) -> Result<V, CallError<E>> {
        self.call_blocking_with(Errors, operation, recover)
    }

    /// See [`call_with`](Self::call_with) and [`call_blocking`](Self::call_blocking).
    ///
    /// # Errors
    /// See [`call_with`](Self::call_with).
    pub fn call_blocking_with<V, E, X>(
        &self,
        classify: impl Classify<V, E>,
        mut operation: impl FnMut(Attempt) -> Result<V, E>,
        mut recover: impl FnMut(Act<A>) -> Result<(), X>,
    ) -> Result<V, CallError<E>> {
        let mut progress = Progress::new(self.timer.now());
        let mut deadline = self.deadline(progress.started);
        let mut last = None;
        loop {
            match self.next(&mut deadline, progress.has_begun()) {
                Err(cause) => return progress.answer(Verdict::GaveUp(cause), last, &self.timer),
                Ok(Next::Call { deadline }) => {
                    if let Ok(guard) = Guard::try_acquire(&self.ladder, &self.timer) {
                        progress.begin();
                        last = Some(operation(self.attempt(&progress, deadline)));
                        if is_final(self.ended(&mut progress, last.as_ref(), guard, &classify)) {
                            return progress.answer(Verdict::Success, last, &self.timer);
                        }
                    }
                }
                Ok(Next::Act(turn)) => {
                    let act = turn.act();
                    let duty = self.duty(turn);
                    duty.done(Some(recover(act)));
                }
                // Asked again after each wait, so an early end is no harm.
                Ok(Next::Wait { until }) => self.timer.wait(until.saturating_since(self.timer.now())),
            }
        }
    }
}

/// Whether no further attempt can help.
const fn is_final(ended: Ended) -> bool {
    matches!(ended, Ended::Success | Ended::Stop)
}

/// Reports an action, however its caller leaves.
struct Duty<'a, A: Copy, const N: usize, T: Clock, L: Lock<Value = Ladder<A, N>>> {
    ladder: &'a Shared<L>,
    clock: &'a T,
    turn: Option<Turn<A>>,
    acted: Acted,
}

impl<A: Copy, const N: usize, T: Clock, L: Lock<Value = Ladder<A, N>>> Duty<'_, A, N, T, L> {
    /// `None`: its time ran out.
    fn done<X>(mut self, answer: Option<Result<(), X>>) {
        self.acted = if let Some(Ok(())) = answer { Acted::Done } else { Acted::Failed };
    }
}

impl<A: Copy, const N: usize, T: Clock, L: Lock<Value = Ladder<A, N>>> Drop for Duty<'_, A, N, T, L> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.ladder.with(|ladder| ladder.acted(turn, self.acted, self.clock.now()));
        }
    }
}
