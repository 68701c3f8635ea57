//! Calls that have one effect however often they are asked for: [`Idempotency`](fusebox::Idempotency), or a database
//! with the same records, with waiting.
//!
//! # Why
//! The machine says who may run; somebody has to run it, keep the answer, and let those wait who ask meanwhile. The hard
//! part is what becomes of a key whose runner went away: freed too early, the effect is there twice; never, the caller is
//! locked out. [`Idempotent`] does this once for all runtimes and all [`Store`]s.
//!
//! # State picture
//! ```text
//!   call --> begin --> Run: the operation --> Ok: finish ----------> Answer: Ran, Late or Unstored
//!     ^        |                         +--> Err: cancel, or hold -> IdempotentError::Operation
//!     |        +-----> stored -------------------------------------> Answer: Stored or Shared
//!     |        +-----> in flight: wait, until woken, or the lease is over, or the next poll
//!     |                  |       +---> deadline: IdempotentError::Refused, KeyInFlight
//!     |                  |
//!     +------------------+-----> conflict, full: IdempotentError::Refused
//! ```
//!
//! # Contract
//! - Of all who ask at once, one runs. The others wait, and get its answer; if it fails, one of them is the next to run,
//!   with its own operation.
//! - An operation that returned `Ok` is done: its answer is stored, and its caller gets it even if it could not be. What
//!   is to be answered alike the next time too, a refusal for instance, goes into the `Ok`.
//! - An operation that returned an error had no effect, unless the caller says otherwise ([`Idempotent::call_with`]):
//!   its key is free at once.
//! - An operation that was dropped half-way, or panicked, may have had its effect: its key is held until the lease is
//!   over ([`Unfinished::Hold`]). That is the default because the other mistake cannot be undone: who waits too long has
//!   lost time, and who runs too early pays twice.
//! - If the store fails before it has said that this one may run, the operation does not run
//!   ([`IdempotentError::Store`]).
//!
//! # Defaults
//! Waits for as long as others run; leases see to it that this ends. Leases are not renewed.
//!
//! # Example
//! Each adapter has one, at its `idempotent` function. Around a [`Pipeline`](crate::Pipeline) rather than in its
//! attempts: then all attempts are under one permit, and the last error decides. One that timed out may have had its
//! effect, so hold its key.
//!
//! # When not
//! Without keys from the caller: two requests that look alike may both be meant.

mod error;
mod renewal;
mod running;
mod store;
mod wakes;

pub use error::{Answer, Called, IdempotentError, Origin};
pub use renewal::Renewal;
pub use store::{Asked, Finished, Store};
pub use wakes::{NoWakes, Wakes};

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;

use fusebox::idempotency::{Begun, Fingerprint};
use fusebox::{Backoff, Entropy, Instant, Reason, Rejected, Schedule, nanos};
use running::Running;

use crate::Timer;
use crate::alarm::Alarm;

/// What becomes of a key whose operation has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// It stays in flight until its lease is over: nobody knows whether the operation had its effect.
    Hold,
    /// It is free at once: the operation is sure to have had no effect.
    Free,
}

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a, K: ?Sized> {
    /// The caller's key.
    pub key: &'a K,
    /// Of what it stands for.
    pub fingerprint: Fingerprint,
    /// Until when to wait for somebody else who runs, at the latest. `None`: as [`Idempotent::with_max_wait`] says.
    pub deadline: Option<Instant>,
}

impl<'a, K: ?Sized> Request<'a, K> {
    /// Without a deadline of its own.
    pub const fn new(key: &'a K, fingerprint: Fingerprint) -> Self {
        Self { key, fingerprint, deadline: None }
    }

    /// The same, and waits no longer than `deadline`. The operation itself is not bounded by it.
    #[must_use]
    pub const fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }
}

/// Runs each operation once per key of its store, and answers alike whoever asks again: see the [module](self).
#[derive(Debug)]
pub struct Idempotent<T, S, W> {
    timer: T,
    store: S,
    wakes: W,
    max_wait: Option<u64>,
    on_drop: Unfinished,
    renewal: Option<Renewal>,
    polling: Option<(Backoff, Entropy)>,
}

impl<T, S, W> Idempotent<T, S, W> {
    /// With the records of `store`, which nobody finishes but through this value: who waits is woken by `wakes`.
    pub const fn new(timer: T, store: S, wakes: W) -> Self {
        Self { timer, store, wakes, max_wait: None, on_drop: Unfinished::Hold, renewal: None, polling: None }
    }

    /// As [`new`](Self::new), for records that others finish too, in other processes: who waits also asks again after
    /// each delay of `backoff`. Give it jitter.
    #[must_use]
    pub const fn with_polling(mut self, backoff: Backoff, entropy: Entropy) -> Self {
        self.polling = Some((backoff, entropy));
        self
    }

    /// Wait no longer than this for somebody else who runs. Zero: not at all, as the drafted HTTP header has it (409).
    #[must_use]
    pub const fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = Some(nanos(max_wait));
        self
    }

    /// What becomes of the key when the future of a call is dropped while its operation runs, or the operation panics.
    /// Default: [`Unfinished::Hold`]. Choose `Free` only for operations that have no effect before they are done.
    #[must_use]
    pub const fn with_on_drop(mut self, on_drop: Unfinished) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Renew the lease while an operation runs.
    #[must_use]
    pub const fn with_renewal(mut self, renewal: Renewal) -> Self {
        self.renewal = Some(renewal);
        self
    }

    /// The timer whose clock the deadlines are of.
    pub const fn timer(&self) -> &T {
        &self.timer
    }

    /// The store: to read a snapshot, say.
    pub const fn store(&self) -> &S {
        &self.store
    }
}

