//! One limit, several classes of calls.

mod gates;
#[cfg(test)]
mod tests;

use core::num::NonZeroU32;

pub use gates::{ClassGate, SharedClass};

use super::{BulkheadConfig, BulkheadSnapshot, BulkheadState, refusal};
use crate::{ConfigError, Instant, Outcome, Reason, Rejected};

/// What a class of calls may have of a [`ClassBulkhead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Class {
    reserved: u16,
    shed_above: u16,
}

impl Class {
    /// Nothing is kept for it, and it is let in while there is a place that is not kept for others.
    #[must_use]
    pub const fn new() -> Self {
        Self { reserved: 0, shed_above: 1_000 }
    }

    /// Keeps `permille` of the limit for it, rounded up, whether it uses them or not.
    #[must_use]
    pub const fn reserve(mut self, permille: u16) -> Self {
        self.reserved = permille;
        self
    }

    /// Lets it in, beyond what is kept for it, only as long as no more than `permille` of the limit, rounded down, are
    /// then taken by all classes together: the fuller it gets, the more classes are shed.
    #[must_use]
    pub const fn shed_above(mut self, permille: u16) -> Self {
        self.shed_above = permille;
        self
    }
}

impl Default for Class {
    fn default() -> Self {
        Self::new()
    }
}

/// What a bulkhead can tell about one class. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClassSnapshot {
    /// Places it takes.
    pub in_flight: u32,
    /// Places kept for it.
    pub reserved: u32,
    /// Above so many places taken by all, it is shed.
    pub shed_above: u32,
    /// The most it ever took at once.
    pub highest: u32,
    /// Times it was refused.
    pub refused: u32,
}

/// Permission for what takes so many places.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its bulkhead: release or cancel it"]
pub struct ClassPermit {
    class: usize,
    n: u32,
}

/// A class and its numbers at the present limit.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Counted {
    class: Class,
    reserved: u32,
    shed_above: u32,
    state: BulkheadState,
}

impl Counted {
    /// Places kept for it that it does not take.
    const fn unused(&self) -> u32 {
        self.reserved.saturating_sub(self.state.in_flight())
    }
}

/// A [`Bulkhead`](super::Bulkhead) for calls that are not equally dear: load shedding by class.
///
/// Class 0 is the dearest. Two settings per class: places that are kept for it ([`Class::reserve`]), and how full the
/// whole may be before it is shed ([`Class::shed_above`]).
///
/// - Never more than the limit in flight, all classes together, except after the limit was lowered.
/// - A class that takes fewer places than are kept for it is granted, whatever the others do (not while more is in flight
///   than a lowered limit allows).
/// - What is not kept is for whoever comes first, up to each class's `shed_above`.
/// - A class is refused as [`Reason::Shed`] when there is a place but not for it, as [`Reason::InFlight`] when there is
///   none.
///
/// The shares of limits that do not divide: rounded up from class 0 on, as long as there are places left. A class beyond
/// the last counts as the last.
///
/// | to do as | classes |
/// | --- | --- |
/// | Stripe's fleet usage load shedder (Paul Tarjan, "Scaling your API with rate limiters", 2017): 20 % are kept for critical requests, the others get no more than 80 % | `[reserve(200), new()]` |
/// | Netflix's gateway ("Keeping Netflix Reliable Using Prioritized Load Shedding", 2020): the less important, the earlier it is shed | `[new(), shed_above(950), shed_above(800)]` |
/// | a partitioned limiter (Netflix concurrency-limits, `AbstractPartitionedLimiter`): 30 % and 50 % guaranteed, each may have more while there is room | `[reserve(500), reserve(300)]` |
///
/// That last one keeps its guarantee in another way: it lets a class below its share in although the whole is full. Here
/// the limit is a limit, so what is guaranteed is kept free; reserve less than the whole, and the rest is for all.
///
/// ```
/// use core::num::NonZeroU32;
/// use fusebox::bulkhead::{Class, ClassBulkhead};
/// use fusebox::{Instant, Outcome, Reason, checked};
///
/// const CRITICAL: usize = 0;
/// const REST: usize = 1;
/// let mut bulkhead = const {
///     checked!(ClassBulkhead::new(NonZeroU32::new(5).unwrap(), [Class::new().reserve(200), Class::new()]))
/// };
/// let now = Instant::EPOCH;
/// let rest = [(); 4].map(|()| bulkhead.try_acquire(REST, now).unwrap());
/// assert_eq!(bulkhead.try_acquire(REST, now).unwrap_err().reason, Reason::Shed);
/// let critical = bulkhead.try_acquire(CRITICAL, now).unwrap();
/// assert_eq!(bulkhead.try_acquire(CRITICAL, now).unwrap_err().reason, Reason::InFlight);
/// for permit in rest {
///     bulkhead.release(permit, Outcome::Success, now);
/// }
/// let _second = bulkhead.try_acquire(CRITICAL, now).unwrap(); // not only what is kept for it
/// # bulkhead.cancel(critical, now);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ClassBulkhead<const N: usize> {
    limit: NonZeroU32,
    whole: BulkheadState,
    classes: [Counted; N],
}

