//! Where the records are.

use core::convert::Infallible;
use core::future::Future;

use fusebox::idempotency::{Begun, Fingerprint, Late, Permit};
use fusebox::{Clock, Idempotency, Instant, Lock, Rejected, Shared};

/// What [`Store::begin`] answers if the store itself did not fail.
pub type Asked<P, V> = Result<Begun<P, V>, Rejected>;

/// Whether an answer was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It was.
    Stored,
    /// It was not: the permit no longer counts, see [`Late`].
    Late,
}

/// The records of [`Idempotency`], wherever they are. The one in memory is a [`Shared`] lock around that machine; what
/// must outlive a restart, or be shared by several servers, is in a database.
///
/// A database needs one row per key, with the fingerprint, a number that grows with every permit given, the end of the
/// lease or of the time to live by the database's own clock, and the answer once there is one:
///
/// - `begin` inserts or takes over the row if there is none or its time is over, in one atomic step (a conditional
///   write, a transaction); otherwise it reads.
/// - `finish`, `renew` and `cancel` change the row only if its number is still the permit's. Without that an attempt
///   that was thought dead overwrites the answer of the one that took over.
/// - Rows whose time is over may be deleted, and no others.
///
/// `clock` is the caller's, and nobody else's. The table in memory goes by it, and reads it under its lock. A database
/// goes by its own, and needs this one only to say when a row is over: now, and what is left of the row's time.
///
/// An error means that nobody knows whether the change was made. Such a `begin` has given nobody the permit, so the key
/// is free when its lease is over. A store that can should try `finish` again by itself.
pub trait Store {
    /// The caller's key.
    type Key: ?Sized;
    /// The answer.
    type Value;
    /// See [`Permit`].
    type Permit;
    /// Why the store failed.
    type Error;

    /// See [`Idempotency::begin`].
    ///
    /// # Errors
    /// If the store failed. What it refuses is within the `Ok`.
    ///
    /// # Cancel safety
    /// If the future is dropped, the key may be in flight until its lease is over.
    fn begin(
        &self,
        key: &Self::Key,
        fingerprint: Fingerprint,
        clock: &impl Clock,
    ) -> impl Future<Output = Result<Asked<Self::Permit, Self::Value>, Self::Error>>;

    /// See [`Idempotency::finish`].
    ///
    /// # Errors
    /// If the store failed.
    ///
    /// # Cancel safety
    /// If the future is dropped, the answer is stored or not; if not, the key is free when its lease is over.
    fn finish(
        &self,
        permit: Self::Permit,
        value: &Self::Value,
        clock: &impl Clock,
    ) -> impl Future<Output = Result<Finished, Self::Error>>;

    /// See [`Idempotency::renew`].
    ///
    /// # Errors
    /// If the store failed.
    ///
    /// # Cancel safety
    /// If the future is dropped, the lease is renewed or not.
    fn renew(
        &self,
        permit: &Self::Permit,
        clock: &impl Clock,
    ) -> impl Future<Output = Result<Option<Instant>, Self::Error>>;

    /// See [`Idempotency::cancel`].
    ///
    /// # Errors
    /// If the store failed.
    ///
    /// # Cancel safety
    /// If the future is dropped, the key is free at once or when its lease is over.
    fn cancel(&self, permit: Self::Permit, clock: &impl Clock) -> impl Future<Output = Result<(), Self::Error>>;

    /// As [`cancel`](Store::cancel), from a destructor, which cannot wait: a future was dropped whose operation had no
    /// effect. Unless it is implemented, to hand the permit to a task say, the key is free when its lease is over.
    fn cancel_now(&self, permit: Self::Permit, clock: &impl Clock) {
        let _ = (permit, clock);
    }
}

impl<S: Store + ?Sized> Store for &S {
    type Key = S::Key;
    type Value = S::Value;
    type Permit = S::Permit;
    type Error = S::Error;

    fn begin(
        &self,
        key: &S::Key,
        fingerprint: Fingerprint,
        clock: &impl Clock,
    ) -> impl Future<Output = Result<Asked<S::Permit, S::Value>, S::Error>> {
        (**self).begin(key, fingerprint, clock)
    }

    fn finish(
        &self,
        permit: S::Permit,
        value: &S::Value,
        clock: &impl Clock,
    ) -> impl Future<Output = Result<Finished, S::Error>> {
        (**self).finish(permit, value, clock)
    }

    fn renew(&self, permit: &S::Permit, clock: &impl Clock) -> impl Future<Output = Result<Option<Instant>, S::Error>> {
        (**self).renew(permit, clock)
    }

    fn cancel(&self, permit: S::Permit, clock: &impl Clock) -> impl Future<Output = Result<(), S::Error>> {
        (**self).cancel(permit, clock)
    }

    fn cancel_now(&self, permit: S::Permit, clock: &impl Clock) {
        (**self).cancel_now(permit, clock);
    }
}

/// In memory. Answers are cloned: large ones go into an `Arc`. Nothing waits for anything but the lock.
impl<K: Eq + Clone, V: Clone, L, const N: usize> Store for Shared<L>
where
    L: Lock<Value = Idempotency<K, V, N>>,
{
    type Key = K;
    type Value = V;
    type Permit = Permit;
    type Error = Infallible;

    // The clock is read under the lock, so that the table never sees it step back for a race.

    async fn begin(
        &self,
        key: &K,
        fingerprint: Fingerprint,
        clock: &impl Clock,
    ) -> Result<Asked<Permit, V>, Infallible> {
        Ok(self.with(|table| table.begin(key, fingerprint, clock.now()).map(Begun::cloned)))
    }

    async fn finish(&self, permit: Permit, value: &V, clock: &impl Clock) -> Result<Finished, Infallible> {
        let value = value.clone();
        Ok(match self.with(|table| table.finish(permit, value, clock.now())) {
            Ok(()) => Finished::Stored,
            Err(Late(_)) => Finished::Late,
        })
    }

    async fn renew(&self, permit: &Permit, clock: &impl Clock) -> Result<Option<Instant>, Infallible> {
        Ok(self.with(|table| table.renew(permit, clock.now())))
    }

    async fn cancel(&self, permit: Permit, clock: &impl Clock) -> Result<(), Infallible> {
        self.cancel_now(permit, clock);
        Ok(())
    }

    fn cancel_now(&self, permit: Permit, clock: &impl Clock) {
        self.with(|table| table.cancel(permit, clock.now()));
    }
}
