//! Idempotency: the same request, sent again, has no second effect and gets the first one's answer.
//!
//! # Why
//! A caller that gets no answer does not know whether the payment was made, the valve opened, the mail sent. So it asks
//! again, and retries, queues and impatient people do so too. With a key that the caller chooses once per intention, the
//! callee can tell a repetition from a new request: it keeps the answer by its key, and gives it again.
//!
//! # State picture
//! ```text
//!            begin: a permit                  finish: the answer is kept
//!   vacant ------------------> in flight -------------------------------> done
//!     ^                         |     |                                    |
//!     +---- cancel: no effect --+     |                                    |
//!     +---- lease over ---------------+                                    |
//!     +---- time to live over ---------------------------------------------+
//! ```
//! What [`begin`](Idempotency::begin) says:
//!
//! | the key is | the same fingerprint | another one |
//! | --- | --- | --- |
//! | vacant | a permit to run; [`RecordsFull`] if there is no place | the same |
//! | in flight | [`KeyInFlight`] until the lease is over | [`KeyConflict`] |
//! | done | the stored answer | [`KeyConflict`] |
//!
//! # Contract
//! - One permit at a time: while a key is in flight nobody else gets one for it, until its lease is over. Then the next
//!   one who asks takes over, with a new one. Nothing stops the one before, so see to it that nobody runs for longer than
//!   the lease: by a timeout below it, or by renewing.
//! - The answer that is kept is the first that came from the last permit. A permit whose key was taken over, or whose
//!   place another key needed, cannot change anything any more: what it brings comes back as [`Late`]. A lease that is
//!   over does no harm as long as nobody has taken over: an answer that comes then is still kept.
//! - [`renew`](Idempotency::renew) gives the permit its whole lease again: for work that takes longer than expected.
//! - A done record stays for its time to live, counted from when it was finished, and not a nanosecond less: forgotten
//!   earlier, the next repetition would have a second effect. A full table refuses new keys until a record is over.
//! - A refusal's `retry_at` is when the lease, or the first of all records, is over; [`cancel`](Idempotency::cancel),
//!   and for the same key `finish`, come sooner perhaps. A conflict has none: it is a mistake of the caller, and no wait
//!   makes it right.
//! - A permit that is dropped keeps its key in flight until the lease is over. That is what is right for an attempt of
//!   which nobody knows whether it had its effect: see [`cancel`](Idempotency::cancel).
//! - After a clock stepped back no lease lasts longer than the lease, and no record longer than the time to live, from
//!   then on. A clock that jumps ahead ends them early, as time would: use a monotonic one, and read it while you hold
//!   the lock, so that two threads do not bring their times in the wrong order.
//! - A key is cloned when it gets a place, and never else.
//!
//! The key should be the caller's own choice (a UUID, a sequence number), and belong to one caller: put the tenant into
//! it, or one of them can read what is another's. The [`Fingerprint`] is of what was asked for, so that a key that was
//! used twice by mistake is found out instead of answered wrongly.
//!
//! # Defaults
//! A lease of 60 seconds: longer than most servers let a request run. An answer is kept for 24 hours, as Stripe does:
//! whoever has not retried by then starts anew.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::idempotency::{Begun, Fingerprint, IdempotencyConfig};
//! use fusebox::{Idempotency, Instant, Reason, checked};
//!
//! // Commands over a radio that repeats what was not acknowledged: by sequence number, 8 of them are remembered.
//! let mut done: Idempotency<u16, i8, 8> = Idempotency::new(checked!(
//!     IdempotencyConfig::builder().lease(Duration::from_secs(5)).ttl(Duration::from_secs(60)).build()
//! ));
//! let at = Instant::from_secs;
//! let (open, shut) = (Fingerprint::of(b"valve 3: open"), Fingerprint::of(b"valve 3: shut"));
//!
//! let Ok(Begun::Run(permit)) = done.begin(&7, open, at(0)) else { panic!() };
//! let repeated = done.begin(&7, open, at(1)).unwrap_err();
//! assert_eq!((repeated.reason, repeated.retry_at), (Reason::KeyInFlight, Some(at(5))));
//! done.finish(permit, 42, at(2)).unwrap();
//!
//! assert_eq!(done.begin(&7, open, at(3)), Ok(Begun::Stored(&42)));
//! assert_eq!(done.begin(&7, shut, at(3)).unwrap_err().reason, Reason::KeyConflict);
//! assert!(matches!(done.begin(&7, open, at(62)), Ok(Begun::Run(_)))); // forgotten
//! ```
//!
//! # When not
//! - Operations that are idempotent by themselves (set to 5, delete) need none of this; make them so where you can.
//! - What must survive a restart, or is served by several machines, needs a database: the `Store` of `fusebox-drive` is
//!   this machine's questions for one. The effect and its record are one only if the database commits both at once.
//! - Lookup is linear: for up to about a thousand records.
//!
//! # Sources
//! draft-ietf-httpapi-idempotency-key-header (fingerprint; 422 for a conflict, 409 for what is in flight), Stripe's
//! idempotent requests (24 hours), AWS Lambda Powertools (in progress with an expiry).
//!
//! [`RecordsFull`]: crate::Reason::RecordsFull
//! [`KeyInFlight`]: crate::Reason::KeyInFlight
//! [`KeyConflict`]: crate::Reason::KeyConflict

mod config;
mod fingerprint;
mod machine;
#[cfg(test)]
mod tests;

pub use config::{IdempotencyBuilder, IdempotencyConfig};
pub use fingerprint::Fingerprint;
pub use machine::{Idempotency, Permit};

use crate::Instant;

/// What [`begin`](Idempotency::begin) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its table"]
pub enum Begun<P, V> {
    /// Nobody else has the key: run, with this permit.
    Run(P),
    /// It was done before: this is the answer.
    Stored(V),
}

impl<P, V: Clone> Begun<P, &V> {
    /// The same with the answer cloned: for those who hold a lock.
    pub fn cloned(self) -> Begun<P, V> {
        match self {
            Self::Run(permit) => Begun::Run(permit),
            Self::Stored(value) => Begun::Stored(value.clone()),
        }
    }
}

/// An answer that was not stored, as its permit no longer counts: its lease was over, and another one took over the key,
/// or its place was needed. The operation may have run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Late<V>(
    /// The answer.
    pub V,
);

impl<V> core::fmt::Display for Late<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("idempotency: the lease was over, the answer is not stored")
    }
}

impl<V: core::fmt::Debug> core::error::Error for Late<V> {}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeyState<V> {
    /// Nothing: the next one may run.
    Vacant,
    /// Somebody runs.
    InFlight {
        /// When its lease is over.
        until: Instant,
    },
    /// It is done.
    Done {
        /// The answer.
        value: V,
        /// When it is forgotten.
        until: Instant,
    },
}

/// What a table can tell about itself. Totals count from its making and stop at their maximum; each question is in one
/// of the first five.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IdempotencySnapshot {
    /// Permits given.
    pub started: u32,
    /// Questions that got a stored answer.
    pub replayed: u32,
    /// Questions that found the key in flight; who waits asks several times.
    pub waits: u32,
    /// Questions with another fingerprint.
    pub conflicts: u32,
    /// Questions refused because the table was full.
    pub full: u32,
    /// Leases that ended, and whose key or place somebody else took.
    pub lapsed: u32,
    /// Answers that came too late to be stored.
    pub late: u32,
    /// Keys in flight, as of the last call.
    pub in_flight: usize,
    /// Answers kept, as of the last call.
    pub done: usize,
    /// Places there are.
    pub capacity: usize,
}
