//! Kinds of gates: the configuration apart from what one gate of that kind remembers.

use crate::{Instant, Outcome, Rejected};

/// The configuration of a [`Gate`](crate::Gate), with the rules as its methods and what one gate remembers as its
/// `State`: so that many gates can share one configuration, as in the [keyed](crate::keyed) ones. Always give a state the
/// kind it was made for. The methods are those of `Gate`, except for [`rests_at`](GateKind::rests_at).
pub trait GateKind {
    /// What one gate remembers.
    type State;
    /// See [`Gate::Permit`](crate::Gate::Permit).
    type Permit;
    /// Nothing remembered.
    const FRESH: Self::State;

    /// See [`Gate::try_acquire`](crate::Gate::try_acquire).
    ///
    /// # Errors
    /// [`Rejected`] says why not and when to come back.
    fn try_acquire(&self, state: &mut Self::State, now: Instant) -> Result<Self::Permit, Rejected>;

    /// See [`Gate::release`](crate::Gate::release).
    fn release(&self, state: &mut Self::State, permit: Self::Permit, outcome: Outcome, now: Instant);

    /// See [`Gate::cancel`](crate::Gate::cancel).
    fn cancel(&self, state: &mut Self::State, permit: Self::Permit, now: Instant);

    /// See [`Gate::poll_timeout`](crate::Gate::poll_timeout).
    fn poll_timeout(&self, state: &Self::State) -> Option<Instant>;

    /// See [`Gate::handle_timeout`](crate::Gate::handle_timeout).
    fn handle_timeout(&self, state: &mut Self::State, now: Instant);

    /// From when on `state` is no different from [`FRESH`](GateKind::FRESH) for whoever asks, if it is left alone:
    /// [`Instant::EPOCH`] when it is so already, `None` when waiting does not get it there. A state at rest can be
    /// thrown away and nothing is lost.
    fn rests_at(&self, state: &Self::State) -> Option<Instant>;

    /// Whether `state` is held by hand (forced open, say), and so must be kept however long it is left alone.
    fn is_held(&self, state: &Self::State) -> bool;

    /// The longest time for which `state` can refuse, once it is left alone, in nanoseconds.
    fn longest_refusal(&self) -> u64;
}
