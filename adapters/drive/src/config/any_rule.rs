//! A trip rule that a file has chosen.

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

            fn record(&self, memory: &mut OneMemory, sample: Sample, now: Instant) -> bool {
                match self {
                    $(Self::$kind(rule) => {
                        if let OneMemory::$kind(memory) = memory {
                            return rule.record(memory, sample, now);
                        }
                        let mut begun = <$rule>::EMPTY;
                        let met = rule.record(&mut begun, sample, now);
                        *memory = OneMemory::$kind(begun);
                        met
                    })*
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

            fn pack(&self, memory: &OneMemory) -> Option<u64> {
                match (self, memory) {
                    $((Self::$kind(rule), OneMemory::$kind(memory)) => rule.pack(memory),)*
                    $((Self::$kind(rule), _) => rule.pack(&<$rule>::EMPTY),)*
                }
            }

            fn unpack(&self, packed: u64) -> OneMemory {
                match self {
                    $(Self::$kind(rule) => OneMemory::$kind(rule.unpack(packed)),)*
                }
            }

            fn record_packed(&self, packed: u64, sample: Sample) -> (u64, bool) {
                match self {
                    $(Self::$kind(rule) => rule.record_packed(packed, sample),)*
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

    /// Of two, the memories do not fit.
    fn pack(&self, memory: &AnyMemory) -> Option<u64> {
        if self.other.is_some() { None } else { self.one.pack(&memory.one) }
    }

    fn unpack(&self, packed: u64) -> AnyMemory {
        AnyMemory { one: self.one.unpack(packed), other: OneMemory::Empty }
    }

    fn record_packed(&self, packed: u64, sample: Sample) -> (u64, bool) {
        self.one.record_packed(packed, sample)
    }
}
