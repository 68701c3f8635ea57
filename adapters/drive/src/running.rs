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

impl<'a, L: Parts, F> Running<'a, L, F> {
    #[inline]
    pub(crate) const fn new(operation: F, ticket: Ticket<'a, L>, number: u16) -> Self {
        Self { operation, ticket: Some(ticket), number }
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
    type Ran = Ran<'a, L, F::Output>;
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

/// An attempt that ended; without an answer, because its time was over.
pub(crate) struct Ran<'a, L: Parts, A> {
    pub(crate) number: u16,
    pub(crate) answer: Option<A>,
    pub(crate) ticket: Ticket<'a, L>,
}
