//! The retries in flight, as a share of the calls in flight.

use super::{After, Budget};
use crate::{ConfigError, Gate, Instant, Outcome, Reason, Rejected};

/// A retry budget by concurrency: a retry is refused while there are at least `minimum` retries in flight and they are more
/// than a share of the calls in flight. In flight is a call from its first attempt until it is settled, delays included,
/// and a retry from when it is paid for until it is released, cancelled or settled.
///
/// This is failsafe-go's rule. Envoy's refuses one retry earlier: as soon as they are as many as the share.
///
/// Where latencies grow, in flight grows too, so it reacts to a slow callee faster than deposits do, and knows no time;
/// but every [deposit](Budget::deposit) must be [settled](Budget::settle), else the call is in flight for ever.
///
/// ```
/// use fusebox::budget::After;
/// use fusebox::{Budget, ConcurrencyBudget, Instant, Outcome, checked};
///
/// let mut budget = const { checked!(ConcurrencyBudget::new(200, 1)) };
/// let now = Instant::EPOCH;
/// budget.deposit(now);
/// let retry = budget.try_withdraw(After::Failure, now).unwrap();
/// assert!(budget.try_withdraw(After::Failure, now).is_err()); // one retry is more than a fifth of one call
/// budget.settle(Some(retry), Outcome::Success, now);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConcurrencyBudget {
    permille: u32,
    minimum: u32,
    calls: u32,
    retries: u32,
    refused: u32,
}

/// A retry in flight.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "settle, release or cancel it; else the retry is in flight for ever"]
pub struct InFlight(());

/// What it can tell about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConcurrencySnapshot {
    /// Calls in flight.
    pub calls: u32,
    /// Retries in flight.
    pub retries: u32,
    /// Retries refused. Stops at its maximum.
    pub refused: u32,
}

impl ConcurrencyBudget {
    /// 20 % of the calls in flight, and 3 retries in any case, as Envoy ships.
    pub const DEFAULT: Self = Self::of(200, 3);

    /// Retries for `permille` of the calls in flight, and `minimum` in any case.
    ///
    /// # Errors
    /// When the minimum is zero: the first failure could then never be retried.
    pub const fn new(permille: u32, minimum: u32) -> Result<Self, ConfigError> {
        if minimum == 0 {
            return Err(ConfigError::new("minimum", "at least one retry, else one share of few calls is none"));
        }
        Ok(Self::of(permille, minimum))
    }

    const fn of(permille: u32, minimum: u32) -> Self {
        Self { permille, minimum, calls: 0, retries: 0, refused: 0 }
    }

    /// What it can tell about itself.
    #[must_use]
    pub const fn snapshot(&self) -> ConcurrencySnapshot {
        let Self { calls, retries, refused, .. } = *self;
        ConcurrencySnapshot { calls, retries, refused }
    }

    /// The rule.
    const fn has_room(&self) -> bool {
        self.retries < self.minimum || self.retries as u64 * 1_000 <= self.calls as u64 * self.permille as u64
    }
}

impl Budget for ConcurrencyBudget {
    #[inline]
    fn deposit(&mut self, _now: Instant) {
        self.calls = self.calls.saturating_add(1);
    }

    #[inline]
    fn try_withdraw(&mut self, _after: After, _now: Instant) -> Result<InFlight, Rejected> {
        if self.has_room() {
            self.retries = self.retries.saturating_add(1);
            return Ok(InFlight(()));
        }
        self.refused = self.refused.saturating_add(1);
        Err(Rejected { reason: Reason::BudgetExhausted, retry_at: None })
    }

    #[inline]
    fn settle(&mut self, last: Option<InFlight>, outcome: Outcome, now: Instant) {
        if let Some(last) = last {
            self.release(last, outcome, now);
        }
        self.calls = self.calls.saturating_sub(1);
    }
}

impl Gate for ConcurrencyBudget {
    type Permit = InFlight;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<InFlight, Rejected> {
        self.try_withdraw(After::Failure, now)
    }

    /// Below zero only by a permit of another budget.
    #[inline]
    fn release(&mut self, _retry: InFlight, _outcome: Outcome, _now: Instant) {
        self.retries = self.retries.saturating_sub(1);
    }

    #[inline]
    fn cancel(&mut self, retry: InFlight, now: Instant) {
        self.release(retry, Outcome::Ignored, now);
    }

    /// Nothing is ever armed.
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&mut self, _now: Instant) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::EPOCH;

    fn retry(budget: &mut ConcurrencyBudget) -> Result<InFlight, Rejected> {
        budget.try_withdraw(After::Failure, NOW)
    }

    #[test]
    fn the_minimum_holds_without_calls_and_the_share_above_it() {
        let mut budget = ConcurrencyBudget::new(500, 2).unwrap();
        let first = [(); 2].map(|()| retry(&mut budget).unwrap());
        let refused = Rejected { reason: Reason::BudgetExhausted, retry_at: None };
        assert_eq!(retry(&mut budget).unwrap_err(), refused);
        for _ in 0..6 {
            budget.deposit(NOW);
        }
        let more = [(); 2].map(|()| retry(&mut budget).unwrap());
        assert_eq!(retry(&mut budget), Err(refused), "four are more than half of six");
        assert_eq!(budget.snapshot(), ConcurrencySnapshot { calls: 6, retries: 4, refused: 2 });
        for permit in first {
            budget.settle(Some(permit), Outcome::Success, NOW);
        }
        let [released, cancelled] = more;
        budget.release(released, Outcome::Failure, NOW);
        budget.cancel(cancelled, NOW);
        budget.settle(None, Outcome::Ignored, NOW);
        assert_eq!(budget.snapshot(), ConcurrencySnapshot { calls: 3, retries: 0, refused: 2 });
    }

    #[test]
    fn at_the_ends_of_numbers_nothing_wraps() {
        let mut budget = ConcurrencyBudget { calls: u32::MAX, ..ConcurrencyBudget::new(u32::MAX, 1).unwrap() };
        budget.deposit(NOW);
        budget.retries = u32::MAX;
        let _one = retry(&mut budget).unwrap();
        budget.permille = 0;
        budget.refused = u32::MAX;
        assert!(retry(&mut budget).is_err());
        assert_eq!(budget.snapshot(), ConcurrencySnapshot { calls: u32::MAX, retries: u32::MAX, refused: u32::MAX });
        let mut budget = ConcurrencyBudget::DEFAULT;
        budget.settle(Some(InFlight(())), Outcome::Success, NOW); // of another budget
        assert_eq!(budget.snapshot(), ConcurrencySnapshot { calls: 0, retries: 0, refused: 0 });
        assert_eq!(ConcurrencyBudget::new(200, 0).unwrap_err().setting, "minimum");
    }
}
