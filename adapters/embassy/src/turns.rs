//! A line of fixed length.

use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::signal::Signal;
use fusebox::{Reason, Rejected};
use fusebox_drive::Turns;

/// A line strictly first come, first served, with places for `N` that wait; the one whose turn it is takes none of
/// them. Whoever finds it full is refused at once with [`Reason::QueueFull`].
///
/// Stored inline: three words a place, no allocation. It takes its own list of wakers instead of embassy-sync's
/// `FairSemaphore`, which (0.8.0) wakes nobody when the first in line leaves just after it was woken, as it does when
/// its deadline strikes: the line then stands still although the turn is free.
pub struct FairTurns<M: RawMutex, const N: usize> {
    line: Mutex<M, RefCell<Line<N>>>,
    freed: Signal<M, ()>,
}

impl<M: RawMutex, const N: usize> FairTurns<M, N> {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self { line: Mutex::new(RefCell::new(Line::new())), freed: Signal::new() }
    }

    /// Runs `f` on the line and wakes whom it names, after the lock is free again.
    fn with<R>(&self, f: impl FnOnce(&mut Line<N>) -> (R, Option<Waker>)) -> R {
        let (answer, next) = self.line.lock(|line| f(&mut line.borrow_mut()));
        if let Some(next) = next {
            next.wake();
        }
        answer
    }
}

impl<M: RawMutex, const N: usize> fmt::Debug for FairTurns<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairTurns").finish_non_exhaustive()
    }
}

impl<M: RawMutex, const N: usize> Default for FairTurns<M, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: RawMutex, const N: usize> Turns for FairTurns<M, N> {
    type Turn<'a>
        = Turn<'a, M, N>
    where
        M: 'a;

    fn turn(&self) -> impl Future<Output = Result<Turn<'_, M, N>, Rejected>> {
        InLine { turns: self, ticket: None }
    }

    fn try_turn(&self) -> Option<Turn<'_, M, N>> {
        self.with(|line| (line.try_take(), None)).then(|| Turn(self))
    }

    fn free(&self) {
        self.freed.signal(());
    }

    fn freed(&self) -> impl Future<Output = ()> {
        self.freed.wait()
    }
}

/// The turn in a [`FairTurns`]; dropping it hands it on.
#[derive(Debug)]
#[must_use = "dropping the turn hands it on at once"]
pub struct Turn<'a, M: RawMutex, const N: usize>(&'a FairTurns<M, N>);

impl<M: RawMutex, const N: usize> Drop for Turn<'_, M, N> {
    fn drop(&mut self) {
        self.0.with(|line| {
            line.taken = false;
            ((), line.next_up())
        });
    }
}

/// Waits for the turn; holds a place from its first poll on.
struct InLine<'a, M: RawMutex, const N: usize> {
    turns: &'a FairTurns<M, N>,
    ticket: Option<u32>,
}

impl<'a, M: RawMutex, const N: usize> Future for InLine<'a, M, N> {
    type Output = Result<Turn<'a, M, N>, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.ticket;
        match self.turns.with(|line| (line.ask(ticket, cx.waker()), None)) {
            Asked::Granted => {
                self.ticket = None;
                Poll::Ready(Ok(Turn(self.turns)))
            }
            Asked::Wait(ticket) => {
                self.ticket = Some(ticket);
                Poll::Pending
            }
            Asked::Full => Poll::Ready(Err(Rejected { reason: Reason::QueueFull, retry_at: None })),
        }
    }
}

impl<M: RawMutex, const N: usize> Drop for InLine<'_, M, N> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.turns.with(|line| {
                line.leave(ticket);
                // If it had been woken for the turn, the next one must be.
                ((), line.next_up())
            });
        }
    }
}

enum Asked {
    Granted,
    Wait(u32),
    Full,
}

#[derive(Debug)]
struct Place {
    ticket: u32,
    waker: Waker,
}

/// The places from the front on, without gaps.
#[derive(Debug)]
struct Line<const N: usize> {
    taken: bool,
    last_ticket: u32,
    places: [Option<Place>; N],
}

impl<const N: usize> Line<N> {
    const fn new() -> Self {
        Self { taken: false, last_ticket: 0, places: [const { None }; N] }
    }

    fn front(&self) -> Option<&Place> {
        self.places.first()?.as_ref()
    }

    fn ask(&mut self, ticket: Option<u32>, waker: &Waker) -> Asked {
        if !self.taken && self.front().map(|place| place.ticket) == ticket {
            if let Some(ticket) = ticket {
                self.leave(ticket);
            }
            self.taken = true;
            return Asked::Granted;
        }
        let held = self.places.iter_mut().flatten().find(|place| Some(place.ticket) == ticket);
        if let Some(place) = held {
            place.waker.clone_from(waker);
            return Asked::Wait(place.ticket);
        }
        let Some(free) = self.places.iter_mut().find(|place| place.is_none()) else { return Asked::Full };
        self.last_ticket = self.last_ticket.wrapping_add(1);
        *free = Some(Place { ticket: self.last_ticket, waker: waker.clone() });
        Asked::Wait(self.last_ticket)
    }

    fn try_take(&mut self) -> bool {
        let is_free = !self.taken && self.front().is_none();
        self.taken |= is_free;
        is_free
    }

    fn leave(&mut self, ticket: u32) {
        let at = self.places.iter().position(|place| place.as_ref().is_some_and(|place| place.ticket == ticket));
        if let Some(behind) = at.and_then(|at| self.places.get_mut(at..)) {
            if let Some(place) = behind.first_mut() {
                *place = None;
            }
            // Those behind move up.
            behind.rotate_left(1);
        }
    }

    /// Who is to be woken: the first in line, if the turn is free.
    fn next_up(&self) -> Option<Waker> {
        if self.taken { None } else { self.front().map(|place| place.waker.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_takes_three_words() {
        assert_eq!(size_of::<Option<Place>>(), 3 * size_of::<usize>());
    }
}
