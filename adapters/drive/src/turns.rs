//! Waiting in line.

use core::future::Future;

use fusebox::Rejected;

/// A first-come, first-served line. Whoever has the turn asks the gates; the others wait behind.
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
}
