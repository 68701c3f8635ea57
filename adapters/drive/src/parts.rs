//! The layers of a pipeline, by one name.

use fusebox::{Clock, Policy, Rejected, SharedBudget, SharedGate};

use crate::turns::Freeing;
use crate::{Layers, Turns};

/// The types of a pipeline's layers, so that what works on a call names one type instead of six.
pub(crate) trait Parts {
    type Timer: Clock;
    type Gate: SharedGate;
    type Turns: Turns;
    type Budget: SharedBudget;
    type Policy: Policy;
    type CallGate: SharedGate;

    fn layers(&self) -> &LayersOf<Self>;

    /// The gates of an attempt.
    #[inline]
    fn gate(&self) -> Freeing<'_, Self::Gate, Self::Turns> {
        let Layers { gate, turns, .. } = self.layers();
        Freeing { gate, turns }
    }

    /// The gates of the call.
    #[inline]
    fn call_gate(&self) -> Freeing<'_, Self::CallGate, Self::Turns> {
        let Layers { call_gate, turns, .. } = self.layers();
        Freeing { gate: call_gate, turns }
    }

    /// Whether the first in line stays for what others give back.
    #[inline]
    fn waits_for_a_release(&self, rejected: Rejected) -> bool {
        Self::Turns::WAITS && self.layers().policy.waits_for_gates() && rejected.reason.frees_on_release()
    }

    #[inline]
    fn timer(&self) -> &Self::Timer {
        &self.layers().timer
    }

    #[inline]
    fn budget(&self) -> &Self::Budget {
        &self.layers().budget
    }
}

pub(crate) type LayersOf<L> = Layers<
    <L as Parts>::Timer,
    <L as Parts>::Gate,
    <L as Parts>::Turns,
    <L as Parts>::Budget,
    <L as Parts>::Policy,
    <L as Parts>::CallGate,
>;

pub(crate) type PermitOf<L> = <<L as Parts>::Gate as SharedGate>::Permit;
pub(crate) type CallPermitOf<L> = <<L as Parts>::CallGate as SharedGate>::Permit;
pub(crate) type WithdrawalOf<L> = <<L as Parts>::Budget as SharedBudget>::Withdrawal;

impl<T, G, W, B, P, C> Parts for Layers<T, G, W, B, P, C>
where
    T: Clock,
    G: SharedGate,
    W: Turns,
    B: SharedBudget,
    P: Policy,
    C: SharedGate,
{
    type Timer = T;
    type Gate = G;
    type Turns = W;
    type Budget = B;
    type Policy = P;
    type CallGate = C;

    #[inline]
    fn layers(&self) -> &Self {
        self
    }
}
