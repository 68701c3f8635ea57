//! Follows a plan, one call at a time.

use core::future::{Future, poll_fn};
use core::mem;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

use fusebox::{Clock, Ended, Guard, Instant, Outcome, Plan, Reason, Rejected, SharedBudget, SharedGate, Step};
use pin_project_lite::pin_project;

use crate::account::{Account, Paid};
use crate::alarm::Alarm;
use crate::progress::Progress;
use crate::slots::{Runs, Slots};
use crate::turns::Freeing;
use crate::within::Terms;
use crate::{Attempt, CallError, Classify, Drive, Layers, Pipeline, Timer, Turns};

const OTHERS_FIRST: Rejected = Rejected { reason: Reason::OthersFirst, retry_at: None };

pin_project! {
    /// An attempt that runs, and what has to go back when it ends.
    pub(crate) struct Running<'a, G: SharedGate, B: SharedBudget, T: Clock, F> {
        #[pin]
        operation: F,
        duties: Option<Duties<'a, G, B, T>>,
        number: u16,
    }
}

/// Its permit, and what it was paid with.
type Duties<'a, G, B, T> = (Guard<'a, G, T>, Paid<'a, B, T>);

impl<'a, G: SharedGate, B: SharedBudget, T: Clock, F: Future> Runs for Running<'a, G, B, T, F> {
    type Ran = (u16, Option<F::Output>, Duties<'a, G, B, T>);
    type Rest = Duties<'a, G, B, T>;

    fn number(&self) -> u16 {
        self.number
    }

    /// A panic of the operation is a failure; a drop between two polls is nobody's fault.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Ran>> {
        let this = self.project();
        if let Some((guard, _)) = this.duties {
            guard.on_drop(Outcome::Failure);
        }
        let polled = this.operation.poll(cx);
        if let (Poll::Pending, Some((guard, _))) = (&polled, &mut *this.duties) {
            guard.on_drop(Outcome::Ignored);
        }
        polled.map(|answer| this.duties.take().map(|duties| (*this.number, Some(answer), duties)))
    }

    fn stop(self: Pin<&mut Self>) -> Option<Self::Rest> {
        self.project().duties.take()
    }
}

/// A plan that is told when its call is dropped.
struct Course<'a, P: Plan, C: Clock> {
    plan: P,
    clock: &'a C,
    /// The attempt that waits for its turn or a gate: it has not started, whatever the plan believes.
    waits: Option<u16>,
}

impl<P: Plan, C: Clock> Course<'_, P, C> {
    fn ended<B: SharedBudget>(&mut self, attempt: u16, ended: Ended, account: &mut Account<'_, B, C>) {
        self.waits = None;
        self.plan.ended_if_paid(attempt, ended, self.clock.now(), |after| account.pay(after));
    }
}

impl<P: Plan, C: Clock> Drop for Course<'_, P, C> {
    fn drop(&mut self) {
        let now = self.clock.now();
        if let Some(attempt) = self.waits {
            self.plan.ended(attempt, Ended::Postponed { by: None }, now);
        }
        self.plan.abandon(now);
    }
}

