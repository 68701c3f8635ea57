//! How a limit follows what its calls show.

mod aimd;
mod gradient2;
mod vegas;

pub use aimd::Aimd;
pub use gradient2::{Gradient2, Gradient2Memory};
pub use vegas::Vegas;

use super::fixed::Estimate;

/// What the calls of a round trip showed, or one that was dropped. Only what says something about load is shown to a
/// rule: see the [module](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sample {
    /// How long they took, in nanoseconds, on average: from 1 to 2^48 - 1.
    pub rtt: u64,
    /// The most that were in flight when one of them started, itself included; of a longer while if
    /// [`Headroom`](super::Headroom) has a window. For a dropped one, when it ended if that was more.
    pub in_flight: u16,
    /// It was not served: a timeout, or the callee asked to be left alone. Its time says nothing then.
    pub dropped: bool,
    /// How long a call takes when it meets no queue, in nanoseconds, as far as is known.
    pub no_load: Option<u64>,
}

/// What a rule wants to know of the time that a call takes without load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NoLoad {
    /// Nothing: it is never probed for. (The shortest is kept all the same, to tell what fails too fast to mean
    /// anything.)
    Unused,
    /// The shortest. A call that is shorter still lowers it at once; alone, it is not shown to the rule.
    Shortest,
    /// The mean of some calls. Until it is known the rule is shown nothing but drops.
    Mean,
}

/// Adjusts a limit. The rule is configuration and shared; what it remembers of the calls is its `Memory`, kept inline
/// in each limit.
///
/// The contract of a rule of one's own: [`update`](LimitRule::update) is called at most once per call, under the
/// limit's lock: no long loop, no panic, no division of `u64`s. Its answer is not taken as it is:
///
/// - it is held between the configured least and greatest limit;
/// - a dropped call never raises the limit;
/// - nothing but a dropped call changes it while too little is in flight ([`Headroom`](super::Headroom)), or while the
///   time without load is probed for.
///
/// ```
/// use core::time::Duration;
/// use fusebox::adaptive::{Estimate, LimitRule, NoLoad, Sample};
/// use fusebox::{AdaptiveConfig, AdaptiveLimit, Gate, Instant, Outcome};
///
/// /// One up when a call was quick, one down when it was not.
/// #[derive(Clone, Copy, Debug)]
/// struct Ladder { quick: Duration }
///
/// impl LimitRule for Ladder {
///     type Memory = ();
///     const EMPTY: () = ();
///
///     fn update(&self, _memory: &mut (), limit: Estimate, sample: &Sample) -> Estimate {
///         let quick = !sample.dropped && sample.rtt <= fusebox::nanos(self.quick);
///         if quick { limit.plus(1) } else { limit.minus(1) }
///     }
///
///     fn no_load(&self) -> NoLoad {
///         NoLoad::Unused
///     }
/// }
///
/// let rule = Ladder { quick: Duration::from_millis(10) };
/// let mut limit = AdaptiveLimit::new(AdaptiveConfig::builder(rule).limits(1, 1, 9).build().unwrap());
/// for (took, then) in [(10, 2), (11, 1)] {
///     let permit = limit.try_acquire(Instant::EPOCH).unwrap();
///     limit.release(permit, Outcome::Success, Instant::from_millis(took));
///     assert_eq!(limit.limit(), then);
/// }
/// ```
pub trait LimitRule: Copy + core::fmt::Debug {
    /// What is remembered per limit.
    type Memory: Clone + core::fmt::Debug;
    /// Nothing remembered.
    const EMPTY: Self::Memory;
    /// Whether a configuration without `timeout` makes no sense with it.
    const NEEDS_TIMEOUT: bool = false;

    /// What `limit` is after `sample`.
    fn update(&self, memory: &mut Self::Memory, limit: Estimate, sample: &Sample) -> Estimate;

    /// What it wants to know of calls without load.
    fn no_load(&self) -> NoLoad;
}
