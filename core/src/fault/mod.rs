//! Fault injection: failures on order, the same ones each time.
//!
//! # Why
//! What guards against failures is used when they happen, which is rarely, and never in a test, unless the test makes
//! them. Failures by chance that nobody can repeat find a fault once and do not show that it is mended.
//!
//! # State picture
//! ```text
//!            in an outage
//!   call ----------------------------> its error, or its hang
//!     | by chance, of 1000
//!     |------- hangs ----------------> never ends
//!     |------- errors ---------------> error  } at now + latency + 0..jitter, and for `slow` of 1000
//!     `------- the rest -------------> answer } the time that slow ones take more
//! ```
//!
//! # Contract
//! - A call's fault follows from the configuration, the seed, the call's number and the time it starts; from nothing else,
//!   and on every target alike. So two runs with one seed are one run, and any call can be had again alone, through
//!   [`FaultConfig::fault`].
//! - Of many calls, as many end each way as configured, by chance: neither in turn nor exactly.
//! - An outage is for calls that start in it: from its beginning, up to and not including its end. Where two overlap, the
//!   first in the list counts. Times are those of the clock that is passed in, from its epoch.
//! - Time does not matter otherwise, so a clock that steps back only brings back the outages of then.
//! - Nothing waits and nothing fails here: [`Fault`] says what is to happen. An adapter makes it happen around an
//!   operation.
//!
//! # Defaults
//! Every call is answered at once.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::fault::{End, FaultConfig, Faults, Outage};
//! use fusebox::{Instant, checked};
//!
//! const SENSOR: FaultConfig<1> = checked!(
//!     FaultConfig::builder()
//!         .latency(Duration::from_millis(4))
//!         .errors(100) // one in ten
//!         .outages([Outage::hang(Duration::from_secs(60), Duration::from_secs(5))])
//!         .build()
//! );
//! let mut faults = Faults::new(SENSOR, 3);
//! let at = Instant::from_millis;
//! let ends: [End; 12] = core::array::from_fn(|_| faults.next(at(0)).end);
//! assert_eq!(ends.iter().filter(|end| **end == End::Error).count(), 1);
//! assert_eq!(faults.next(at(10)).at, at(14));
//! assert_eq!(faults.next(at(60_000)).end, End::Hang);
//! assert_eq!(faults.next(at(65_000)).end, End::Answer);
//! ```
//!
//! # When not
//! To show that a machine keeps to its contract, let a list of outcomes drive it: chance finds what you did not think of,
//! a list says what you mean. Not in what you ship, unless it can be switched off.

mod config;
#[cfg(test)]
mod tests;

pub use config::{FaultBuilder, FaultConfig, Outage};

use crate::Instant;

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum End {
    /// As it would without faults.
    Answer,
    /// It fails.
    Error,
    /// It never ends.
    Hang,
}

/// What is to happen to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fault {
    /// When it ends; [`Instant::MAX`] if it hangs.
    pub at: Instant,
    /// How.
    pub end: End,
}

/// What was ordered so far. Totals stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FaultSnapshot {
    /// Calls that are answered.
    pub answered: u32,
    /// Calls that fail.
    pub failed: u32,
    /// Calls that never end.
    pub hung: u32,
}

/// The faults of one callee, call by call: see the [module](self).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Faults<const OUTAGES: usize = 0> {
    config: FaultConfig<OUTAGES>,
    seed: u32,
    call: u32,
    told: FaultSnapshot,
}

impl<const OUTAGES: usize> Faults<OUTAGES> {
    /// No call yet. Another seed is another run.
    #[must_use]
    pub const fn new(config: FaultConfig<OUTAGES>, seed: u32) -> Self {
        Self { config, seed, call: 0, told: FaultSnapshot { answered: 0, failed: 0, hung: 0 } }
    }

    /// What is to happen to the next call, which starts at `now`.
    pub fn next(&mut self, now: Instant) -> Fault {
        let fault = self.config.fault(self.seed, self.call, now);
        self.call = self.call.wrapping_add(1);
        let count = match fault.end {
            End::Answer => &mut self.told.answered,
            End::Error => &mut self.told.failed,
            End::Hang => &mut self.told.hung,
        };
        *count = count.saturating_add(1);
        fault
    }

    /// Other faults from the next call on; the seed and the count of calls stay.
    pub const fn set_config(&mut self, config: FaultConfig<OUTAGES>) {
        self.config = config;
    }

    /// What was ordered so far.
    #[must_use]
    pub const fn snapshot(&self) -> FaultSnapshot {
        self.told
    }
}