impl<T: Timer, G: SharedGate, W: Turns, B: SharedBudget, P: Drive, C: SharedGate> Pipeline<T, G, W, B, P, C> {
    /// The one future behind all: a future in a future would hold everything twice.
    pub(crate) async fn run<V, E, F>(
        &self,
        terms: Terms,
        classify: impl Classify<V, E>,
        mut operation: impl FnMut(Attempt) -> F,
    ) -> Result<V, CallError<E>>
    where
        F: Future<Output = Result<V, E>>,
    {
        let Layers { timer, call_gate, gate, turns, budget, policy, entropy } = &self.layers;
        let called = timer.now();
        let (call_gate, gate) = (Freeing { gate: call_gate, turns }, Freeing { gate, turns });
        let mut account = Account::new(budget, timer, terms.counted);
        let mut progress = Progress::new(called);
        let mut course = Course { plan: policy.plan(terms.call(called, entropy.draw())), clock: timer, waits: None };
        let mut alarm = pin!(Alarm::new(timer));
        let mut turn = None;
        let mut whole: Option<Guard<'_, _, T>> = None; // the permit of the call
        let mut slots = pin!(P::Slots::<Running<'_, Freeing<'_, G, W>, B, T, F>>::default());
        let mut polled = false; // whether all that is out was, since this future was
        loop {
            progress.mark(&mut whole, Outcome::Ignored);
            let now = timer.now();
            let ran = match course.plan.next_if_paid(now, |after| account.pay(after)) {
                Step::Finish(verdict) => {
                    if let Some(whole) = whole.filter(|_| progress.has_begun()) {
                        whole.release(progress.outcome());
                    }
                    account.close(verdict);
                    return progress.finish(verdict, timer.now());
                }
                Step::Drop { attempt } => slots.as_mut().stop(attempt).map(|duties| (attempt, None, duties)),
                Step::Wait { until } => {
                    poll_fn(|cx| {
                        if !mem::take(&mut polled) {
                            progress.mark(&mut whole, Outcome::Failure);
                            if let Some(ran) = slots.as_mut().poll(cx) {
                                return Poll::Ready(Some(ran));
                            }
                            progress.mark(&mut whole, Outcome::Ignored);
                        }
                        alarm.as_mut().poll_nap(until, cx).map(|()| None)
                    })
                    .await
                }
                Step::Start { attempt, .. } if W::WAITS && turn.is_none() && slots.is_empty() => {
                    course.waits = Some(attempt);
                    let (taken, ended) = self.line_up(course.plan.deadline(), alarm.as_mut()).await;
                    turn = taken;
                    course.ended(attempt, ended, &mut account);
                    continue;
                }
                Step::Start { attempt, deadline } => {
                    // A hedge never waits, and never takes a place from those who do.
                    let is_hedge = !slots.is_empty();
                    if is_hedge {
                        turn = turns.try_turn();
                    }
                    let admitted = match &turn {
                        None if is_hedge => Err(OTHERS_FIRST),
                        _ => admit(&mut whole, &call_gate, &gate, timer),
                    };
                    let guard = match admitted {
                        Ok(guard) => guard,
                        Err(rejected) => {
                            let ended = if !is_hedge && self.waits_for_a_release(rejected) {
                                course.waits = Some(attempt);
                                let until = [rejected.retry_at, course.plan.deadline()].into_iter().flatten().min();
                                alarm.as_mut().race(until, pin!(turns.freed())).await;
                                Ended::Postponed { by: Some(rejected) } // the turn is kept
                            } else {
                                turn = turn.filter(|_| !is_hedge);
                                Ended::Refused(rejected)
                            };
                            course.ended(attempt, ended, &mut account);
                            continue;
                        }
                    };
                    turn = None;
                    progress.begin();
                    progress.mark(&mut whole, Outcome::Failure);
                    let paid = account.start();
                    let counted = account.counts(attempt);
                    let operation = operation(Attempt { number: attempt, called, started: now, deadline, counted });
                    slots.as_mut().put(Running { operation, duties: Some((guard, paid)), number: attempt });
                    // One that is ready at once costs neither a timer nor a further question.
                    let ran = poll_fn(|cx| Poll::Ready(slots.as_mut().poll(cx))).await;
                    polled = ran.is_none();
                    ran
                }
            };
            if let Some((attempt, answer, (guard, paid))) = ran {
                let ended = progress.ended(answer, guard, &classify, timer.now());
                account.ended(Some(paid));
                course.ended(attempt, ended, &mut account);
            }
        }
    }

    /// Whether the first in line stays for what others give back.
    fn waits_for_a_release(&self, rejected: Rejected) -> bool {
        W::WAITS && self.layers.policy.waits_for_gates() && rejected.reason.frees_on_release()
    }

    /// Waits for the turn until `deadline`, and says how that counts for the attempt.
    async fn line_up(&self, deadline: Option<Instant>, alarm: Pin<&mut Alarm<'_, T>>) -> (Option<W::Turn<'_>>, Ended) {
        match alarm.race(deadline, pin!(self.layers.turns.turn())).await {
            Some(Ok(turn)) => (Some(turn), Ended::Postponed { by: None }),
            Some(Err(rejected)) => (None, Ended::Refused(rejected)),
            // The plan sees by itself that the time is over.
            None => (None, Ended::Postponed { by: None }),
        }
    }
}

/// Asks the gates of the call, if they have not been yet, then those of the attempt.
pub(crate) fn admit<'a, C: SharedGate, G: SharedGate, T: Clock>(
    whole: &mut Option<Guard<'a, C, T>>,
    call_gate: &'a C,
    gate: &'a G,
    timer: &'a T,
) -> Result<Guard<'a, G, T>, Rejected> {
    if whole.is_none() {
        let guard = whole.insert(Guard::try_acquire(call_gate, timer)?);
        guard.cancel_on_drop();
    }
    let mut guard = Guard::try_acquire(gate, timer)?;
    guard.on_drop(Outcome::Failure); // a panic while it runs is a failure
    Ok(guard)
}
