//! What a call is to do.

use core::future::Future;

use crate::{Attempt, Class, Classify};

/// An operation and a classifier of its answers, by one name.
pub(crate) trait Job {
    type Value;
    type Error;
    type Running: Future<Output = Result<Self::Value, Self::Error>>;

    fn start(&mut self, attempt: Attempt) -> Self::Running;

    fn classify(&self, answer: &Result<Self::Value, Self::Error>) -> Class;
}

pub(crate) struct Work<K, O> {
    pub(crate) classify: K,
    pub(crate) operation: O,
}

impl<K, O, F, V, E> Job for Work<K, O>
where
    O: FnMut(Attempt) -> F,
    F: Future<Output = Result<V, E>>,
    K: Classify<V, E>,
{
    type Value = V;
    type Error = E;
    type Running = F;

    #[inline]
    fn start(&mut self, attempt: Attempt) -> F {
        (self.operation)(attempt)
    }

    #[inline]
    fn classify(&self, answer: &Result<V, E>) -> Class {
        self.classify.classify(answer)
    }
}
