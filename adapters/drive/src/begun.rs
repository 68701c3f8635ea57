//! A call that has begun: its plan and its books.

use core::mem;

use fusebox::{Clock, Ended, Instant, Plan, Policy, Reason, Rejected, Step};

use crate::Turns;
use crate::books::Books;
use crate::parts::Parts;
use crate::ticket::Ticket;
use crate::within::Terms;

pub(crate) const OTHERS_FIRST: Rejected = Rejected { reason: Reason::OthersFirst, retry_at: None };

/// How far a call is.
pub(crate) enum Phase<'a, L: Parts> {
    New(Terms),
    Begun(Begun<'a, L>),
    /// It has had its answer, or a panic came through.
    Over,
}

/// An attempt that has not started, whatever the plan believes.
#[derive(Clone, Copy)]
pub(crate) struct PutOff {
    pub(crate) attempt: u16,
    /// The refusal that it waits out; without one, it waits for its turn.
    pub(crate) by: Option<Rejected>,
}

/// The plan of a call that has begun, which is told when the call is dropped, and its books.
pub(crate) struct Begun<'a, L: Parts> {
    plan: <L::Policy as Policy>::Plan<'a>,
    pub(crate) put_off: Option<PutOff>,
    pub(crate) books: Books<'a, L>,
}

impl<'a, L: Parts> Begun<'a, L> {
    #[inline]
    pub(crate) fn new(layers: &'a L, terms: Terms, called: Instant) -> Self {
        let plan = layers.layers().policy.plan(terms.call(called));
        Self { plan, put_off: None, books: Books::new(layers, called, terms.counted) }
    }

    #[inline]
    pub(crate) fn next(&mut self, now: &impl Clock) -> Step {
        self.plan.next_if_paid(now, |after| self.books.pay(after))
    }

    /// Asks the gates. A hedge never waits, and never takes a place from those who do.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        is_hedge: bool,
        turn: &mut Option<<L::Turns as Turns>::Turn<'a>>,
        ticket: &mut Ticket<'a, L>,
        now: &impl Clock,
    ) -> Result<(), Rejected> {
        if is_hedge {
            *turn = self.books.turns().try_turn();
            if turn.is_none() {
                return Err(OTHERS_FIRST);
            }
        }
        self.books.admit(ticket, now)
    }

    /// When what it waits for in line is of no more use.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        let retry_at = self.put_off.and_then(|put_off| put_off.by?.retry_at);
        [retry_at, self.plan.deadline()].into_iter().flatten().min()
    }

    #[inline]
    pub(crate) fn ended(&mut self, attempt: u16, ended: Ended, now: &impl Clock) {
        self.put_off = None;
        self.books.feed(&mut self.plan, ended);
        self.plan.ended_if_paid(attempt, ended, now, |after| self.books.pay(after));
    }

    /// Its books are closed, and nothing is put off: to look for what is still to be given back would be for nothing.
    #[inline]
    pub(crate) fn closed(self) {
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
