//! The exact list of uses.

use super::Numbers;

/// A use that counts.
pub(crate) struct Use {
    pub(crate) id: u32,
    /// In time that only goes forwards.
    pub(crate) time: u128,
    pub(crate) tokens: u128,
}

pub(crate) struct Model {
    pub(crate) count: u128,
    pub(crate) period: u128,
    pub(crate) burst: u128,
    uses: Vec<Use>,
}

impl Model {
    pub(crate) fn new(&(count, period, burst): &Numbers) -> Self {
        Self { count: count.into(), period: period.into(), burst: burst.into(), uses: vec![] }
    }

    pub(crate) fn add(&mut self, id: u32, time: u128, tokens: u32) {
        let after = self.uses.partition_point(|other| other.time <= time);
        self.uses.insert(after, Use { id, time, tokens: tokens.into() });
    }

    /// Makes use `id` one of `left` tokens.
    pub(crate) fn reduce(&mut self, id: u32, left: u32) {
        self.uses.retain_mut(|other| {
            if other.id == id {
                other.tokens = left.into();
            }
            other.tokens > 0
        });
    }

    /// When the last use is.
    pub(crate) fn last(&self) -> u128 {
        self.uses.last().map_or(0, |last| last.time)
    }

    /// The most that any interval which ends at `time` has over its rate, in tokens x period.
    pub(crate) fn debt(&self, time: u128) -> u128 {
        let (mut tokens, mut worst) = (0, 0);
        for other in self.uses.iter().rev().filter(|other| other.time <= time) {
            tokens += other.tokens;
            worst = worst.max((tokens * self.period).saturating_sub(self.count * (time - other.time)));
        }
        worst
    }

    /// All pairs: each interval from a use to a later one.
    pub(crate) fn check(&self, context: &str) {
        for (i, first) in self.uses.iter().enumerate() {
            let mut tokens = 0;
            for last in &self.uses[i..] {
                tokens += last.tokens;
                let bound = self.burst * self.period + self.count * (last.time - first.time);
                let (from, to) = (first.time, last.time);
                assert!(tokens * self.period <= bound, "{context}: {tokens} tokens from {from} to {to}");
            }
        }
    }

    /// Forgets the oldest when there are many, after a check; those that may still change must be among the newest.
    pub(crate) fn check_some(&mut self, context: &str) {
        if self.uses.len() > 250 {
            self.check(context);
            self.uses.drain(..100);
        }
    }
}
