//! The tokens.

use super::{After, Budget, BudgetConfig, Credit};
use crate::pieces::Pieces;
use crate::{Gate, Instant, Outcome, Reason, Rejected};

/// A retry budget: see the [module](super). As a [`Gate`] it asks for a retry after a failure. `BUCKETS` x 8 + 200 bytes,
/// rounded up to 16.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RetryBudget<const BUCKETS: usize = 10> {
    config: BudgetConfig<BUCKETS>,
    deposits: Pieces<u64, BUCKETS>,
    /// The sum of the deposits.
    saved: u64,
    /// What is there of the floor, as of `filled`.
    floor: u64,
    filled: Instant,
    deposited: u128,
    spent: u128,
    expired: u128,
    refused: u32,
}

/// What a retry was paid with.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "settle, release or cancel it; else a refund is lost"]
pub struct Withdrawal {
    saved: u64,
    floor: u64,
}

/// What a budget can tell about itself: deposited = spent + balance + expired. Sums count from its making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BudgetSnapshot {
    /// What is left to retry with.
    pub balance: Credit,
    /// All that was paid in: what it started with, by calls and successes as far as it fitted in, by time.
    pub deposited: Credit,
    /// What retries took, less what they got back.
    pub spent: Credit,
    /// What nobody spent in time.
    pub expired: Credit,
    /// Retries refused. Stops at its maximum.
    pub refused: u32,
}

impl<const BUCKETS: usize> RetryBudget<BUCKETS> {
    /// A budget that nobody has paid into.
    #[must_use]
    pub const fn new(config: BudgetConfig<BUCKETS>) -> Self {
        Self {
            config,
            deposits: Pieces::new(0).with_first(config.start),
            saved: config.start,
            floor: config.floor.up_to,
            filled: Instant::EPOCH,
            deposited: config.start as u128 + config.floor.up_to as u128,
            spent: 0,
            expired: 0,
            refused: 0,
        }
    }

    /// What is left to retry with at `now`.
    #[must_use]
    pub fn balance(&self, now: Instant) -> Credit {
        self.snapshot(now).balance
    }

