//! Waiting in line.

use core::future::Future;

use fusebox::{Clock, Outcome, Rejected, SharedGate};

/// A first-come, first-served line. Whoever has the turn asks the gates; the others wait behind. A turn has no lease: a
/// caller who keeps its future but polls it no more keeps the line; dropping it hands the turn on.
pub trait Turns {
    /// The turn; dropping it hands it on.
    type Turn<'a>
    where
        Self: 'a;

    /// Whether there is a line at all.
    const WAITS: bool = true;

    /// Waits for one's turn, in the order of the first polls.
    ///
    /// # Errors
    /// When the line has no place left.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line; those behind move up.
    fn turn(&self) -> impl Future<Output = Result<Self::Turn<'_>, Rejected>>;

    /// The turn, if it is free and nobody stands in line.
    fn try_turn(&self) -> Option<Self::Turn<'_>>;

    /// Something went back to the gates. If nobody waits for that, the next one who does is told at once.
    fn free(&self);

    /// Ends after [`free`](Turns::free). Only the one who has the turn waits for it.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what it was told, the next one is.
    fn freed(&self) -> impl Future<Output = ()>;
}

impl<W: Turns> Turns for &W {
    type Turn<'a>
        = W::Turn<'a>
    where
        Self: 'a;
    const WAITS: bool = W::WAITS;

    fn turn(&self) -> impl Future<Output = Result<Self::Turn<'_>, Rejected>> {
        (**self).turn()
    }

    fn try_turn(&self) -> Option<Self::Turn<'_>> {
        (**self).try_turn()
    }

    fn free(&self) {
        (**self).free();
    }

    fn freed(&self) -> impl Future<Output = ()> {
        (**self).freed()
    }
}

/// No line: everybody asks at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTurns;

impl Turns for NoTurns {
    type Turn<'a> = ();
    const WAITS: bool = false;

    async fn turn(&self) -> Result<(), Rejected> {
        Ok(())
    }

    fn try_turn(&self) -> Option<()> {
        Some(())
    }

    fn free(&self) {}

    /// At once: without a line nobody is told.
    async fn freed(&self) {}
}

/// A gate that tells the line whenever something comes back to it, however that happens.
#[derive(Debug)]
pub(crate) struct Freeing<'a, G, W> {
    pub(crate) gate: &'a G,
    pub(crate) turns: &'a W,
}

impl<G: SharedGate, W: Turns> SharedGate for Freeing<'_, G, W> {
    type Permit = G::Permit;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<G::Permit, Rejected> {
        self.gate.try_acquire(now)
    }

    #[inline]
    fn release(&self, permit: G::Permit, outcome: Outcome, now: impl Clock) {
        self.gate.release(permit, outcome, now);
        self.turns.free();
    }

    #[inline]
    fn cancel(&self, permit: G::Permit, now: impl Clock) {
        self.gate.cancel(permit, now);
        self.turns.free();
    }
}
