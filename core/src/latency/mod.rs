//! Latency: how long calls take, as a quantile, from a sketch of fixed size.
//!
//! # Why
//! A hedge starts a second attempt when the first has taken longer than, say, 95 % of calls do. So somebody must know
//! that latency, and the loser of each such race is dropped before it ends: nobody sees how long it would have taken. Who
//! leaves losers out sees a shorter tail, hedges earlier, drops more, and sees a still shorter one: call by call the delay
//! falls, where slow calls are a group of their own to a twentieth. A loser was seen to take *at least* so long (it is
//! censored); that is enough to keep the quantile where it is.
//!
//! # State picture
//! ```text
//!   record, record_censored            its time is over, or it is full          its time is over
//!   ------------------------> current --------------------------------> previous ----------------> forgotten
//!                                 \________________    __________________/
//!                                                  \  /
//!                                                quantile
//! ```
//! # Contract
//! - A latency counts for at least one window and at most two; a window ends early when it holds 32767. Time alone makes
//!   them fade: what is asked after two idle windows is unknown.
//! - The answer is that of Kaplan and Meier ("Nonparametric Estimation from Incomplete Observations", JASA 53, 1958), the
//!   product limit: each time that calls end, the share of those that outlived everything before shrinks by how many of
//!   those still watched end then. Without censored ones that is the ordinary quantile.
//! - Latencies are told apart by buckets, four per power of two, and answered as the upper end of their bucket. So
//!   [`Bound::AtMost`] is never below the quantile, and above it by at most a quarter, or by 1.024 us below 4.096 us.
//!   A censored one counts to the end of its bucket, at most a quarter later.
//! - When the calls that were seen to end do not reach the quantile, because all that is known of the tail is censored,
//!   nobody can know it: the answer is [`Bound::AtLeast`], a lower bound. So it is from 137 s (2^37 ns) on.
//! - What makes it right: a call is censored for a reason that says nothing about how long it would have gone on. The other
//!   attempt won, or its time was up: both will do. "It looked slow" will not. A failure is no latency; leave it out.
//! - Recording is O(1), but for one copy per window. An answer is kept for the next 15 records and then found anew, in a
//!   walk over 105 buckets with two 32-bit divisions in each that something ended in.
//! - A clock that steps back makes the current window last for at most one more window's time.
//!
//! # Defaults
//! A window of 30 seconds: long enough to fill at a few calls a second, short enough to follow a callee that changes. At
//! least 20 latencies, the fewest that have one above the 95 % quantile; until then there is no answer, and the caller
//! uses a fixed delay.
//!
//! # Example
//! ```
//! use fusebox::latency::{LatencyConfig, LatencySketch, Bound};
//! use fusebox::{Instant, nanos};
//!
//! let mut sketch = const { LatencySketch::new(LatencyConfig::DEFAULT) };
//! let now = Instant::from_secs(1);
//! assert_eq!(sketch.quantile(950, now), None);
//! let ms = 1_000_000;
//! for _ in 0..90 {
//!     sketch.record(10 * ms, now);
//! }
//! for _ in 0..10 {
//!     sketch.record_censored(20 * ms, now); // dropped after 20 ms: who knows how long it would have taken
//! }
//! assert_eq!(sketch.quantile(900, now), Some(Bound::AtMost(10_485_760)));
//! assert_eq!(sketch.quantile(950, now), Some(Bound::AtLeast(16_777_216)));
//! assert_eq!(sketch.quantile(950, Instant::from_secs(61)), None); // all forgotten
//! ```
//! 896 bytes inline. Behind a lock it serves all hedges of a kind: see
//! [`HedgePolicy::measured`](crate::HedgePolicy::measured).
//!
//! # When not
//! For dashboards use your metrics library's histogram, which has more buckets and does not forget. For a mean, or where
//! no call is ever dropped half-way, less will do.

mod buckets;
mod config;
mod product;
mod shared;

#[cfg(test)]
mod tests;

pub use config::{LatencyBuilder, LatencyConfig};

use crate::Instant;
use buckets::Window;

/// What is known of a latency, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Bound {
    /// It is not above this, and not below four fifths of it (or, below 4.096 us, this less 1.024 us).
    AtMost(u64),
    /// It is not below this; nobody saw enough calls end to know more.
    AtLeast(u64),
}

impl Bound {
    /// The bound, whichever it is: what a hedge waits for.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        match self {
            Self::AtMost(nanos) | Self::AtLeast(nanos) => nanos,
        }
    }
}

/// What a sketch can tell about itself, as of the last call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LatencySnapshot {
    /// Latencies of calls that ended, in both windows.
    pub ended: u32,
    /// Those of calls that were dropped before.
    pub censored: u32,
}

/// The answer that was found last.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Told {
    permille: u16,
    /// For so many more records it stands.
    records: u8,
    answer: Bound,
}

/// A sketch of latencies: see the [module](self).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LatencySketch {
    config: LatencyConfig,
    current: Window,
    previous: Window,
    /// When the current window began.
    since: Instant,
    told: Option<Told>,
}

impl LatencySketch {
    /// How many records an answer stands for.
    const STANDS: u8 = 16;

    /// Nothing recorded.
    #[must_use]
    pub const fn new(config: LatencyConfig) -> Self {
        Self { config, current: Window::EMPTY, previous: Window::EMPTY, since: Instant::EPOCH, told: None }
    }

    /// A call ended after `nanos`.
    #[inline]
    pub fn record(&mut self, nanos: u64, now: Instant) {
        self.make_room(now);
        self.current.add_ended(nanos);
    }

    /// A call was dropped after `nanos`, or goes on still: it takes at least so long. Its end, if it is ever seen, must
    /// not be recorded as well.
    #[inline]
    pub fn record_censored(&mut self, nanos: u64, now: Instant) {
        self.make_room(now);
        self.current.add_censored(nanos);
    }

    /// The latency that `permille` of 1000 calls do not exceed, as of up to 15 records ago. `None` while fewer than
    /// [`minimum`](LatencyBuilder::minimum) latencies are known.
    pub fn quantile(&mut self, permille: u16, now: Instant) -> Option<Bound> {
        self.forget(now);
        if self.current.total() + self.previous.total() < u32::from(self.config.minimum) {
            return None;
        }
        if let Some(told) = self.told.filter(|told| told.permille == permille && told.records > 0) {
            return Some(told.answer);
        }
        let answer = product::quantile(&self.previous, &self.current, permille);
        self.told = Some(Told { permille, records: Self::STANDS, answer });
        Some(answer)
    }

    /// What it can tell about itself.
    #[must_use]
    pub fn snapshot(&self) -> LatencySnapshot {
        let censored = self.current.censored() + self.previous.censored();
        LatencySnapshot { ended: self.current.total() + self.previous.total() - censored, censored }
    }

    fn make_room(&mut self, now: Instant) {
        self.forget(now);
        if self.current.is_full() {
            self.turn(now);
        }
        if let Some(told) = &mut self.told {
            told.records = told.records.saturating_sub(1);
        }
    }

    /// Ends windows whose time is over.
    fn forget(&mut self, now: Instant) {
        self.since = self.since.min(now);
        let window = self.config.window;
        let age = now.nanos_since(self.since);
        if age < window {
            return;
        }
        self.turn(self.since.after(window));
        if age - window >= window {
            self.turn(now);
        }
    }

    const fn turn(&mut self, now: Instant) {
        self.previous = core::mem::replace(&mut self.current, Window::EMPTY);
        self.since = now;
        self.told = None;
    }
}
