//! A device behind a gate.

use core::fmt;

use fusebox::{Clock, Guard, Outcome, Rejected, SharedGate};

/// What an error of a device says about it. Any `Fn(&E) -> Outcome` is one.
pub trait Judge<E> {
    /// What `error` is to be reported as.
    fn judge(&self, error: &E) -> Outcome;
}

impl<E, F: Fn(&E) -> Outcome> Judge<E> for F {
    fn judge(&self, error: &E) -> Outcome {
        self(error)
    }
}

/// A device, or a bus, behind a gate: it implements the traits that the device does, blocking and async, of
/// embedded-hal's `I2c` and `SpiDevice` and embedded-io's `Read` and `Write`. Each operation asks the gate first and
/// reports how it ended.
///
/// The gate is anything that is shared: a breaker, a recovery ladder, a bucket, tuples of them. A bus of several devices
/// wants one for each of them, so that a dead one does not cut off the others.
///
/// Nothing here retries or waits, so nothing happens twice. A transaction is one operation; embedded-io's `write_all` is as
/// many as it takes.
///
/// # Cancel safety
/// An operation that is dropped is dropped in the device, which may leave a bus in the middle of a byte. To the gate it
/// says nothing, or that the device failed: see [`dropped_is_failure`](Guarded::dropped_is_failure).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Guarded<D, G, C, J> {
    device: D,
    gate: G,
    clock: C,
    judge: J,
    on_drop: Outcome,
}

impl<D, G, C, J> Guarded<D, G, C, J> {
    /// `device` behind `gate`, at the time of `clock`; `judge` says which errors count.
    pub const fn new(device: D, gate: G, clock: C, judge: J) -> Self {
        Self { device, gate, clock, judge, on_drop: Outcome::Ignored }
    }

    /// An operation that is dropped half-way has failed: for where only a timeout drops one. Default: it says nothing.
    #[must_use]
    pub const fn dropped_is_failure(mut self) -> Self {
        self.on_drop = Outcome::Failure;
        self
    }

    /// The gate: to read a snapshot, take an event.
    pub const fn gate(&self) -> &G {
        &self.gate
    }

    /// The device, past the gate: to clear a bus, or initialise it anew.
    pub const fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// The device, for good.
    pub fn into_device(self) -> D {
        self.device
    }
}

impl<D, G: SharedGate, C: Clock, J> Guarded<D, G, C, J> {
    /// One operation that blocks.
    pub(crate) fn run<V, E>(&mut self, operation: impl FnOnce(&mut D) -> Result<V, E>) -> Result<V, GuardedError<E>>
    where
        J: Judge<E>,
    {
        let guard = Guard::try_acquire(&self.gate, &self.clock).map_err(GuardedError::Refused)?;
        let answer = operation(&mut self.device);
        guard.release(outcome(&answer, &self.judge));
        answer.map_err(GuardedError::Device)
    }

    /// One operation that does not.
    pub(crate) async fn attend<V, E>(
        &mut self,
        operation: impl AsyncFnOnce(&mut D) -> Result<V, E>,
    ) -> Result<V, GuardedError<E>>
    where
        J: Judge<E>,
    {
        let mut guard = Guard::try_acquire(&self.gate, &self.clock).map_err(GuardedError::Refused)?;
        guard.on_drop(self.on_drop);
        let answer = operation(&mut self.device).await;
        guard.release(outcome(&answer, &self.judge));
        answer.map_err(GuardedError::Device)
    }
}

fn outcome<V, E>(answer: &Result<V, E>, judge: &impl Judge<E>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Success,
        Err(error) => judge.judge(error),
    }
}

/// What a guarded device says when it does not do what it was asked to. As an error of embedded-hal or embedded-io it is of
/// the device's own kind, and `Other` when the gate refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GuardedError<E> {
    /// The gate let nothing through; the device was not touched.
    Refused(Rejected),
    /// The device failed.
    Device(E),
}

impl<E: fmt::Display> fmt::Display for GuardedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(rejected) => write!(f, "refused by {rejected}"),
            Self::Device(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for GuardedError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused(rejected) => Some(rejected),
            Self::Device(error) => error.source(),
        }
    }
}