impl<const N: usize> ClassBulkhead<N> {
    /// At most `limit` in flight, divided among `classes`; nothing is in flight.
    ///
    /// # Errors
    /// When there are no classes, a share is no share, more than all is kept, or a class could never be let in.
    pub const fn new(limit: NonZeroU32, classes: [Class; N]) -> Result<Self, ConfigError> {
        let mut counted =
            [const { Counted { class: Class::new(), reserved: 0, shed_above: 0, state: BulkheadState::new() } }; N];
        let (mut from, mut to): (&[Class], &mut [Counted]) = (&classes, &mut counted);
        while let ([class, more @ ..], [place, places @ ..]) = (from, to) {
            place.class = *class;
            (from, to) = (more, places);
        }
        let mut bulkhead = Self { limit, whole: BulkheadState::new(), classes: counted };
        bulkhead.divide();
        match bulkhead.problem() {
            None => Ok(bulkhead),
            Some((setting, problem)) => Err(ConfigError::new(setting, problem)),
        }
    }

    /// What is wrong with the configuration.
    const fn problem(&self) -> Option<(&'static str, &'static str)> {
        if N == 0 {
            return Some(("classes", "nobody could be let in"));
        }
        let mut kept = 0;
        let mut classes: &[Counted] = &self.classes;
        while let [counted, more @ ..] = classes {
            let Class { reserved, shed_above } = counted.class;
            kept += reserved as u32;
            if reserved > 1_000 || kept > 1_000 {
                return Some(("reserve", "more than 1000 permille cannot be kept"));
            }
            if shed_above == 0 || shed_above > 1_000 {
                return Some(("shed_above", "from 1 to 1000 permille of the limit"));
            }
            if self.most(counted) == 0 {
                return Some(("limit", "too low for all the classes: one could never be let in"));
            }
            classes = more;
        }
        None
    }

    /// The shares of the present limit.
    const fn divide(&mut self) {
        let limit = self.limit.get();
        let mut left = limit;
        let mut classes: &mut [Counted] = &mut self.classes;
        while let [counted, more @ ..] = classes {
            let Class { reserved, shed_above } = counted.class;
            let wanted = limit - share(limit, 1_000_u16.saturating_sub(reserved));
            counted.reserved = if wanted < left { wanted } else { left };
            left -= counted.reserved;
            counted.shed_above = share(limit, shed_above);
            classes = more;
        }
    }

    /// The most that a class can ever have at the present limit.
    const fn most(&self, counted: &Counted) -> u32 {
        let open = self.limit.get() - (self.reserved() - counted.reserved);
        let open = if open < counted.shed_above { open } else { counted.shed_above };
        if open > counted.reserved { open } else { counted.reserved }
    }

    /// Places kept for all classes. No more than the limit.
    const fn reserved(&self) -> u32 {
        let mut sum = 0;
        let mut classes: &[Counted] = &self.classes;
        while let [counted, more @ ..] = classes {
            sum += counted.reserved;
            classes = more;
        }
        sum
    }

