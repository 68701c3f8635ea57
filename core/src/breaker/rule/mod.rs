//! When a closed breaker trips.

mod consecutive;
mod count;
mod either;
mod ewma;
mod rate;

pub use consecutive::Consecutive;
pub use count::FailureCount;
pub use either::Either;
pub use ewma::{Ewma, EwmaMemory};
pub use rate::{FailureRate, SlowRate};

use core::ops::Range;

use crate::Instant;

/// How one call ended, as a trip rule sees it. Ignored calls are never shown to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sample {
    /// The call failed.
    pub failed: bool,
    /// The call took longer than `slow_after`, however it ended.
    pub slow: bool,
}

impl Sample {
    /// Whether it counts against the callee.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        self.failed || self.slow
    }
}

/// How many of the calls a rule remembers count against the callee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rate {
    /// Calls remembered.
    pub calls: u32,
    /// Of these, the bad ones.
    pub bad: u32,
    /// Bad ones per thousand, rounded down (for a weighted rule: weighted). `None` before the first call.
    pub permille: Option<u16>,
}

impl Rate {
    /// `bad` of `calls`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most 1000")]
    pub fn of(bad: u32, calls: u32) -> Self {
        // The share is the same when both lose the same bits, and 22 of them leave room for the factor.
        let spare = 10_u32.saturating_sub(calls.leading_zeros());
        let (few, all) = (bad >> spare, calls >> spare);
        let permille = (few.min(all) * 1_000).checked_div(all).map(|permille| permille as u16);
        Self { calls, bad, permille }
    }
}

/// What a trip rule remembers, by what it looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Counts {
    /// Failed calls, if the rule looks at them.
    pub failed: Option<Rate>,
    /// Slow calls, if the rule looks at them.
    pub slow: Option<Rate>,
}

impl Counts {
    /// Failed calls only.
    #[must_use]
    pub const fn of_failed(rate: Rate) -> Self {
        Self { failed: Some(rate), slow: None }
    }

    /// Slow calls only.
    #[must_use]
    pub const fn of_slow(rate: Rate) -> Self {
        Self { failed: None, slow: Some(rate) }
    }
}

/// Decides when a closed breaker trips. The rule is configuration and shared; what it remembers of the calls is its
/// `Memory`, kept inline in each breaker and emptied whenever the breaker closes or goes half-open.
///
/// The contract of a rule of one's own:
///
/// - [`record`](TripRule::record) is called once per judged call, under the breaker's lock: no loop over everything
///   remembered, no panic, whatever the instants are. They may step back.
/// - What an idle breaker remembers must not depend on somebody looking: expire on read.
///
/// ```
/// use fusebox::breaker::{Counts, Rate, Sample, TripRule};
/// use fusebox::{Breaker, BreakerConfig, Gate, Instant, Outcome, State};
///
/// /// Trips when failures outnumber successes by `lead`: a leaky counter.
/// #[derive(Clone, Copy, Debug)]
/// struct Outnumbered { lead: u32 }
///
/// impl TripRule for Outnumbered {
///     type Memory = u32;
///     const EMPTY: u32 = 0;
///
///     fn record(&self, lead: &mut u32, sample: Sample, _now: Instant) -> bool {
///         *lead = if sample.failed { lead.saturating_add(1) } else { lead.saturating_sub(1) };
///         *lead >= self.lead
///     }
///
///     fn counts(&self, lead: &u32, _now: Instant) -> Counts {
///         Counts::of_failed(Rate::of(*lead, *lead))
///     }
///
///     fn rests_at(&self, lead: &u32) -> Option<Instant> {
///         (*lead == 0).then_some(Instant::EPOCH)
///     }
///
///     // So that the atomic twin need not lock for good calls: it does not matter when they end, and `lead` of them take
///     // the counter to zero.
///     fn alike(&self, _lead: &u32) -> Option<core::ops::Range<Instant>> {
///         Some(Instant::EPOCH..Instant::MAX)
///     }
///
///     fn enough(&self) -> u32 {
///         self.lead
///     }
///
///     fn record_good(&self, lead: &mut u32, count: u32) {
///         *lead = lead.saturating_sub(count);
///     }
/// }
///
/// let mut breaker = Breaker::<_, 1>::new(BreakerConfig::builder(Outnumbered { lead: 2 }).build().unwrap());
/// for outcome in [Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Failure] {
///     let permit = breaker.try_acquire(Instant::EPOCH).unwrap();
///     breaker.release(permit, outcome, Instant::EPOCH);
/// }
/// assert_eq!(breaker.state(), State::Open);
/// ```
pub trait TripRule: Copy + core::fmt::Debug {
    /// What is remembered per breaker.
    type Memory: Clone + core::fmt::Debug;
    /// Nothing remembered.
    const EMPTY: Self::Memory;
    /// Whether the rule looks at slow calls, so that a breaker without `slow_after` makes no sense with it.
    const NEEDS_SLOW_AFTER: bool = false;

    /// Takes `sample` into `memory` and says whether the rule is now met. The breaker trips on `true` only if the
    /// sample counts against the callee: a success in time never trips.
    fn record(&self, memory: &mut Self::Memory, sample: Sample, now: Instant) -> bool;

    /// What `memory` holds at `now`.
    fn counts(&self, memory: &Self::Memory, now: Instant) -> Counts;

    /// From when on `memory`, left alone, holds nothing against the callee: [`Instant::EPOCH`] when it is so already,
    /// `None` when time does not help. Late is allowed, early is not.
    fn rests_at(&self, memory: &Self::Memory) -> Option<Instant>;

    /// The span of time in which good calls, neither failed nor slow, are alike to `memory`: however many end in it,
    /// whenever they do, they may be taken in later, all at once, by [`record_good`](TripRule::record_good). So the atomic
    /// twin ([`sync::Breaker`](crate::sync)) need not lock for them; from [`Instant::EPOCH`] to [`Instant::MAX`], it need not
    /// even look at the time. `None`: each is recorded when it ends.
    fn alike(&self, memory: &Self::Memory) -> Option<Range<Instant>> {
        let _ = memory;
        None
    }

    /// After so many good calls in a row one more changes nothing, whatever was remembered before: those need not even be
    /// counted.
    #[inline]
    fn enough(&self) -> u32 {
        u32::MAX
    }

    /// Takes in `count` good calls that are alike; there may have been more, if it is [enough](TripRule::enough). Records
    /// one after the other unless overridden.
    fn record_good(&self, memory: &mut Self::Memory, count: u32) {
        let Some(Range { start, .. }) = self.alike(memory) else { return };
        for _ in 0..count.min(self.enough()) {
            self.record(memory, Sample { failed: false, slow: false }, start);
        }
    }
}
