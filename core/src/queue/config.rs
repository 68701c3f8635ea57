//! What a leveling queue does when it is too much.

use core::num::NonZeroU16;
use core::time::Duration;

use super::Codel;
use crate::{ConfigError, Instant, Quota, nanos};

/// Which item of a class is served next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Order {
    /// The oldest.
    Fifo,
    /// The oldest; the newest while [`Codel`] says that the class is overloaded.
    LifoOverloaded,
    /// The oldest; the newest while at least so many items wait, of all classes.
    LifoFrom(NonZeroU16),
}

/// What gives way when an item comes and no place is free. An item whose deadline is over gives way in any case, if it
/// is the oldest of its class; and none of a higher class ever does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Overflow {
    /// The one that comes: it is refused.
    RefuseNewest,
    /// The oldest of the lowest class: it is the least likely to be still of use.
    DropOldest,
    /// The newest of the lowest class, if that is below the one that comes: as if it had been refused itself.
    DropLowest,
}

/// Of a [`LevelingQueue`](super::LevelingQueue).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LevelConfig {
    pub(super) rate: Option<Quota>,
    pub(super) max_wait: u64,
    pub(super) codel: Option<Codel>,
    pub(super) order: Order,
    pub(super) overflow: Overflow,
    pub(super) refuse_late: bool,
}

impl LevelConfig {
    /// A queue without a rate, first in, first out, in which an item waits for its deadline at most, and which refuses
    /// what it has no place for.
    pub const fn builder() -> LevelBuilder {
        LevelBuilder {
            config: Self {
                rate: None,
                max_wait: u64::MAX,
                codel: None,
                order: Order::Fifo,
                overflow: Overflow::RefuseNewest,
                refuse_late: false,
            },
        }
    }

    /// Until when an item may wait that comes now.
    pub(super) fn deadline(&self, asked: Option<Instant>, now: Instant) -> Option<Instant> {
        let longest = (self.max_wait != u64::MAX).then(|| now.after(self.max_wait));
        match (asked, longest) {
            (Some(asked), Some(longest)) => Some(asked.min(longest)),
            (asked, longest) => asked.or(longest),
        }
    }
}

/// Makes a [`LevelConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct LevelBuilder {
    config: LevelConfig,
}

impl LevelBuilder {
    /// How fast items may be served. Unless set: as fast as they are asked for.
    pub const fn rate(mut self, quota: Quota) -> Self {
        self.config.rate = Some(quota);
        self
    }

    /// The longest that any item may wait. Unless set: until its deadline, and for ever if it has none.
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.config.max_wait = nanos(max_wait);
        self
    }

    /// Shed what has waited too long while the queue is overloaded.
    pub const fn codel(mut self, codel: Codel) -> Self {
        self.config.codel = Some(codel);
        self
    }

    /// Which item of a class is next. Unless set: the oldest.
    pub const fn order(mut self, order: Order) -> Self {
        self.config.order = order;
        self
    }

    /// What gives way when the queue is full. Unless set: the one that comes.
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.config.overflow = overflow;
        self
    }

    /// Refuse an item at once if its deadline will be over before its turn, as far as the rate tells: if all that is
    /// before it will be served. Unless set, it waits, as something before it may give up.
    pub const fn refuse_late(mut self) -> Self {
        self.config.refuse_late = true;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When no item may wait, or something is set that needs another setting.
    pub const fn build(self) -> Result<LevelConfig, ConfigError> {
        let config = self.config;
        if config.max_wait == 0 {
            return Err(ConfigError::new("max_wait", "nothing could wait; ask for a permit instead"));
        }
        if matches!(config.order, Order::LifoOverloaded) && config.codel.is_none() {
            return Err(ConfigError::new("order", "without codel nobody says when the queue is overloaded"));
        }
        if config.refuse_late && config.rate.is_none() {
            return Err(ConfigError::new("refuse_late", "without a rate nobody can tell how long it takes"));
        }
        Ok(config)
    }
}
