//! Waiting, for servers: lines, bells and wake-ups of any length, over tokio's `sync` module, which needs no runtime.

use core::future::Future;

use fusebox::{Reason, Rejected};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::idempotent::Wakes;
use crate::{Bell, Turns};

/// A line of any length, strictly first come, first served: a fair semaphore with one permit.
#[derive(Debug)]
pub struct FairTurns {
    line: Semaphore,
    freed: Notify,
}

impl FairTurns {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self { line: Semaphore::const_new(1), freed: Notify::const_new() }
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
        // The semaphore is never closed.
        self.line.acquire().await.map_err(|_| Rejected { reason: Reason::QueueFull, retry_at: None })
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
