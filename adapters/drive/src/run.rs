//! Follows a plan, one call at a time.

use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use fusebox::{Clock, Ended, Instant, Moment, Plan, Policy, Reason, Rejected, SharedBudget, SharedGate, Step};
use pin_project_lite::pin_project;

use crate::alarm::Alarm;
use crate::books::Books;
use crate::job::{Job, Work};
use crate::parts::Parts;
use crate::slots::{Runs, Slots};
use crate::ticket::Ticket;
use crate::within::Terms;
use crate::{Attempt, CallError, Classify, Drive, Layers, Pipeline, Timer, Turns};

const OTHERS_FIRST: Rejected = Rejected { reason: Reason::OthersFirst, retry_at: None };

pin_project! {
    /// An attempt that runs, and what has to go back when it ends.
    pub(crate) struct Running<'a, L: Parts, F> {
        #[pin]
        operation: F,
        ticket: Option<Ticket<'a, L>>,
        number: u16,
    }
}

impl<'a, L: Parts, F: Future> Runs for Running<'a, L, F> {
    type Ran = Ran<'a, L, F::Output>;
    type Rest = Ticket<'a, L>;

    fn number(&self) -> u16 {
        self.number
    }

    /// A panic of the operation is a failure; a drop between two polls is nobody's fault.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Ran>> {
        let this = self.project();
        if let Some(ticket) = this.ticket {
            ticket.runs(true);
        }
        let polled = this.operation.poll(cx);
        if let (Poll::Pending, Some(ticket)) = (&polled, &mut *this.ticket) {
            ticket.runs(false);
        }
        let (number, ticket) = (*this.number, this.ticket);
        polled.map(|answer| ticket.take().map(|ticket| Ran { number, answer: Some(answer), ticket }))
    }

    fn stop(self: Pin<&mut Self>) -> Option<Self::Rest> {
        self.project().ticket.take()
    }
}

/// An attempt that ended; without an answer, because its time was over.
pub(crate) struct Ran<'a, L: Parts, A> {
    number: u16,
    answer: Option<A>,
    ticket: Ticket<'a, L>,
}

/// What the first in line waited for.
pub(crate) enum InLine<'a, W: Turns + 'a> {
    Turn(Result<W::Turn<'a>, Rejected>),
    Freed,
}

/// An attempt that has not started, whatever the plan believes.
#[derive(Clone, Copy)]
struct PutOff {
    attempt: u16,
    /// The refusal that it waits out; without one, it waits for its turn.
    by: Option<Rejected>,
}

/// The plan of a call that has begun, which is told when the call is dropped, and its books.
struct Begun<'a, L: Parts> {
    plan: <L::Policy as Policy>::Plan<'a>,
    put_off: Option<PutOff>,
    books: Books<'a, L>,
}

impl<'a, L: Parts> Begun<'a, L> {
    #[inline]
    fn new(layers: &'a L, terms: Terms, called: Instant) -> Self {
        let Layers { policy, entropy, .. } = layers.layers();
        let plan = policy.plan(terms.call(called, entropy.draw()));
        Self { plan, put_off: None, books: Books::new(layers, called, terms.counted) }
    }

    #[inline]
    fn next(&mut self, now: &impl Clock) -> Step {
        self.plan.next_if_paid(now, |after| self.books.pay(after))
    }

    /// Asks the gates. A hedge never waits, and never takes a place from those who do.
    #[inline]
    fn admit(
        &mut self,
        is_hedge: bool,
        turn: &mut Option<<L::Turns as Turns>::Turn<'a>>,
        now: &impl Clock,
    ) -> Result<Ticket<'a, L>, Rejected> {
        if is_hedge {
            *turn = self.books.turns().try_turn();
            if turn.is_none() {
                return Err(OTHERS_FIRST);
            }
        }
        self.books.admit(now)
    }

    /// When what it waits for in line is of no more use.
    fn waits_until(&self) -> Option<Instant> {
        let retry_at = self.put_off.and_then(|put_off| put_off.by?.retry_at);
        [retry_at, self.plan.deadline()].into_iter().flatten().min()
    }

    #[inline]
    fn ended(&mut self, attempt: u16, ended: Ended, now: &impl Clock) {
        self.put_off = None;
        self.plan.ended_if_paid(attempt, ended, now, |after| self.books.pay(after));
    }
}

impl<L: Parts> Drop for Begun<'_, L> {
    #[inline]
    fn drop(&mut self) {
        let timer = self.books.timer();
        if let Some(PutOff { attempt, .. }) = self.put_off {
            self.plan.ended(attempt, Ended::Postponed { by: None }, timer);
        }
        self.plan.abandon(timer);
    }
}

pin_project! {
    /// A call: one future for all of it, since a future in a future would hold everything twice.
    #[project = Project]
    #[must_use = "futures do nothing until they are polled"]
    pub(crate) struct Calling<'a, L, J, N, Q>
    where
        L: Parts,
        L: 'a,
        L::Policy: Drive,
        L::Timer: Timer,
        J: Job,
    {
        layers: &'a L,
        terms: Terms,
        job: J,
        // Makes `line`, whose type has no name: to wait for the turn, or for what others give back.
        stand: N,
        last: Option<Result<J::Value, J::Error>>,
        #[pin]
        slots: <L::Policy as Drive>::Slots<Running<'a, L, J::Running>>,
        #[pin]
        line: Option<Q>,
        // Dropped in this order: those behind in line ask the gates once everything is back.
        begun: Option<Begun<'a, L>>,
        turn: Option<<L::Turns as Turns>::Turn<'a>>,
        #[pin]
        alarm: Alarm<'a, L::Timer>,
    }
}

