//! Waking those who wait for an answer.

use core::future::{Future, pending};

use fusebox::Rejected;

/// A way to wake all who wait.
pub trait Wakes {
    /// Wakes all who wait. Must not block.
    fn wake_all(&self);

    /// Ends after a [`wake_all`](Wakes::wake_all) that came after this call: not after the first poll, so nothing that
    /// happens in between is missed. It may end early.
    ///
    /// # Errors
    /// When there is no place to wait.
    ///
    /// # Cancel safety
    /// Dropping the future frees its place.
    fn woken(&self) -> impl Future<Output = Result<(), Rejected>>;
}

impl<W: Wakes + ?Sized> Wakes for &W {
    fn wake_all(&self) {
        (**self).wake_all();
    }

    fn woken(&self) -> impl Future<Output = Result<(), Rejected>> {
        (**self).woken()
    }
}

/// Nobody is told: who waits asks again by the clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWakes;

impl Wakes for NoWakes {
    fn wake_all(&self) {}

    fn woken(&self) -> impl Future<Output = Result<(), Rejected>> {
        pending()
    }
}
