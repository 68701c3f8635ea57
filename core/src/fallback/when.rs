//! For which ends of a call an alternative is meant.

use crate::{Cause, Reason};

/// A set of ways in which a call can end without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a set of causes does nothing by itself"]
pub struct When {
    causes: u8,
    /// A bit for each [`Reason`].
    reasons: u64,
}

const FAILED: u8 = 1;
const STOPPED: u8 = 2;
const OUT_OF_TIME: u8 = 4;

impl When {
    /// All attempts failed, or the next one could not be paid, or must not be made.
    pub const FAILED: Self = Self { causes: FAILED, reasons: 0 };
    /// The classifier said that trying again is no use. Often the caller's own fault, which no alternative mends.
    pub const STOPPED: Self = Self { causes: STOPPED, reasons: 0 };
    /// The deadline came.
    pub const OUT_OF_TIME: Self = Self { causes: OUT_OF_TIME, reasons: 0 };
    /// A gate refused.
    pub const REFUSED: Self = Self { causes: 0, reasons: u64::MAX };
    /// All of these.
    pub const ANY: Self = Self { causes: u8::MAX, reasons: u64::MAX };

    /// A gate refused for `reason`.
    pub const fn refused_for(reason: Reason) -> Self {
        Self { causes: 0, reasons: 1 << reason as u32 }
    }

    /// These or `other`.
    pub const fn or(self, other: Self) -> Self {
        Self { causes: self.causes | other.causes, reasons: self.reasons | other.reasons }
    }

    /// Whether a call that ended for `cause` is meant.
    #[must_use]
    pub const fn has(self, cause: Cause) -> bool {
        let of = match cause {
            Cause::Refused(rejected) => Self::refused_for(rejected.reason),
            Cause::OutOfTime(_) => Self::OUT_OF_TIME,
            Cause::Stopped => Self::STOPPED,
            Cause::Exhausted | Cause::BudgetExhausted | Cause::NotIdempotent => Self::FAILED,
        };
        self.causes & of.causes != 0 || self.reasons & of.reasons != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rejected, Stage};

    #[test]
    fn sets_of_causes() {
        let refused = |reason| Cause::Refused(Rejected { reason, retry_at: None });
        let all = [
            (Cause::Exhausted, When::FAILED),
            (Cause::BudgetExhausted, When::FAILED),
            (Cause::NotIdempotent, When::FAILED),
            (Cause::Stopped, When::STOPPED),
            (Cause::OutOfTime(Stage::Gate(Reason::Open)), When::OUT_OF_TIME),
            (refused(Reason::Open), When::REFUSED),
            (refused(Reason::Throttled), When::REFUSED),
        ];
        for (cause, own) in all {
            for when in [When::FAILED, When::STOPPED, When::OUT_OF_TIME, When::REFUSED] {
                assert_eq!(when.has(cause), when == own, "{cause:?} {when:?}");
            }
            assert!(When::ANY.has(cause) && When::STOPPED.or(own).has(cause));
        }
        let open = When::refused_for(Reason::Open).or(When::refused_for(Reason::SlowStart));
        assert!(open.has(refused(Reason::Open)) && open.has(refused(Reason::SlowStart)));
        assert!(!open.has(refused(Reason::InFlight)) && !open.has(Cause::Exhausted));
    }
}
