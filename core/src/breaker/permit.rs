//! What a breaker gives out.

use crate::Instant;

/// Permission to make one call. 16 bytes.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its breaker: release or cancel it"]
pub struct Permit {
    pub(crate) started: Instant,
    pub(crate) generation: u32,
    pub(crate) kind: Kind,
}

impl Permit {
    /// For a call while the breaker is closed.
    #[inline]
    pub(crate) const fn for_call(generation: u32, now: Instant) -> Self {
        Self { started: now, generation, kind: Kind::Call }
    }

    #[cfg(target_has_atomic = "64")]
    #[inline]
    pub(crate) const fn is_for_call(&self) -> bool {
        matches!(self.kind, Kind::Call)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Kind {
    Call,
    Trial(u16),
    /// Let through by hand or by a dry run; its outcome says nothing.
    Unjudged,
}
