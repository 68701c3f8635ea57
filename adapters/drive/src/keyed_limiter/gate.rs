//! One key, as a gate.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use fusebox::bucket::LeanTokens;
use fusebox::{Clock, Outcome, Rejected, SharedGate};

use super::KeyedLimiter;

/// The limit of one key in a [`KeyedLimiter`].
#[derive(Debug)]
pub struct KeyedLimiterGate<'a, K: ?Sized, S, Q: ?Sized> {
    limiter: &'a KeyedLimiter<K, S>,
    key: &'a Q,
}

impl<K: ?Sized, S> KeyedLimiter<K, S> {
    /// The limit of `key` as a gate: what a [`Pipeline`](crate::Pipeline) or a [`Guard`](fusebox::Guard) takes. Costs
    /// nothing to make and gives the key no place before it is asked.
    ///
    /// ```
    /// use fusebox_drive::fusebox::{Cause, Entropy, LeanQuota, RetryPolicy, checked};
    /// use fusebox_drive::{KeyedLimiter, Pipeline, ThreadTimer};
    ///
    /// let callers: KeyedLimiter<str> = KeyedLimiter::new(checked!(LeanQuota::per_second(1)), 1_000).unwrap();
    /// let timer = ThreadTimer::new();
    /// let greet = |caller: &str| {
    ///     // A pipeline over a gate of one key is a few words on the stack: made for each call.
    ///     let pipeline = Pipeline::new(&timer, callers.gate(caller), RetryPolicy::ONCE, Entropy::new(1));
    ///     pipeline.call_blocking(|_| Ok::<_, ()>("hello"))
    /// };
    /// assert_eq!(greet("10.0.0.1").unwrap(), "hello");
    /// assert!(matches!(greet("10.0.0.1").unwrap_err().cause, Cause::Refused(_)));
    /// assert_eq!(greet("10.0.0.2").unwrap(), "hello");
    /// ```
    pub const fn gate<'a, Q: ?Sized>(&'a self, key: &'a Q) -> KeyedLimiterGate<'a, K, S, Q> {
        KeyedLimiterGate { limiter: self, key }
    }
}

impl<K: ?Sized, S, Q: ?Sized> Clone for KeyedLimiterGate<'_, K, S, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, S, Q: ?Sized> Copy for KeyedLimiterGate<'_, K, S, Q> {}

impl<K: Borrow<Q> + ?Sized, S: BuildHasher, Q: Hash + ?Sized> SharedGate for KeyedLimiterGate<'_, K, S, Q> {
    type Permit = LeanTokens;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<LeanTokens, Rejected> {
        self.limiter.try_acquire(self.key, now.now())
    }

    /// The tokens are spent.
    #[inline]
    fn release(&self, _tokens: LeanTokens, _outcome: Outcome, _now: impl Clock) {}

    #[inline]
    fn cancel(&self, tokens: LeanTokens, now: impl Clock) {
        self.limiter.cancel(self.key, tokens, now.now());
    }
}
