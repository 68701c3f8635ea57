//! The last good answer.

use core::time::Duration;

use crate::{ConfigError, Instant, nanos};

/// The last good answer, for when there is no fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stale<V> {
    max_age: u64,
    kept: Option<(V, Instant)>,
}

/// An answer and its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aged<V> {
    /// The answer.
    pub value: V,
    /// How long ago the callee gave it.
    pub age: Duration,
}

impl<V> Stale<V> {
    /// Nothing is kept yet; what will be is given back up to `max_age`, inclusive.
    ///
    /// # Errors
    /// When it is zero: nothing would ever be given back.
    pub const fn new(max_age: Duration) -> Result<Self, ConfigError> {
        if max_age.is_zero() {
            return Err(ConfigError::new("max_age", "a zero age gives nothing back"));
        }
        Ok(Self { max_age: nanos(max_age), kept: None })
    }

    /// `value` is fresh: it replaces what was kept.
    pub fn keep(&mut self, value: V, now: Instant) {
        self.kept = Some((value, now));
    }

    /// What was kept, unless it is too old; then it is forgotten.
    pub fn get(&mut self, now: Instant) -> Option<Aged<&V>> {
        let max = self.max_age;
        self.kept.take_if(|(_, since)| now.nanos_since(*since) > max);
        let (value, since) = self.kept.as_mut()?;
        *since = now.min(*since); // the clock stepped back
        Some(Aged { value, age: now.saturating_since(*since) })
    }

    /// Forgets what was kept: it is known to be wrong.
    pub fn forget(&mut self) {
        self.kept = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_secs(s)
    }

    #[test]
    fn kept_until_too_old() {
        let mut stale = Stale::new(Duration::from_secs(10)).unwrap();
        assert_eq!(stale.get(at(5)), None);
        stale.keep('a', at(5));
        stale.keep('b', at(6));
        let aged = |age| Some(Aged { value: &'b', age: Duration::from_secs(age) });
        assert_eq!((stale.clone().get(at(6)), stale.clone().get(at(16))), (aged(0), aged(10)));
        assert_eq!(stale.get(at(16).after(1)), None);
        assert_eq!(stale.get(at(16)), None, "forgotten");
        stale.keep('b', at(20));
        stale.forget();
        assert_eq!(stale.get(at(20)), None);
    }

    #[test]
    fn a_clock_that_steps_back_keeps_nothing_longer() {
        let mut stale = Stale::new(Duration::from_secs(10)).unwrap();
        stale.keep('a', at(1_000));
        assert_eq!(stale.get(at(100)).map(|kept| kept.age), Some(Duration::ZERO));
        assert!(stale.get(at(110)).is_some() && stale.get(at(111)).is_none());
    }

    #[test]
    fn a_zero_age_is_refused() {
        assert_eq!(Stale::<()>::new(Duration::ZERO).unwrap_err().setting, "max_age");
    }
}
