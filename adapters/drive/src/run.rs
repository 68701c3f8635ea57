//! Follows a plan, one call at a time.

use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use fusebox::{Clock, Ended, Instant, Moment, Plan, Policy, Reason, Rejected, SharedBudget, SharedGate, Step, Verdict};
use pin_project_lite::pin_project;

use crate::alarm::Alarm;
use crate::books::Books;
use crate::job::{Job, Work};
use crate::parts::Parts;
use crate::running::{Ran, Running};
use crate::slots::Slots;
use crate::ticket::Ticket;
use crate::within::Terms;
use crate::{Attempt, CallError, Class, Classify, Drive, Pipeline, Timer, Turns};

const OTHERS_FIRST: Rejected = Rejected { reason: Reason::OthersFirst, retry_at: None };

type RanOf<'a, L, J> = Ran<'a, L, Result<<J as Job>::Value, <J as Job>::Error>>;
type Output<J> = Result<<J as Job>::Value, CallError<<J as Job>::Error>>;

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
        let plan = layers.layers().policy.plan(terms.call(called));
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
        self.books.feed(&mut self.plan, ended);
        self.plan.ended_if_paid(attempt, ended, now, |after| self.books.pay(after));
    }

    /// Its books are closed, and nothing is put off: to look for what is still to be given back would be for nothing.
    #[inline]
    fn closed(self) {
        if !mem::needs_drop::<<L::Policy as Policy>::Plan<'a>>() {
            mem::forget(self);
        }
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
        // So that it is over, not new, once it has its answer, or a panic came through.
        has_begun: bool,
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
    type Output = Output<J>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Out of the future while it is worked on: most calls end in their first poll, and are never written there. After
        // a panic what the call itself holds is given back at once.
        let (mut begun, polled) = if *this.has_begun {
            let Some(begun) = this.begun.take() else { return Poll::Pending };
            (begun, false)
        } else {
            *this.has_begun = true;
            let called = this.layers.timer().now();
            let mut begun = Begun::new(*this.layers, *this.terms, called);
            if let Some(answer) = this.begin(&mut begun, called, cx) {
                begun.closed();
                return Poll::Ready(answer);
            }
            (begun, true)
        };
        let polled = this.go_on(&mut begun, polled, cx);
        match polled {
            Poll::Pending => *this.begun = Some(begun),
            Poll::Ready(_) => this.clear(begun),
        }
        polled
    }
}