impl<'a, L, J, N, Q> Future for Calling<'a, L, J, N, Q>
where
    L: Parts<Policy: Drive, Timer: Timer>,
    J: Job,
    N: Fn(&'a L::Turns, bool) -> Q,
    Q: Future<Output = InLine<'a, L::Turns>>,
{
    type Output = Result<J::Value, CallError<J::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Project { layers, terms, job, stand, last, mut slots, mut line, begun, turn, mut alarm } = self.project();
        let timer = layers.timer();
        // Read where time matters, and again after whatever may have taken some.
        let mut now = Moment::new(timer);
        let begun = begun.get_or_insert_with(|| Begun::new(*layers, *terms, now.now()));
        let mut polled = slots.is_empty(); // whether all that is out was, since this future was
        loop {
            if let (Some(waiting), Some(put_off)) = (line.as_mut().as_pin_mut(), begun.put_off) {
                let waited = ready!(alarm.as_mut().poll_race(begun.waits_until(), waiting, cx));
                line.set(None);
                now = Moment::new(timer);
                let ended = match waited {
                    Some(InLine::Turn(Err(rejected))) => Ended::Refused(rejected),
                    Some(InLine::Turn(Ok(taken))) => {
                        *turn = Some(taken);
                        Ended::Postponed { by: None }
                    }
                    // If all time is over, the plan sees by itself.
                    Some(InLine::Freed) | None => Ended::Postponed { by: put_off.by },
                };
                begun.ended(put_off.attempt, ended, &now);
            }
            let mut ran = None;
            if !mem::replace(&mut polled, true) {
                begun.books.runs(true);
                ran = slots.as_mut().poll(cx);
                begun.books.runs(ran.is_some()); // the classifier still does
                now = Moment::new(timer);
            }
            if ran.is_none() {
                match begun.next(&now) {
                    Step::Finish(verdict) => {
                        begun.books.close(verdict, &now);
                        return Poll::Ready(begun.books.progress.answer(verdict, last.take(), &now));
                    }
                    Step::Drop { attempt: number } => {
                        ran = slots.as_mut().stop(number).map(|ticket| Ran { number, answer: None, ticket });
                    }
                    Step::Wait { until } => {
                        ready!(alarm.as_mut().poll_nap(until, &now, cx));
                        now = Moment::new(timer);
                    }
                    Step::Start { attempt, .. } if L::Turns::WAITS && turn.is_none() && slots.is_empty() => {
                        begun.put_off = Some(PutOff { attempt, by: None });
                        line.set(Some(stand(&layers.layers().turns, false)));
                    }
                    Step::Start { attempt, deadline } => {
                        let is_hedge = !slots.is_empty();
                        match begun.admit(is_hedge, turn, &now) {
                            Ok(ticket) => {
                                *turn = None;
                                let (ticket, told) = begun.books.start(ticket, attempt, deadline, now.now());
                                let operation = job.start(told);
                                slots.as_mut().put(Running { operation, ticket: Some(ticket), number: attempt });
                                polled = false;
                            }
                            // The first in line stays for what others give back.
                            Err(rejected) if !is_hedge && layers.waits_for_a_release(rejected) => {
                                begun.put_off = Some(PutOff { attempt, by: Some(rejected) });
                                line.set(Some(stand(&layers.layers().turns, true)));
                            }
                            Err(rejected) => {
                                *turn = turn.take().filter(|_| !is_hedge);
                                begun.ended(attempt, Ended::Refused(rejected), &now);
                            }
                        }
                    }
                }
            }
            if let Some(Ran { number, answer, ticket }) = ran {
                let class = answer.as_ref().map(|answer| job.classify(answer));
                let ended = begun.books.ended(class, ticket, &now);
                *last = answer.or(last.take());
                begun.ended(number, ended, &now);
                polled = slots.is_empty();
            }
        }
    }
}

impl<T: Timer, G: SharedGate, W: Turns, B: SharedBudget, P: Drive, C: SharedGate> Pipeline<T, G, W, B, P, C> {
    pub(crate) fn run<'a, V, E, F: Future<Output = Result<V, E>>>(
        &'a self,
        terms: Terms,
        classify: impl Classify<V, E>,
        operation: impl FnMut(Attempt) -> F,
    ) -> impl Future<Output = Result<V, CallError<E>>> {
        let layers = &self.layers;
        Calling {
            layers,
            terms,
            job: Work { classify, operation },
            stand: |turns: &'a W, freed| async move {
                if freed {
                    turns.freed().await;
                    return InLine::Freed;
                }
                InLine::Turn(turns.turn().await)
            },
            last: None,
            slots: Default::default(),
            line: None,
            begun: None,
            turn: None,
            alarm: Alarm::new(&layers.timer),
        }
    }
}
