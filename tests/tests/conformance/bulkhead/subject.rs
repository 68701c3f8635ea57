//! The machines under test: a bulkhead of either sort, with or without a line before it.

use std::time::Duration;

use fusebox::bulkhead::{BulkheadSnapshot, Class, ClassPermit, Permit};
use fusebox::wait::{self, Ticket};
use fusebox::{Bulkhead, ClassBulkhead, Gate, Instant, Outcome, Rejected, WaitQueue};

use super::config::Spec;
use crate::breaker::with_const;
use crate::fields::NotExpressible;

pub(crate) enum Held {
    One(Permit),
    Class(ClassPermit),
}

pub(crate) type Asked = wait::Asked<Held>;

/// A bulkhead for any number of classes.
trait Places {
    fn ask(&mut self, class: usize, now: Instant) -> Result<Held, Rejected>;
    /// Takes back what ran, or did not.
    fn give_back(&mut self, held: Held, ran: bool, now: Instant);
    fn snapshot(&self) -> BulkheadSnapshot;
}

impl Places for Bulkhead {
    fn ask(&mut self, _class: usize, now: Instant) -> Result<Held, Rejected> {
        self.try_acquire(now).map(Held::One)
    }
    fn give_back(&mut self, held: Held, ran: bool, now: Instant) {
        let Held::One(permit) = held else { panic!("a permit of another subject") };
        if ran { self.release(permit, Outcome::Success, now) } else { self.cancel(permit, now) }
    }
    fn snapshot(&self) -> BulkheadSnapshot {
        Self::snapshot(self)
    }
}

impl<const N: usize> Places for ClassBulkhead<N> {
    fn ask(&mut self, class: usize, now: Instant) -> Result<Held, Rejected> {
        self.try_acquire(class, now).map(Held::Class)
    }
    fn give_back(&mut self, held: Held, ran: bool, now: Instant) {
        let Held::Class(permit) = held else { panic!("a permit of another subject") };
        if ran { self.release(permit, Outcome::Success, now) } else { self.cancel(permit, now) }
    }
    fn snapshot(&self) -> BulkheadSnapshot {
        Self::snapshot(self)
    }
}

/// A line of any length.
trait Line {
    fn enter(
        &mut self,
        now: Instant,
        gate: &mut dyn FnMut(Instant) -> Result<Held, Rejected>,
    ) -> Result<Asked, Rejected>;
    fn ask(
        &mut self,
        ticket: Ticket,
        now: Instant,
        gate: &mut dyn FnMut(Instant) -> Result<Held, Rejected>,
    ) -> Result<Asked, Rejected>;
    fn leave(&mut self, ticket: Ticket) -> bool;
    fn front(&mut self, now: Instant) -> Option<Ticket>;
}

impl<const N: usize> Line for WaitQueue<N> {
    fn enter(
        &mut self,
        now: Instant,
        gate: &mut dyn FnMut(Instant) -> Result<Held, Rejected>,
    ) -> Result<Asked, Rejected> {
        Self::enter(self, None, now, gate)
    }
    fn ask(
        &mut self,
        ticket: Ticket,
        now: Instant,
        gate: &mut dyn FnMut(Instant) -> Result<Held, Rejected>,
    ) -> Result<Asked, Rejected> {
        Self::ask(self, ticket, now, gate)
    }
    fn leave(&mut self, ticket: Ticket) -> bool {
        self.cancel(ticket)
    }
    fn front(&mut self, now: Instant) -> Option<Ticket> {
        self.handle_timeout(now);
        Self::front(self)
    }
}

pub(crate) struct Subject {
    places: Box<dyn Places>,
    line: Option<Box<dyn Line>>,
}

fn places(spec: &Spec) -> Result<Box<dyn Places>, NotExpressible> {
    if spec.partitions.is_empty() {
        return Ok(Box::new(Bulkhead::new(spec.limit)));
    }
    let partitions = spec.partitions.len();
    with_const!(partitions, [1 2 3 4 5 6 7 8], N => {
        let share = |class| spec.partitions.get(class).map_or(0, |(_, permille)| *permille);
        let classes: [Class; N] = std::array::from_fn(|class| Class::new().reserve(share(class)));
        Ok(Box::new(ClassBulkhead::new(spec.limit, classes)?) as Box<dyn Places>)
    })
    .unwrap_or_else(|| Err(NotExpressible::new("config.partitions: the runner was compiled for up to eight")))
}

fn line(places: usize, max_wait: Duration) -> Result<Box<dyn Line>, NotExpressible> {
    with_const!(places, [1 2 3 4 5 6 7 8 10 12 16 20 25 32 50 64], N => {
        Ok(Box::new(WaitQueue::<N>::new(max_wait)?) as Box<dyn Line>)
    })
    .unwrap_or_else(|| Err(NotExpressible::new(format!("config.queue: the runner was not compiled for {places}"))))
}

impl Subject {
    pub(crate) fn new(spec: &Spec) -> Result<Self, NotExpressible> {
        let line = spec.line.map(|(places, max_wait)| line(places, max_wait)).transpose()?;
        Ok(Self { places: places(spec)?, line })
    }

    pub(crate) fn enter(&mut self, class: usize, now: Instant) -> Result<Asked, Rejected> {
        let places = &mut self.places;
        match &mut self.line {
            Some(line) => line.enter(now, &mut |now| places.ask(class, now)),
            None => places.ask(class, now).map(Asked::Granted),
        }
    }

    /// For who was told to wait, so there is a line.
    pub(crate) fn ask(&mut self, ticket: Ticket, class: usize, now: Instant) -> Result<Asked, Rejected> {
        let places = &mut self.places;
        self.line.as_mut().unwrap().ask(ticket, now, &mut |now| places.ask(class, now))
    }

    pub(crate) fn leave(&mut self, ticket: Ticket) -> bool {
        self.line.as_mut().is_some_and(|line| line.leave(ticket))
    }

    pub(crate) fn front(&mut self, now: Instant) -> Option<Ticket> {
        self.line.as_mut()?.front(now)
    }

    pub(crate) fn release(&mut self, held: Held, now: Instant) {
        self.places.give_back(held, true, now);
    }

    pub(crate) fn cancel(&mut self, held: Held, now: Instant) {
        self.places.give_back(held, false, now);
    }

    pub(crate) fn snapshot(&self) -> BulkheadSnapshot {
        self.places.snapshot()
    }
}