    /// What it can tell about itself at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> BudgetSnapshot {
        let mut then = self.clone();
        then.advance(now);
        let Self { deposited, spent, expired, refused, .. } = then;
        let [balance, deposited, spent, expired] = [then.left().into(), deposited, spent, expired].map(Credit);
        BudgetSnapshot { balance, deposited, spent, expired, refused }
    }

    /// All that is left.
    const fn left(&self) -> u64 {
        self.saved + self.floor
    }

    /// Does what time does.
    fn advance(&mut self, now: Instant) {
        let mut gone = 0;
        if self.deposits.roll(self.config.piece, now, |piece| gone += piece) {
            gone = self.saved;
        }
        self.saved -= gone;
        self.expired += u128::from(gone);
        let elapsed = now.nanos_since(self.filled);
        self.filled = now; // also when the clock stepped back: what it shows from then on is new time
        let room = self.config.floor.up_to - self.floor;
        let more = elapsed.saturating_mul(self.config.floor.rate).min(room);
        self.floor += more;
        self.deposited += u128::from(more);
        self.invariants();
    }

    /// Puts into the deposits what fits, and says how much that was.
    fn put(&mut self, amount: u64, now: Instant) -> u64 {
        let fits = amount.min(self.config.capacity - self.saved);
        if self.saved == 0 {
            self.deposits.begin(now);
        }
        if let Some(current) = self.deposits.current_mut() {
            *current += fits;
        }
        self.saved += fits;
        fits
    }

    /// Takes `amount`, which is there: of the deposits first, and of those the oldest, because they expire.
    fn take(&mut self, amount: u64) -> Withdrawal {
        let saved = amount.min(self.saved);
        let floor = amount - saved;
        let mut rest = saved;
        for piece in self.deposits.oldest_first() {
            let part = rest.min(*piece);
            *piece -= part;
            rest -= part;
        }
        self.saved -= saved;
        self.floor -= floor;
        self.spent += u128::from(amount);
        Withdrawal { saved, floor }
    }

    /// Gives back to where it came from what fits there. A deposit is kept as long as a new one.
    fn give_back(&mut self, withdrawal: Withdrawal, now: Instant) {
        self.advance(now);
        let floor = withdrawal.floor.min(self.config.floor.up_to - self.floor);
        self.floor += floor;
        let back = self.put(withdrawal.saved, now) + floor;
        // Below zero only by a withdrawal of another budget.
        let spent = self.spent.saturating_sub(back.into());
        self.deposited += u128::from(back) - (self.spent - spent);
        self.spent = spent;
    }

    /// Takes `amount` in.
    fn pay_in(&mut self, amount: u64, now: Instant) {
        self.advance(now);
        self.deposited += u128::from(self.put(amount, now));
    }

    /// Takes the cost of a failure, or all there is.
    fn fine(&mut self, after: After) {
        let cost = self.config.cost(after).min(self.left());
        let _spent = self.take(cost);
    }

    /// When there will be enough for `cost`: time fills the floor, and takes deposits away.
    fn enough_at(&self, cost: u64) -> Option<Instant> {
        let (mut deposits, mut saved) = (self.deposits, self.saved);
        for _ in 0..=BUCKETS {
            let missing = (cost + self.config.keep).saturating_sub(saved);
            let at = self.floor_holds(missing)?;
            let end = deposits.ends(self.config.piece);
            if at < end || saved == 0 {
                return Some(at);
            }
            if deposits.roll(self.config.piece, end, |gone| saved -= gone) {
                saved = 0;
            }
        }
        None
    }

    /// When the floor holds `amount`, if it ever does.
    fn floor_holds(&self, amount: u64) -> Option<Instant> {
        let missing = amount.saturating_sub(self.floor);
        (amount <= self.config.floor.up_to).then(|| self.filled.after(self.config.floor.nanos_for(missing)))
    }

    fn invariants(&self) {
        debug_assert!(self.saved <= self.config.capacity && self.floor <= self.config.floor.up_to);
        debug_assert_eq!(self.deposited, self.spent + u128::from(self.left()) + self.expired);
        debug_assert_eq!(self.saved, { self.deposits }.oldest_first().map(|piece| *piece).sum());
    }
}

impl<const BUCKETS: usize> Budget for RetryBudget<BUCKETS> {
    #[inline]
    fn deposit(&mut self, now: Instant) {
        self.pay_in(self.config.per_call, now);
    }

    fn try_withdraw(&mut self, after: After, now: Instant) -> Result<Withdrawal, Rejected> {
        self.advance(now);
        let cost = self.config.cost(after);
        if self.left() >= cost + self.config.keep {
            return Ok(self.take(cost));
        }
        self.refused = self.refused.saturating_add(1);
        if self.config.failures_pay {
            self.fine(after);
        }
        Err(Rejected { reason: Reason::BudgetExhausted, retry_at: self.enough_at(cost) })
    }

    fn settle(&mut self, last: Option<Withdrawal>, outcome: Outcome, now: Instant) {
        match (outcome, last) {
            (Outcome::Success, Some(withdrawal)) if self.config.refund => self.give_back(withdrawal, now),
            (Outcome::Success, _) => self.pay_in(self.config.per_success, now),
            (outcome, _) if outcome.is_failure() && self.config.failures_pay => {
                self.advance(now);
                self.fine(After::Failure);
            }
            _ => {}
        }
    }
}

impl<const BUCKETS: usize> Gate for RetryBudget<BUCKETS> {
    type Permit = Withdrawal;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<Withdrawal, Rejected> {
        self.try_withdraw(After::Failure, now)
    }

    /// A success gets a refund if so configured; all else is spent.
    #[inline]
    fn release(&mut self, withdrawal: Withdrawal, outcome: Outcome, now: Instant) {
        if self.config.refund && outcome == Outcome::Success {
            self.give_back(withdrawal, now);
        }
    }

    /// Gives back, unless it was the failure that paid, and not the retry.
    #[inline]
    fn cancel(&mut self, withdrawal: Withdrawal, now: Instant) {
        if !self.config.failures_pay {
            self.give_back(withdrawal, now);
        }
    }

    /// Nothing is ever armed: what is due is done when it is asked.
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }
}

#[cfg(test)]
mod tests;
