//! Gates: machines that answer "may this start now?".

use crate::Instant;

/// How something that was let through ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Outcome {
    /// The callee did its work.
    Success,
    /// The callee failed, or took too long.
    Failure,
    /// The callee failed, and asked to be left alone until then (`Retry-After` with a 503, say). A failure in every
    /// respect; gates that are so configured heed the hint, within their own limits.
    Unavailable {
        /// When the callee expects to be back.
        retry_at: Instant,
    },
    /// It says nothing about the callee: cancelled half-way, or the caller's own fault.
    Ignored,
}

impl Outcome {
    /// Whether the callee failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failure | Self::Unavailable { .. })
    }

    /// When the callee asked to be called again, if it did.
    #[must_use]
    pub const fn hint(self) -> Option<Instant> {
        match self {
            Self::Unavailable { retry_at } => Some(retry_at),
            _ => None,
        }
    }
}

/// Why a gate refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Reason {
    /// The circuit breaker is open.
    Open,
    /// The circuit breaker is half-open and all its trials are out.
    TrialsOut,
    /// The circuit breaker was forced open by hand and stays so until it is reset.
    ForcedOpen,
    /// The circuit breaker has closed a short while ago and lets only a growing share of calls through.
    SlowStart,
    /// The endpoint was taken out because it does worse than it should, or than the others.
    Ejected,
    /// There is no endpoint of that number.
    NoSuchEndpoint,
    /// The table of keys is full of keys that must not be forgotten yet.
    KeysFull,
    /// The token bucket holds too few tokens now.
    RateLimited,
    /// More tokens were asked for than the bucket can ever hold.
    OverBurst,
    /// The queue is full: of those who wait for their turn, or of work.
    QueueFull,
    /// The bulkhead is full.
    InFlight,
    /// More places were asked for than the bulkhead, or the caller's class in it, can ever have.
    OverLimit,
    /// The bulkhead has places, but they are kept for other classes of calls.
    Shed,
    /// As many calls are in flight as the adaptive limit lets be.
    LimitReached,
    /// The deadline of the one who waits, or wants to, is over.
    TooLate,
    /// Others wait for their turn, and come first.
    OthersFirst,
    /// The deadline will be over before its turn.
    WouldBeLate,
    /// Nothing more is taken in.
    Closed,
    /// The retry budget has too little left for this retry.
    BudgetExhausted,
    /// So few calls get through of late that this one was refused by chance.
    Throttled,
    /// The device has failed, and something is done about it.
    Recovering,
    /// The device has failed, and nothing helped.
    GivenUp,
    /// What the idempotency key stands for is in flight.
    KeyInFlight,
    /// The idempotency key stands for something else.
    KeyConflict,
    /// The table of idempotency keys is full of records that must not be forgotten yet.
    RecordsFull,
}

impl Reason {
    /// Whether a release by somebody else helps: so who waits must be woken by it, and not only by time.
    #[must_use]
    pub const fn frees_on_release(self) -> bool {
        matches!(self, Self::InFlight | Self::Shed | Self::LimitReached | Self::TrialsOut | Self::KeyInFlight)
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Open => "circuit breaker: open",
            Self::TrialsOut => "circuit breaker: half-open, all trials out",
            Self::ForcedOpen => "circuit breaker: forced open",
            Self::SlowStart => "circuit breaker: closed, letting more through step by step",
            Self::Ejected => "outlier ejection: endpoint is out",
            Self::NoSuchEndpoint => "outlier ejection: no such endpoint",
            Self::KeysFull => "keyed gates: table full",
            Self::RateLimited => "token bucket: rate limited",
            Self::OverBurst => "token bucket: more than the burst",
            Self::QueueFull => "queue: full",
            Self::InFlight => "bulkhead: full",
            Self::OverLimit => "bulkhead: more than the limit",
            Self::Shed => "bulkhead: the rest is kept for other classes",
            Self::LimitReached => "adaptive limit: reached",
            Self::TooLate => "queue: deadline over",
            Self::OthersFirst => "wait queue: others are first",
            Self::BudgetExhausted => "retry budget: exhausted",
            Self::Throttled => "throttle: too few calls get through",
            Self::Recovering => "recovery ladder: under way",
            Self::GivenUp => "recovery ladder: given up",
            Self::WouldBeLate => "queue: deadline over before its turn",
            Self::Closed => "queue: closed",
            Self::KeyInFlight => "idempotency: in flight",
            Self::KeyConflict => "idempotency: the key stands for another request",
            Self::RecordsFull => "idempotency: table full",
        })
    }
}

/// A refusal: why, and when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rejected {
    /// Which gate refused, and why.
    pub reason: Reason,
    /// At this instant, and not a nanosecond before, asking again succeeds if nobody else came and nothing was given
    /// back. `None`: no wait helps.
    pub retry_at: Option<Instant>,
}

impl core::fmt::Display for Rejected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.retry_at {
            Some(at) => write!(f, "{} (retry at {at})", self.reason),
            None => write!(f, "{} (waiting does not help)", self.reason),
        }
    }
}

impl core::error::Error for Rejected {}