impl<'a, L, J, N, Q> Project<'_, 'a, L, J, N, Q>
where
    L: Parts<Policy: Drive, Timer: Timer>,
    J: Job,
    N: Fn(&'a L::Turns, bool) -> Q,
    Q: Future<Output = InLine<'a, L::Turns>>,
{
    /// The first attempt, up to its first await. Its answer is the call's if it is good: what most calls come to, in one
    /// straight line.
    #[inline]
    fn begin(&mut self, begun: &mut Begun<'a, L>, called: Instant, cx: &mut Context<'_>) -> Option<Output<J>> {
        if L::Turns::WAITS {
            return None;
        }
        if let Step::Start { attempt, deadline } = begun.next(&called) {
            self.start(begun, attempt, deadline, &called);
        }
        let ran = self.poll_slots(begun, cx)?;
        let (class, now) = (self.classify(&ran), Moment::new(self.layers.timer()));
        if class != Some(Class::Success) {
            self.ended(begun, ran, class, &now);
            return None;
        }
        let ended = begun.books.ended(class, ran.ticket, &now);
        begun.ended(ran.number, ended, &now);
        begun.books.close(Verdict::Success, &now);
        Some(begun.books.progress.answer(Verdict::Success, ran.answer, &now))
    }

    /// Whatever comes, until there is something to wait for; all that is out was `polled` already, or is first: an answer
    /// that is there wins over the time it is.
    fn go_on(&mut self, begun: &mut Begun<'a, L>, polled: bool, cx: &mut Context<'_>) -> Poll<Output<J>> {
        let timer = self.layers.timer();
        let mut ran = if polled { None } else { self.poll_slots(begun, cx) };
        let mut polled = ran.is_none();
        loop {
            if let Some(ran) = ran.take() {
                let class = self.classify(&ran);
                self.ended(begun, ran, class, &Moment::new(timer));
                polled = false; // those that come after it were not
            }
            if L::Turns::WAITS && begun.put_off.is_some() {
                ready!(self.poll_line(begun, cx));
            }
            let now = Moment::new(timer);
            match begun.next(&now) {
                Step::Finish(verdict) => {
                    begun.books.close(verdict, &now);
                    return Poll::Ready(begun.books.progress.answer(verdict, self.last.take(), &now));
                }
                Step::Drop { attempt: number } => match self.slots.as_mut().stop(number) {
                    Some(ticket) => ran = Some(Ran { number, answer: None, ticket }),
                    None => begun.ended(number, Ended::TimedOut, &now),
                },
                Step::Wait { until } if polled => ready!(self.alarm.as_mut().poll_nap(until, &now, cx)),
                Step::Wait { .. } => {
                    ran = self.poll_slots(begun, cx);
                    polled = ran.is_none();
                }
                Step::Start { attempt, deadline } => {
                    self.start(begun, attempt, deadline, &now);
                    ran = self.poll_slots(begun, cx);
                    polled = ran.is_none();
                }
            }
        }
    }

    /// It has its answer: gives back all there is, although it may be a while before the future is dropped.
    fn clear(&mut self, begun: Begun<'a, L>) {
        self.slots.set(Default::default());
        drop(begun);
        *self.turn = None;
        self.alarm.set(Alarm::new(self.layers.timer()));
    }

    /// Those that are out, until one has ended.
    #[inline]
    fn poll_slots(&mut self, begun: &mut Begun<'a, L>, cx: &mut Context<'_>) -> Option<RanOf<'a, L, J>> {
        if self.slots.is_empty() {
            return None;
        }
        begun.books.runs(true);
        let ran = self.slots.as_mut().poll(cx);
        begun.books.runs(ran.is_some()); // the classifier still does
        ran
    }

    #[inline]
    fn classify(&self, ran: &RanOf<'a, L, J>) -> Option<Class> {
        ran.answer.as_ref().map(|answer| self.job.classify(answer))
    }

    /// An attempt has ended, and is not the call's answer at once.
    fn ended(&mut self, begun: &mut Begun<'a, L>, ran: RanOf<'a, L, J>, class: Option<Class>, now: &impl Clock) {
        let ended = begun.books.ended(class, ran.ticket, now);
        if ran.answer.is_some() {
            *self.last = ran.answer;
        }
        begun.ended(ran.number, ended, now);
    }

    /// Waits for the turn, or for what others give back.
    fn poll_line(&mut self, begun: &mut Begun<'a, L>, cx: &mut Context<'_>) -> Poll<()> {
        let (Some(line), Some(PutOff { attempt, by })) = (self.line.as_mut().as_pin_mut(), begun.put_off) else {
            return Poll::Ready(());
        };
        let waited = ready!(self.alarm.as_mut().poll_race(begun.waits_until(), line, cx));
        self.line.set(None);
        let ended = match waited {
            Some(InLine::Turn(Err(rejected))) => Ended::Refused(rejected),
            Some(InLine::Turn(Ok(turn))) => {
                *self.turn = Some(turn);
                Ended::Postponed { by: None }
            }
            // If all time is over, the plan sees by itself.
            Some(InLine::Freed) | None => Ended::Postponed { by },
        };
        begun.ended(attempt, ended, self.layers.timer());
        Poll::Ready(())
    }

    /// Starts an attempt, or lines up for it.
    #[inline]
    fn start(&mut self, begun: &mut Begun<'a, L>, attempt: u16, deadline: Option<Instant>, now: &impl Clock) {
        let is_hedge = !self.slots.is_empty();
        if is_hedge && self.slots.is_full() {
            return begun.ended(attempt, Ended::Refused(OTHERS_FIRST), now);
        }
        if L::Turns::WAITS && !is_hedge && self.turn.is_none() {
            return self.line_up(begun, attempt, None);
        }
        match begun.admit(is_hedge, self.turn, now) {
            Ok(ticket) => {
                *self.turn = None;
                let (ticket, told) = begun.books.start(ticket, attempt, deadline, now.now());
                let operation = self.job.start(told);
                self.slots.as_mut().put(Running::new(operation, ticket, attempt));
            }
            // The first in line stays for what others give back.
            Err(rejected) if !is_hedge && self.layers.waits_for_a_release(rejected) => {
                self.line_up(begun, attempt, Some(rejected));
            }
            Err(rejected) => {
                if is_hedge {
                    *self.turn = None;
                }
                begun.ended(attempt, Ended::Refused(rejected), now);
            }
        }
    }

    fn line_up(&mut self, begun: &mut Begun<'a, L>, attempt: u16, by: Option<Rejected>) {
        begun.put_off = Some(PutOff { attempt, by });
        self.line.set(Some((self.stand)(&self.layers.layers().turns, by.is_some())));
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
            has_begun: false,
            turn: None,
            alarm: Alarm::new(&layers.timer),
        }
    }
}
