//! A trip rule that a file has chosen.

use core::ops::Range;

use fusebox::Instant;
use fusebox::breaker::{
    Consecutive, CountWindow, Counts, Ewma, FailureCount, FailureRate, Sample, SlowRate, TimeWindow, TripRule,
};

/// The most calls that a window remembers.
pub(super) const CALLS: u16 = 1_024;
const WORDS: usize = CALLS as usize >> 5;
type Last = CountWindow<WORDS>;
type Within = TimeWindow<10>;

/// A rule is one of these, and so is what it remembers.
macro_rules! rules {
    ($($kind:ident: $rule:ty,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum OneRule {
            $($kind($rule),)*
        }

        #[derive(Clone, Debug)]
        enum OneMemory {
            Empty,
            $($kind(<$rule as TripRule>::Memory),)*
        }

        impl OneRule {
            pub(super) const fn looks_at_slow_calls(&self) -> bool {
                match self {
                    $(Self::$kind(_) => <$rule as TripRule>::NEEDS_SLOW_AFTER,)*
                }
            }

            /// A memory of this rule, if `memory` is none yet.
            const fn begin(&self, memory: &mut OneMemory) {
                match (self, &memory) {
                    $((Self::$kind(_), OneMemory::$kind(_)) => {})*
                    $((Self::$kind(_), _) => *memory = OneMemory::$kind(<$rule>::EMPTY),)*
                }
            }

            fn record(&self, memory: &mut OneMemory, sample: Sample, now: Instant) -> bool {
                self.begin(memory);
                match (self, memory) {
                    $((Self::$kind(rule), OneMemory::$kind(memory)) => rule.record(memory, sample, now),)*
                    _ => false,
                }
            }

            fn counts(&self, memory: &OneMemory, now: Instant) -> Counts {
                match (self, memory) {
                    $((Self::$kind(rule), OneMemory::$kind(memory)) => rule.counts(memory, now),)*
                    $((Self::$kind(rule), _) => rule.counts(&<$rule>::EMPTY, now),)*
                }
            }

            fn rests_at(&self, memory: &OneMemory) -> Option<Instant> {
                match (self, memory) {
                    $((Self::$kind(rule), OneMemory::$kind(memory)) => rule.rests_at(memory),)*
                    _ => Some(Instant::EPOCH),
                }
            }

            fn alike(&self, memory: &OneMemory) -> Option<Range<Instant>> {
                match (self, memory) {
                    $((Self::$kind(rule), OneMemory::$kind(memory)) => rule.alike(memory),)*
                    $((Self::$kind(rule), _) => rule.alike(&<$rule>::EMPTY),)*
                }
            }

            fn enough(&self) -> u32 {
                match self {
                    $(Self::$kind(rule) => rule.enough(),)*
                }
            }

            fn record_good(&self, memory: &mut OneMemory, count: u32) {
                self.begin(memory);
                match (self, memory) {
                    $((Self::$kind(rule), OneMemory::$kind(memory)) => rule.record_good(memory, count),)*
                    _ => {}
                }
            }
        }
    };
}

rules! {
    Consecutive: Consecutive,
    CountOfLast: FailureCount<Last>,
    CountWithin: FailureCount<Within>,
    RateOfLast: FailureRate<Last>,
    RateWithin: FailureRate<Within>,
    SlowOfLast: SlowRate<Last>,
    SlowWithin: SlowRate<Within>,
    Ewma: Ewma,
}

/// One of fusebox's trip rules, or two of which either trips; which, is known at run time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyRule {
    pub(super) one: OneRule,
    pub(super) other: Option<OneRule>,
}

/// What an [`AnyRule`] remembers.
#[derive(Clone, Debug)]
pub struct AnyMemory {
    one: OneMemory,
    other: OneMemory,
}

impl TripRule for AnyRule {
    type Memory = AnyMemory;
    const EMPTY: AnyMemory = AnyMemory { one: OneMemory::Empty, other: OneMemory::Empty };

    fn record(&self, memory: &mut AnyMemory, sample: Sample, now: Instant) -> bool {
        // Both must see the sample, so no short cut.
        let other = self.other.is_some_and(|other| other.record(&mut memory.other, sample, now));
        self.one.record(&mut memory.one, sample, now) | other
    }

    /// The first rule's, and what only the second looks at.
    fn counts(&self, memory: &AnyMemory, now: Instant) -> Counts {
        let one = self.one.counts(&memory.one, now);
        let other = self.other.map(|other| other.counts(&memory.other, now)).unwrap_or_default();
        Counts { failed: one.failed.or(other.failed), slow: one.slow.or(other.slow) }
    }

    fn rests_at(&self, memory: &AnyMemory) -> Option<Instant> {
        let one = self.one.rests_at(&memory.one)?;
        self.other.map_or(Some(one), |other| Some(one.max(other.rests_at(&memory.other)?)))
    }

    /// As long as both agree.
    fn alike(&self, memory: &AnyMemory) -> Option<Range<Instant>> {
        let one = self.one.alike(&memory.one)?;
        let Some(other) = self.other else { return Some(one) };
        let other = other.alike(&memory.other)?;
        Some(one.start.max(other.start)..one.end.min(other.end))
    }

    fn enough(&self) -> u32 {
        self.one.enough().max(self.other.map_or(0, |other| other.enough()))
    }

    fn record_good(&self, memory: &mut AnyMemory, count: u32) {
        self.one.record_good(&mut memory.one, count);
        if let Some(other) = self.other {
            other.record_good(&mut memory.other, count);
        }
    }
}