/// A machine that answers "may this start now?".
///
/// The contract between calls:
///
/// - Every permit goes back exactly once, through [`release`](Gate::release) or [`cancel`](Gate::cancel). A permit that
///   never comes back costs at most what the machine's documentation says (a trial's lease, for instance).
/// - `now` should not step back; if it does, see [`Clock`](crate::Clock).
/// - Timers are optional. `try_acquire` does whatever is due, so a user who never polls is still right; polling only
///   makes time-driven transitions visible when they happen.
///
/// Tuples of gates are gates, outermost first: when an inner one refuses, the outer ones are cancelled. A refusal is that
/// of the gate that refused; those further in may refuse in their turn at its `retry_at`. `()` always grants, and so does
/// the `None` of an `Option` of a gate.
pub trait Gate {
    /// Permission to start one thing: an owned token without borrow, destructor or allocation.
    type Permit;

    /// Asks to start one thing at `now`.
    ///
    /// # Errors
    /// [`Rejected`] says why not and when to come back.
    fn try_acquire(&mut self, now: Instant) -> Result<Self::Permit, Rejected>;

    /// What was permitted ran, and ended at `now` with `outcome`.
    fn release(&mut self, permit: Self::Permit, outcome: Outcome, now: Instant);

    /// What was permitted never ran: the permit's effect is undone.
    fn cancel(&mut self, permit: Self::Permit, now: Instant);

    /// When [`handle_timeout`](Gate::handle_timeout) has work to do; `None` when nothing is armed. The value may change
    /// after every call that takes `&mut self`. After the clock stepped back, tell the machine through `handle_timeout`
    /// first: it does not know by itself.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Does what is due at `now`. Early and repeated calls are no-ops.
    fn handle_timeout(&mut self, now: Instant);
}

/// Always grants.
impl Gate for () {
    type Permit = ();

    #[inline]
    fn try_acquire(&mut self, _now: Instant) -> Result<(), Rejected> {
        Ok(())
    }
    #[inline]
    fn release(&mut self, _permit: (), _outcome: Outcome, _now: Instant) {}
    #[inline]
    fn cancel(&mut self, _permit: (), _now: Instant) {}
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    #[inline]
    fn handle_timeout(&mut self, _now: Instant) {}
}

/// `None` grants everything: so that the type does not depend on whether there is a gate.
impl<G: Gate> Gate for Option<G> {
    type Permit = Option<G::Permit>;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<Self::Permit, Rejected> {
        self.as_mut().map(|gate| gate.try_acquire(now)).transpose()
    }
    #[inline]
    fn release(&mut self, permit: Self::Permit, outcome: Outcome, now: Instant) {
        if let (Some(gate), Some(permit)) = (self, permit) {
            gate.release(permit, outcome, now);
        }
    }
    #[inline]
    fn cancel(&mut self, permit: Self::Permit, now: Instant) {
        if let (Some(gate), Some(permit)) = (self, permit) {
            gate.cancel(permit, now);
        }
    }
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        self.as_ref().and_then(Gate::poll_timeout)
    }
    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        if let Some(gate) = self {
            gate.handle_timeout(now);
        }
    }
}

/// The earlier of two timers, either of which may be unarmed.
#[inline]
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Two gates ask in order and give back in reverse; longer tuples nest.
impl<A: Gate, B: Gate> Gate for (A, B) {
    type Permit = (A::Permit, B::Permit);

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<Self::Permit, Rejected> {
        let outer = self.0.try_acquire(now)?;
        match self.1.try_acquire(now) {
            Ok(inner) => Ok((outer, inner)),
            Err(rejected) => {
                self.0.cancel(outer, now);
                Err(rejected)
            }
        }
    }

    #[inline]
    fn release(&mut self, (outer, inner): Self::Permit, outcome: Outcome, now: Instant) {
        self.1.release(inner, outcome, now);
        self.0.release(outer, outcome, now);
    }

    #[inline]
    fn cancel(&mut self, (outer, inner): Self::Permit, now: Instant) {
        self.1.cancel(inner, now);
        self.0.cancel(outer, now);
    }

    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        earlier(self.0.poll_timeout(), self.1.poll_timeout())
    }

    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
        self.1.handle_timeout(now);
    }
}

impl<A: Gate, B: Gate, C: Gate> Gate for (A, B, C) {
    type Permit = (A::Permit, (B::Permit, C::Permit));

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<Self::Permit, Rejected> {
        let (a, b, c) = self;
        (a, (b, c)).try_acquire(now)
    }

    #[inline]
    fn release(&mut self, permit: Self::Permit, outcome: Outcome, now: Instant) {
        let (a, b, c) = self;
        (a, (b, c)).release(permit, outcome, now);
    }

    #[inline]
    fn cancel(&mut self, permit: Self::Permit, now: Instant) {
        let (a, b, c) = self;
        (a, (b, c)).cancel(permit, now);
    }

    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        earlier(self.0.poll_timeout(), earlier(self.1.poll_timeout(), self.2.poll_timeout()))
    }

    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
        self.1.handle_timeout(now);
        self.2.handle_timeout(now);
    }
}

impl<G: Gate + ?Sized> Gate for &mut G {
    type Permit = G::Permit;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<G::Permit, Rejected> {
        (**self).try_acquire(now)
    }
    #[inline]
    fn release(&mut self, permit: G::Permit, outcome: Outcome, now: Instant) {
        (**self).release(permit, outcome, now);
    }
    #[inline]
    fn cancel(&mut self, permit: G::Permit, now: Instant) {
        (**self).cancel(permit, now);
    }
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        (**self).poll_timeout()
    }
    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        (**self).handle_timeout(now);
    }
}
