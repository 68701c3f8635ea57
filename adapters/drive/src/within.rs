//! Calls with terms of their own.

use core::fmt;
use core::future::Future;
use core::time::Duration;

use fusebox::{Call, Clock, Instant, RetryPolicy, SharedBudget, SharedGate};

use crate::blocking::BlockingTimer;
use crate::{Attempt, CallError, Classify, Drive, Errors, NoTurns, Pipeline, Timer, Turns};

/// What holds for one call beside the pipeline's policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// When it is over at the latest.
    pub(crate) deadline: Option<Instant>,
    /// Whether it is no news to a retry budget.
    pub(crate) counted: bool,
    pub(crate) is_idempotent: bool,
}

impl Terms {
    pub(crate) const NONE: Self = Self { deadline: None, counted: false, is_idempotent: true };

    /// Its entropy is drawn when it is needed.
    #[inline]
    pub(crate) const fn call(self, started: Instant) -> Call {
        Call { started, entropy: 0, deadline: self.deadline, is_idempotent: self.is_idempotent }
    }
}

/// A pipeline, for a call with terms of its own: see [`Pipeline::within`], [`Pipeline::until`] and
/// [`Pipeline::not_idempotent`].
#[must_use = "nothing is called yet"]
pub struct Within<'p, T, G, W, B, P, C> {
    pipeline: &'p Pipeline<T, G, W, B, P, C>,
    terms: Terms,
}

impl<T, G, W, B, P, C> fmt::Debug for Within<'_, T, G, W, B, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl<T: Clock, G, W, B, P, C> Pipeline<T, G, W, B, P, C> {
    /// This pipeline, used in an attempt of an outer one, whose timer is `clock`.
    ///
    /// Of the attempt's deadline and the policy's own, the nearer one holds. At that instant this pipeline ends first, so
    /// what the operation makes of its error, a fallback say, is still the attempt's answer.
    ///
    /// If both share a retry budget, a call pays in once, and every further call to the callee is paid for once, by the
    /// pipeline that makes it: what starts within `outer` is counted already, so it does not pay in again, and a retry of
    /// the outer pipeline is not taken for a new call. Retries of its own are further calls to the callee, and paid for.
    pub fn within(&self, outer: Attempt, clock: &impl Clock) -> Within<'_, T, G, W, B, P, C> {
        let within = Within { pipeline: self, terms: Terms { counted: outer.counted, ..Terms::NONE } };
        match outer.remaining(clock) {
            Some(remaining) => within.for_at_most(remaining),
            None => within,
        }
    }

    /// This pipeline, for a call that is over at `deadline` (of this pipeline's timer) at the latest.
    pub const fn until(&self, deadline: Instant) -> Within<'_, T, G, W, B, P, C> {
        Within { pipeline: self, terms: Terms { deadline: Some(deadline), ..Terms::NONE } }
    }

    /// This pipeline, for a call that is over in `duration` from now at the latest: what the caller's caller has left.
    pub fn for_at_most(&self, duration: Duration) -> Within<'_, T, G, W, B, P, C> {
        self.until(self.timer().now().saturating_add(duration))
    }

    /// This pipeline, for an operation that must not have its effect twice: it is tried again only if it was not sent.
    pub const fn not_idempotent(&self) -> Within<'_, T, G, W, B, P, C> {
        Within { pipeline: self, terms: Terms { is_idempotent: false, ..Terms::NONE } }
    }
}

impl<T: Clock, G, W, B, P, C> Within<'_, T, G, W, B, P, C> {
    /// See [`Pipeline::until`]. Of two deadlines the nearer one holds.
    pub fn until(mut self, deadline: Instant) -> Self {
        self.terms.deadline = Some(self.terms.deadline.map_or(deadline, |nearer| nearer.min(deadline)));
        self
    }

    /// See [`Pipeline::for_at_most`].
    pub fn for_at_most(self, duration: Duration) -> Self {
        let deadline = self.pipeline.timer().now().saturating_add(duration);
        self.until(deadline)
    }

    /// See [`Pipeline::not_idempotent`].
    pub const fn not_idempotent(mut self) -> Self {
        self.terms.is_idempotent = false;
        self
    }
}

impl<'p, T: Timer, G: SharedGate, W: Turns, B: SharedBudget, P: Drive, C: SharedGate> Within<'p, T, G, W, B, P, C> {
    /// See [`Pipeline::call`].
    ///
    /// # Errors
    /// See [`Pipeline::call`].
    ///
    /// # Cancel safety
    /// As [`Pipeline::call_with`].
    pub fn call<V, E, F, O>(
        self,
        operation: O,
    ) -> impl Future<Output = Result<V, CallError<E>>> + use<'p, V, E, F, O, T, G, W, B, P, C>
    where
        F: Future<Output = Result<V, E>>,
        O: FnMut(Attempt) -> F,
    {
        self.pipeline.run(self.terms, Errors, operation)
    }

    /// See [`Pipeline::call_with`].
    ///
    /// # Errors
    /// See [`Pipeline::call_with`].
    ///
    /// # Cancel safety
    /// As [`Pipeline::call_with`].
    pub fn call_with<V, E, F, O, K>(
        self,
        classify: K,
        operation: O,
    ) -> impl Future<Output = Result<V, CallError<E>>> + use<'p, V, E, F, O, K, T, G, W, B, P, C>
    where
        F: Future<Output = Result<V, E>>,
        O: FnMut(Attempt) -> F,
        K: Classify<V, E>,
    {
        self.pipeline.run(self.terms, classify, operation)
    }
}

impl<T: BlockingTimer, G: SharedGate, B: SharedBudget, C: SharedGate> Within<'_, T, G, NoTurns, B, RetryPolicy, C> {
    /// See [`Pipeline::call_blocking`].
    ///
    /// # Errors
    /// See [`Pipeline::call_blocking`].
    pub fn call_blocking<V, E>(self, operation: impl FnMut(Attempt) -> Result<V, E>) -> Result<V, CallError<E>> {
        self.call_blocking_with(Errors, operation)
    }

    /// See [`Pipeline::call_blocking_with`].
    ///
    /// # Errors
    /// See [`Pipeline::call_blocking_with`].
    pub fn call_blocking_with<V, E>(
        self,
        classify: impl Classify<V, E>,
        operation: impl FnMut(Attempt) -> Result<V, E>,
    ) -> Result<V, CallError<E>> {
        self.pipeline.run_blocking(self.terms, classify, operation)
    }
}
