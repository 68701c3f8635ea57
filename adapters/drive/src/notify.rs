//! Waiting, for servers: lines, bells and wake-ups of any length, over tokio's `sync` module, which needs no runtime.

use core::future::Future;

use fusebox::{Reason, Rejected};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::idempotent::Wakes;
use crate::{Bell, Turns};

/// A line strictly first come, first served: a fair semaphore with one permit. Of any length, or
/// [bounded](FairTurns::bounded).
#[derive(Debug)]
pub struct FairTurns {
    line: Semaphore,
    places: Semaphore,
    freed: Notify,
}

impl FairTurns {
    /// An empty line. Deadlines alone bound it.
    #[must_use]
    pub const fn new() -> Self {
        Self::bounded(Semaphore::MAX_PERMITS)
    }

    /// An empty line in which at most `places` wait; the one whose turn it is takes none of them. Whoever finds it full
    /// is refused at once with [`Reason::QueueFull`]. With no places nobody waits for the turn.
    #[must_use]
    pub const fn bounded(places: usize) -> Self {
        let places = if places < Semaphore::MAX_PERMITS { places } else { Semaphore::MAX_PERMITS };
        Self { line: Semaphore::const_new(1), places: Semaphore::const_new(places), freed: Notify::const_new() }
    }
}

impl Default for FairTurns {
    fn default() -> Self {
        Self::new()
    }
}

impl Turns for FairTurns {
    type Turn<'a> = SemaphorePermit<'a>;

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Rejected> {
        const FULL: Rejected = Rejected { reason: Reason::QueueFull, retry_at: None };
        if let Some(turn) = self.try_turn() {
            return Ok(turn);
        }
        let _place = self.places.try_acquire().map_err(|_| FULL)?;
        // The semaphore is never closed.
        self.line.acquire().await.map_err(|_| FULL)
    }

    fn try_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.line.try_acquire().ok()
    }

    fn free(&self) {
        self.freed.notify_one();
    }

    async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// Wakes any number of those who drain a queue, one for each ring.
#[derive(Debug, Default)]
pub struct NotifyBell(Notify);

impl Bell for NotifyBell {
    fn ring(&self) {
        self.0.notify_one();
    }

    async fn heard(&self) {
        self.0.notified().await;
    }
}

/// Wakes any number of those who wait for an answer.
#[derive(Debug, Default)]
pub struct NotifyWakes(Notify);

impl NotifyWakes {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self(Notify::const_new())
    }
}

impl Wakes for NotifyWakes {
    fn wake_all(&self) {
        self.0.notify_waiters();
    }

    fn woken(&self) -> impl Future<Output = Result<(), Rejected>> {
        let notified = self.0.notified(); // hears from here on, polled or not
        async move {
            notified.await;
            Ok(())
        }
    }
}
