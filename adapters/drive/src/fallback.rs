//! Alternatives to a call that ended without an answer.

use core::fmt;
use core::future::Future;
use core::time::Duration;

use fusebox::fallback::{Stale, When};
use fusebox::{Cause, Clock, Lock, Shared};

use crate::CallError;

/// An answer, and whether it is one of the callee or instead of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served<V> {
    /// The answer.
    pub value: V,
    /// How it came to be, if it is not the callee's own.
    pub fallback: Option<FellBack>,
}

impl<V> Served<V> {
    /// Whether the callee itself has just given it.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fallback.is_none()
    }
}

/// Why an answer is not the callee's, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBack {
    /// Why the call itself had no answer.
    pub cause: Cause,
    /// Which alternative gave it, from 1 in the order they were offered.
    pub alternative: u16,
    /// How long ago the callee gave it, if it did: a stale answer.
    pub age: Option<Duration>,
}

impl fmt::Display for FellBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fallback {}", self.alternative)?;
        if let Some(age) = self.age {
            write!(f, ", {age:?} old")?;
        }
        write!(f, ": {}", self.cause)
    }
}

/// A chain of alternatives around a call: each is asked if it is meant for the way the call ended, and none before it had an
/// answer. Outside of the pipeline, so neither its deadline nor its retries apply to an alternative; one that calls another
/// unreliable thing should go through a pipeline of its own.
///
/// ```
/// use core::time::Duration;
/// use std::sync::Mutex;
/// use fusebox_drive::fusebox::fallback::{Stale, When};
/// use fusebox_drive::fusebox::{RetryPolicy, Shared};
/// use fusebox_drive::{Fallback, Pipeline, ThreadTimer, entropy};
///
/// let rates = Pipeline::new(ThreadTimer::new(), (), RetryPolicy::ONCE, entropy());
/// let last = Shared::new(Mutex::new(Stale::new(Duration::from_secs(60)).unwrap()));
/// let ask = |answer: Result<u32, &'static str>| {
///     Fallback::from(rates.call_blocking(|_| answer))
///         .or_stale(When::ANY, &last, rates.timer())
///         .or(When::FAILED, |_error| Some(100))
///         .served()
/// };
/// assert_eq!(ask(Err("down")).unwrap().value, 100);
/// assert!(ask(Ok(108)).unwrap().is_fresh());
/// let stale = ask(Err("down")).unwrap();
/// assert_eq!((stale.value, stale.fallback.unwrap().alternative), (108, 1));
/// ```
#[derive(Debug)]
#[must_use = "ask for what was `served`"]
pub struct Fallback<V, E> {
    served: Result<Served<V>, CallError<E>>,
    /// Alternatives offered so far.
    offered: u16,
}

impl<V, E> From<Result<V, CallError<E>>> for Fallback<V, E> {
    fn from(result: Result<V, CallError<E>>) -> Self {
        let served = result.map(|value| Served { value, fallback: None });
        Self { served, offered: 0 }
    }
}

impl<V, E> Fallback<V, E> {
    /// The value that `alternative` has, if it is needed and has one.
    pub fn or(self, when: When, alternative: impl FnOnce(&CallError<E>) -> Option<V>) -> Self {
        self.or_aged(when, |error| alternative(error).map(|value| (value, None)))
    }

    /// What `alternative` answers, if it is needed and answers. Its own error is dropped: the call's is the one that is told.
    ///
    /// # Cancel safety
    /// Dropping the future drops the alternative's and the call's error.
    pub async fn or_else<X, F>(mut self, when: When, alternative: impl FnOnce(&CallError<E>) -> F) -> Self
    where
        F: Future<Output = Result<V, X>>,
    {
        let value = match &self.served {
            Err(error) if when.has(error.cause) => alternative(error).await.ok(),
            _ => None,
        };
        self = self.or(When::ANY, |_| value);
        self
    }

    /// The last fresh answer, if one is needed and it is not too old. A fresh one is kept in `last`. `clock` is the one that
    /// ages are by: always the same.
    pub fn or_stale<L>(self, when: When, last: &Shared<L>, clock: &impl Clock) -> Self
    where
        L: Lock<Value = Stale<V>>,
        V: Clone,
    {
        let now = clock.now();
        if let Ok(Served { value, fallback: None }) = &self.served {
            let value = value.clone(); // not under the lock
            last.with(|last| last.keep(value, now));
        }
        self.or_aged(when, |_| last.with(|last| last.get(now).map(|kept| (kept.value.clone(), Some(kept.age)))))
    }

    fn or_aged(mut self, when: When, alternative: impl FnOnce(&CallError<E>) -> Option<(V, Option<Duration>)>) -> Self {
        self.offered = self.offered.saturating_add(1);
        if let Err(error) = &self.served {
            if let Some((value, age)) = when.has(error.cause).then(|| alternative(error)).flatten() {
                let fallback = FellBack { cause: error.cause, alternative: self.offered, age };
                self.served = Ok(Served { value, fallback: Some(fallback) });
            }
        }
        self
    }

    /// The answer, and whether it is a fallback.
    ///
    /// # Errors
    /// The call's own, if no alternative was meant for it and had an answer.
    pub fn served(self) -> Result<Served<V>, CallError<E>> {
        self.served
    }
}
