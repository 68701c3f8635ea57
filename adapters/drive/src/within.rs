//! Pipelines in the attempts of pipelines.

use core::future::Future;

use fusebox::{SharedBudget, SharedGate};

use crate::blocking::BlockingTimer;
use crate::{Attempt, CallError, Classify, Errors, Pipeline, Timer, Turns};

/// A pipeline that is used in an attempt of another one: see [`Pipeline::within`].
#[derive(Debug)]
pub struct Within<'p, T, G, W, B> {
    pub(crate) pipeline: &'p Pipeline<T, G, W, B>,
    pub(crate) outer: Attempt,
}

impl<T: Timer, G: SharedGate, W: Turns, B: SharedBudget> Within<'_, T, G, W, B> {
    /// See [`Pipeline::call`].
    ///
    /// # Errors
    /// See [`Pipeline::call`].
    ///
    /// # Cancel safety
    /// As [`Pipeline::call_with`].
    pub fn call<V, E, F>(&self, operation: impl FnMut(Attempt) -> F) -> impl Future<Output = Result<V, CallError<E>>>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.pipeline.run(Some(self.outer), Errors, operation)
    }

    /// See [`Pipeline::call_with`].
    ///
    /// # Errors
    /// See [`Pipeline::call_with`].
    ///
    /// # Cancel safety
    /// As [`Pipeline::call_with`].
    pub fn call_with<V, E, F>(
        self,
        classify: impl Classify<V, E>,
        operation: impl FnMut(Attempt) -> F,
    ) -> impl Future<Output = Result<V, CallError<E>>>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.pipeline.run(Some(self.outer), classify, operation)
    }
}

impl<T: BlockingTimer, G: SharedGate, B: SharedBudget> Within<'_, T, G, crate::NoTurns, B> {
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
        self.pipeline.run_blocking(Some(self.outer), classify, operation)
    }
}