    /// Another limit from now on; see [`Bulkhead::resize`](super::Bulkhead::resize). One that is very low may leave no place
    /// for the last classes.
    pub const fn resize(&mut self, limit: NonZeroU32, _now: Instant) {
        self.limit = limit;
        self.divide();
    }

    const fn config(&self) -> BulkheadConfig {
        BulkheadConfig::new(self.limit)
    }

    /// The limit of all classes together.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// Takes a place for `class`.
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    #[inline]
    pub fn try_acquire(&mut self, class: usize, now: Instant) -> Result<ClassPermit, Rejected> {
        self.try_acquire_n(class, 1, now)
    }

    /// Takes `n` places for `class` at once, or none. No places are always granted.
    ///
    /// # Errors
    /// [`Reason::InFlight`] when there are not so many places, [`Reason::Shed`] when they are not for this class, and
    /// [`Reason::OverLimit`] when the class can never have so many.
    pub fn try_acquire_n(&mut self, class: usize, n: u32, _now: Instant) -> Result<ClassPermit, Rejected> {
        let class = Self::index(class);
        let admitted = self.admit(class, n);
        let (whole, counted) = (&mut self.whole, self.classes.get_mut(class));
        for state in [Some(whole), counted.map(|counted| &mut counted.state)].into_iter().flatten() {
            if admitted.is_ok() {
                state.add(n);
            } else {
                state.count_refusal();
            }
        }
        admitted.map(|()| ClassPermit { class, n }).map_err(refusal)
    }

    /// The rule.
    fn admit(&self, class: usize, n: u32) -> Result<(), Reason> {
        let counted = self.classes.get(class).ok_or(Reason::OverLimit)?;
        if n > self.most(counted) {
            return Err(Reason::OverLimit);
        }
        if n == 0 {
            return Ok(());
        }
        let within = |limit: u32, taken: u32| taken.checked_add(n).is_some_and(|sum| sum <= limit);
        let (limit, taken) = (self.limit.get(), self.whole.in_flight());
        if !within(limit, taken) {
            return Err(Reason::InFlight);
        }
        let unused: u32 = self.classes.iter().map(Counted::unused).sum();
        let for_others = unused - counted.unused();
        let is_its_own = within(counted.reserved, counted.state.in_flight());
        if within(limit - for_others, taken) && (is_its_own || within(counted.shed_above, taken)) {
            return Ok(());
        }
        Err(Reason::Shed)
    }

    fn index(class: usize) -> usize {
        class.min(N.saturating_sub(1))
    }

    /// See [`Gate::release`](crate::Gate::release).
    pub fn release(&mut self, permit: ClassPermit, _outcome: Outcome, now: Instant) {
        self.cancel(permit, now);
    }

    /// See [`Gate::cancel`](crate::Gate::cancel).
    pub fn cancel(&mut self, permit: ClassPermit, _now: Instant) {
        self.whole.give_back(permit.n);
        if let Some(counted) = self.classes.get_mut(Self::index(permit.class)) {
            counted.state.give_back(permit.n);
        }
    }

    /// What it can tell about all classes together.
    #[must_use]
    pub const fn snapshot(&self) -> BulkheadSnapshot {
        self.whole.snapshot(&self.config())
    }

    /// What it can tell about each class, class 0 first.
    pub fn classes(&self) -> impl Iterator<Item = ClassSnapshot> {
        self.classes.iter().map(|counted| {
            let BulkheadSnapshot { in_flight, highest, refused, .. } = counted.state.snapshot(&self.config());
            let Counted { reserved, shed_above, .. } = *counted;
            ClassSnapshot { in_flight, reserved, shed_above, highest, refused }
        })
    }
}

/// `permille` of `n`, rounded down. In 32 bits, so that small cores can resize at run time.
#[expect(clippy::integer_division, reason = "configuration, not a decision")]
const fn share(n: u32, permille: u16) -> u32 {
    let (thousands, permille) = (n / 1_000, if permille < 1_000 { permille as u32 } else { 1_000 });
    thousands * permille + (n - thousands * 1_000) * permille / 1_000
}
