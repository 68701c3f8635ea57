//! Making injected faults happen.

use core::future::{Future, pending};

use fusebox::fault::{End, Faults};
use fusebox::{Clock, Instant, Lock, Shared};

use crate::blocking::BlockingTimer;
use crate::{Timer, sleep_until};

/// A callee made worse: [`Faults`] around any operation.
#[derive(Debug)]
pub struct Faulty<T, L> {
    timer: T,
    faults: Shared<L>,
}

impl<T, L> Faulty<T, L> {
    /// The faults in `lock`, at the time of `timer`.
    pub const fn new(timer: T, lock: L) -> Self {
        Self { timer, faults: Shared::new(lock) }
    }

    /// The faults: to read a snapshot, or change them.
    pub const fn faults(&self) -> &Shared<L> {
        &self.faults
    }
}

impl<T: Clock, L: Lock<Value = Faults<OUTAGES>>, const OUTAGES: usize> Faulty<T, L> {
    /// Runs `operation` after the latency there is; or ends with `error()` after it, or never, and `operation` is not run.
    ///
    /// # Errors
    /// The operation's, and `error()`.
    ///
    /// # Cancel safety
    /// Dropping it drops `operation`; nothing else is held. The call has its number from the first poll.
    pub async fn call<V, E>(
        &self,
        operation: impl Future<Output = Result<V, E>>,
        error: impl FnOnce() -> E,
    ) -> Result<V, E>
    where
        T: Timer,
    {
        let fault = self.faults.with(|faults| faults.next(self.timer.now()));
        match fault.end {
            End::Hang => return pending().await,
            End::Answer | End::Error => sleep_until(&self.timer, fault.at).await,
        }
        if fault.end == End::Error { Err(error()) } else { operation.await }
    }

    /// The same for code that blocks, like a driver with a timeout of its own: whatever is not over at `deadline` ends
    /// then, with `error()`.
    ///
    /// # Errors
    /// The operation's, and `error()`.
    pub fn call_blocking<V, E>(
        &self,
        deadline: Instant,
        operation: impl FnOnce() -> Result<V, E>,
        error: impl FnOnce() -> E,
    ) -> Result<V, E>
    where
        T: BlockingTimer,
    {
        let fault = self.faults.with(|faults| faults.next(self.timer.now()));
        let until = fault.at.min(deadline);
        while self.timer.now() < until {
            self.timer.wait(until.saturating_since(self.timer.now()));
        }
        if fault.end == End::Answer && fault.at <= deadline { operation() } else { Err(error()) }
    }
}
