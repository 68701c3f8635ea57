//! Follows a plan, one call at a time.

use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use fusebox::{Clock, Ended, Instant, Moment, Rejected, SharedBudget, SharedGate, Step, Verdict};
use pin_project_lite::pin_project;

use crate::alarm::Alarm;
use crate::begun::{Begun, OTHERS_FIRST, Phase, PutOff};
use crate::job::{Job, Work};
use crate::parts::Parts;
use crate::running::{Ran, Running};
use crate::slots::Slots;
use crate::ticket::Ticket;
use crate::within::Terms;
use crate::{Attempt, CallError, Class, Classify, Drive, Pipeline, Timer, Turns};

type Answer<J> = Result<<J as Job>::Value, <J as Job>::Error>;
type RanOf<'a, L, J> = Ran<'a, L, Answer<J>>;
type Output<J> = Result<<J as Job>::Value, CallError<<J as Job>::Error>>;

/// What the first in line waited for.
pub(crate) enum InLine<'a, W: Turns + 'a> {
    Turn(Result<W::Turn<'a>, Rejected>),
    Freed,
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
        job: J,
        // Makes `line`, whose type has no name: to wait for the turn, or for what others give back.
        stand: N,
        last: Option<Answer<J>>,
        #[pin]
        slots: <L::Policy as Drive>::Slots<Running<'a, L, J::Running>>,
        #[pin]
        line: Option<Q>,
        // Dropped in this order: those behind in line ask the gates once everything is back.
        phase: Phase<'a, L>,
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
        let (mut begun, polled) = match mem::replace(this.phase, Phase::Over) {
            Phase::New(terms) => {
                let called = this.layers.timer().now();
                let mut begun = Begun::new(*this.layers, terms, called);
                if let Some(value) = this.begin(&mut begun, called, cx) {
                    begun.closed();
                    return Poll::Ready(Ok(value));
                }
                (begun, true)
            }
            Phase::Begun(begun) => (begun, false),
            Phase::Over => return Poll::Pending,
        };
        let polled = this.go_on(&mut begun, polled, cx);
        match polled {
            Poll::Pending => *this.phase = Phase::Begun(begun),
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
    fn begin(&mut self, begun: &mut Begun<'a, L>, called: Instant, cx: &mut Context<'_>) -> Option<J::Value> {
        if L::Turns::WAITS {
            return None;
        }
        let Step::Start { attempt, deadline } = begun.next(&called) else { return None };
        let mut ticket = Ticket::none(*self.layers);
        let answer = self.start(begun, attempt, deadline, &mut ticket, &called, cx)?;
        let (class, now) = (self.job.classify(&answer), Moment::new(self.layers.timer()));
        let ended = begun.books.ended(Some(class), &mut ticket, &now);
        match (class, answer) {
            (Class::Success, Ok(value)) => {
                begun.ended(attempt, ended, &now);
                begun.books.close(Verdict::Success, &now);
                Some(value)
            }
            (_, answer) => {
                *self.last = Some(answer);
                begun.ended(attempt, ended, &now);
                None
            }
        }
    }

    /// Whatever comes, until there is something to wait for; all that is out was `polled` already, or is first: an answer
    /// that is there wins over the time it is.
    fn go_on(&mut self, begun: &mut Begun<'a, L>, polled: bool, cx: &mut Context<'_>) -> Poll<Output<J>> {
        let timer = self.layers.timer();
        let mut ran = if polled { None } else { self.poll_slots(begun, cx) };
        let mut polled = ran.is_none();
        loop {
            if let Some(ran) = ran.take() {
                self.ended(begun, ran);
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
                    let mut ticket = Ticket::none(*self.layers);
                    let answer = self.start(begun, attempt, deadline, &mut ticket, &now, cx);
                    ran = answer.map(|answer| Ran { number: attempt, answer: Some(answer), ticket });
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

    /// An attempt has ended.
    fn ended(&mut self, begun: &mut Begun<'a, L>, mut ran: RanOf<'a, L, J>) {
        let class = ran.answer.as_ref().map(|answer| self.job.classify(answer));
        let now = Moment::new(self.layers.timer());
        let ended = begun.books.ended(class, &mut ran.ticket, &now);
        if ran.answer.is_some() {
            *self.last = ran.answer;
        }
        begun.ended(ran.number, ended, &now);
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

    /// Starts an attempt, up to its first await, or lines up for it.
    #[inline]
    fn start(
        &mut self,
        begun: &mut Begun<'a, L>,
        attempt: u16,
        deadline: Option<Instant>,
        ticket: &mut Ticket<'a, L>,
        now: &impl Clock,
        cx: &mut Context<'_>,
    ) -> Option<Answer<J>> {
        let is_hedge = !self.slots.is_empty();
        if self.slots.as_mut().free().is_none() {
            begun.ended(attempt, Ended::Refused(OTHERS_FIRST), now);
        } else if L::Turns::WAITS && !is_hedge && self.turn.is_none() {
            self.line_up(begun, attempt, None);
        } else {
            match begun.admit(is_hedge, self.turn, ticket, now) {
                Ok(()) => {
                    let told = begun.books.start(ticket, attempt, deadline, now.now());
                    return self.poll_first(begun, told, ticket, cx);
                }
                Err(rejected) => self.refused(begun, is_hedge, attempt, rejected, now),
            }
        }
        None
    }

    /// The first poll of an attempt that was let in.
    #[inline]
    fn poll_first(
        &mut self,
        begun: &mut Begun<'a, L>,
        told: Attempt,
        ticket: &mut Ticket<'a, L>,
        cx: &mut Context<'_>,
    ) -> Option<Answer<J>> {
        *self.turn = None;
        let mut place = self.slots.as_mut().free()?;
        place.set(Some(Running::new(self.job.start(told), told.number)));
        let mut running = place.as_mut().as_pin_mut()?;
        if let Poll::Ready(answer) = running.as_mut().begin(cx) {
            place.set(None);
            return Some(answer);
        }
        running.keep(mem::replace(ticket, Ticket::none(*self.layers)));
        begun.books.runs(false); // otherwise the classifier still does
        None
    }

    fn refused(
        &mut self,
        begun: &mut Begun<'a, L>,
        is_hedge: bool,
        attempt: u16,
        rejected: Rejected,
        now: &impl Clock,
    ) {
        // The first in line stays for what others give back.
        if !is_hedge && self.layers.waits_for_a_release(rejected) {
            return self.line_up(begun, attempt, Some(rejected));
        }
        if is_hedge {
            *self.turn = None;
        }
        begun.ended(attempt, Ended::Refused(rejected), now);
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
            phase: Phase::New(terms),
            turn: None,
            alarm: Alarm::new(&layers.timer),
        }
    }
}