impl<T, S> Idempotent<T, S, NoWakes> {
    /// With the records of a `store` that others finish too, and where nobody is told: who waits asks again after each
    /// delay of `backoff`. Give it jitter.
    pub const fn polling(timer: T, store: S, backoff: Backoff, entropy: Entropy) -> Self {
        Self::new(timer, store, NoWakes).with_polling(backoff, entropy)
    }
}

enum Entered<'a, T: Timer, S: Store, W: Wakes> {
    Run(Running<'a, T, S, W>),
    Answered(Answer<S::Value, S::Error>),
}

impl<T: Timer, S: Store, W: Wakes> Idempotent<T, S, W> {
    /// The answer of `operation`, which runs unless it has run for this `key` before. An error frees the key at once.
    ///
    /// # Errors
    /// [`IdempotentError`] tells a refusal, a failed store and a failed operation apart.
    ///
    /// # Cancel safety
    /// As [`call_with`](Self::call_with).
    pub fn call<E, F>(
        &self,
        key: &S::Key,
        fingerprint: Fingerprint,
        operation: impl FnOnce() -> F,
    ) -> impl Future<Output = Called<S, E>>
    where
        F: Future<Output = Result<S::Value, E>>,
    {
        self.call_with(Request::new(key, fingerprint), |_| Unfinished::Free, operation)
    }

    /// The answer of `operation`, which runs unless it has run for this key before. `judge` says what becomes of the key
    /// after an error: [`Unfinished::Hold`] for those after which the effect may be there, such as a timeout.
    ///
    /// # Errors
    /// [`IdempotentError`] tells a refusal, a failed store and a failed operation apart.
    ///
    /// # Cancel safety
    /// May be dropped at any await. While it waits, nothing is held. While the operation runs, that is dropped, and the
    /// key is held until its lease is over, or free at once: see [`with_on_drop`](Self::with_on_drop). While the store
    /// is asked, or told the answer, it depends on the store whether that came through; if not, the lease ends it.
    pub async fn call_with<E, F>(
        &self,
        request: Request<'_, S::Key>,
        judge: impl FnOnce(&E) -> Unfinished,
        operation: impl FnOnce() -> F,
    ) -> Called<S, E>
    where
        F: Future<Output = Result<S::Value, E>>,
    {
        let running = match self.enter(request).await? {
            Entered::Run(running) => running,
            Entered::Answered(answer) => return Ok(answer),
        };
        let answer = {
            let operation = pin!(operation()); // here, as a future in a future would hold it twice
            running.attend(operation).await
        };
        running.end(answer, judge).await
    }

    /// Waits until it may run, or there is an answer.
    async fn enter<E>(
        &self,
        request: Request<'_, S::Key>,
    ) -> Result<Entered<'_, T, S, W>, IdempotentError<E, S::Error>> {
        let Request { key, fingerprint, deadline } = request;
        let longest = self.max_wait.map(|max_wait| self.timer.now().after(max_wait));
        let deadline = soonest([deadline, longest]);
        let (mut alarm, mut schedule) = (pin!(Alarm::new(&self.timer)), Schedule::new());
        let mut origin = Origin::Stored;
        loop {
            // What happens from here on is heard of.
            let woken = pin!(self.wakes.woken());
            let asked = self.store.begin(key, fingerprint, &self.timer).await;
            let rejected = match asked.map_err(IdempotentError::Store)? {
                Ok(Begun::Run(permit)) => return Ok(Entered::Run(Running::new(self, permit))),
                Ok(Begun::Stored(value)) => return Ok(Entered::Answered(Answer { value, origin })),
                Err(rejected) => rejected,
            };
            let is_over = deadline.is_some_and(|deadline| self.timer.now() >= deadline);
            if rejected.reason != Reason::KeyInFlight || is_over {
                return Err(IdempotentError::Refused(rejected));
            }
            origin = Origin::Shared;
            let until = soonest([rejected.retry_at, deadline, self.next_poll(&mut schedule)]);
            let rested = rest(alarm.as_mut(), until, woken).await;
            rested.map_err(|full| IdempotentError::Refused(Rejected { retry_at: rejected.retry_at, ..full }))?;
        }
    }

    fn next_poll(&self, schedule: &mut Schedule) -> Option<Instant> {
        let (backoff, entropy) = self.polling.as_ref()?;
        Some(self.timer.now().after(backoff.next(schedule, entropy.draw())))
    }
}

fn soonest<const N: usize>(instants: [Option<Instant>; N]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}

/// Waits to be woken, or for one sleep towards `until`.
async fn rest<T: Timer>(
    mut alarm: Pin<&mut Alarm<'_, T>>,
    until: Option<Instant>,
    mut woken: Pin<&mut impl Future<Output = Result<(), Rejected>>>,
) -> Result<(), Rejected> {
    poll_fn(|cx| match (woken.as_mut().poll(cx), until) {
        (Poll::Pending, Some(until)) => alarm.as_mut().poll_sleep(until, cx).map(Ok),
        (poll, _) => poll,
    })
    .await
}
