//! An attempt that is out.

use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::parts::Parts;
use crate::slots::Runs;
use crate::ticket::Ticket;

pin_project! {
    /// An attempt that runs, and what has to go back when it ends.
    pub(crate) struct Running<'a, L: Parts, F> {
        #[pin]
        operation: F,
        ticket: Option<Ticket<'a, L>>,
        number: u16,
    }
}

impl<'a, L: Parts, F: Future> Running<'a, L, F> {
    #[inline]
    pub(crate) const fn new(operation: F, number: u16) -> Self {
        Self { operation, ticket: None, number }
    }

    /// Its first poll. Only if it has to wait is it [given](Self::keep) its ticket: most attempts do not, and what is
    /// outside is given back at once if it panics.
    #[inline]
    pub(crate) fn begin(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().operation.poll(cx)
    }

    #[inline]
    pub(crate) fn keep(self: Pin<&mut Self>, mut ticket: Ticket<'a, L>) {
        ticket.runs(false);
        *self.project().ticket = Some(ticket);
    }
}

/// Gives back at once what a panic would leave in the future.
struct Unwinding<'t, 'a, L: Parts>(&'t mut Option<Ticket<'a, L>>);

impl<L: Parts> Drop for Unwinding<'_, '_, L> {
    fn drop(&mut self) {
        *self.0 = None;
    }
}

impl<'a, L: Parts, F: Future> Runs for Running<'a, L, F> {
    type Ran = RanOf<'a, L, F>;
    type Rest = Ticket<'a, L>;

    fn number(&self) -> u16 {
        self.number
    }

    /// A panic of the operation is a failure; a drop between two polls is nobody's fault.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Ran>> {
        let this = self.project();
        let Some(ticket) = this.ticket else { return Poll::Ready(None) };
        ticket.runs(true);
        let unwinding = Unwinding(this.ticket);
        let polled = this.operation.poll(cx);
        mem::forget(unwinding);
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

type RanOf<'a, L, F> = Ran<'a, L, <F as Future>::Output>;

/// An attempt that ended; without an answer, because its time was over.
pub(crate) struct Ran<'a, L: Parts, A> {
    pub(crate) number: u16,
    pub(crate) answer: Option<A>,
    pub(crate) ticket: Ticket<'a, L>,
}
