//! The machine.

use super::{Begun, Fingerprint, IdempotencyConfig, IdempotencySnapshot, KeyState, Late};
use crate::{Instant, Reason, Rejected};

/// Permission to run, for one key and one lease. Dropped, it keeps its key in flight until the lease is over.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its table: finish or cancel it"]
pub struct Permit {
    place: u32,
    number: u64,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Phase<V> {
    InFlight { number: u64 },
    Done(V),
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Record<K, V> {
    key: K,
    fingerprint: Fingerprint,
    /// When it is over, and the key as good as vacant.
    until: Instant,
    phase: Phase<V>,
}

impl<K, V> Record<K, V> {
    fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    const fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::InFlight { .. })
    }

    /// What who asks again gets.
    fn answer(&self, fingerprint: Fingerprint, totals: &mut Totals) -> Result<&V, Rejected> {
        if self.fingerprint != fingerprint {
            count(&mut totals.conflicts);
            return Err(Rejected { reason: Reason::KeyConflict, retry_at: None });
        }
        match &self.phase {
            Phase::Done(value) => {
                count(&mut totals.replayed);
                Ok(value)
            }
            Phase::InFlight { .. } => {
                count(&mut totals.waits);
                Err(Rejected { reason: Reason::KeyInFlight, retry_at: Some(self.until) })
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Totals {
    pub(super) started: u32,
    pub(super) replayed: u32,
    pub(super) waits: u32,
    pub(super) conflicts: u32,
    pub(super) full: u32,
    pub(super) lapsed: u32,
    pub(super) late: u32,
}

const fn count(total: &mut u32) {
    *total = total.saturating_add(1);
}

/// A table of `N` keys `K` and the answers `V` to what was asked with them: see the [module](super). Stored inline: 24
/// bytes a place beside the key and the answer, which takes 8 at least.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Idempotency<K, V, const N: usize> {
    config: IdempotencyConfig,
    /// No key is in two of them. What is over stays until its place is needed: its permit may still come back.
    records: [Option<Record<K, V>>; N],
    /// Permits ever given: the next one's number. Never wraps, so a permit is never taken for another one.
    given: u64,
    /// The latest time that was told.
    last: Instant,
    pub(super) totals: Totals,
}

impl<K, V, const N: usize> Idempotency<K, V, N> {
    /// An empty table.
    #[must_use]
    pub const fn new(config: IdempotencyConfig) -> Self {
        const { assert!(N > 0 && N <= 1 << 16, "from 1 to 65536 places") };
        Self {
            config,
            records: [const { None }; N],
            given: 0,
            last: Instant::EPOCH,
            totals: Totals { started: 0, replayed: 0, waits: 0, conflicts: 0, full: 0, lapsed: 0, late: 0 },
        }
    }

    /// The operation ran, and `value` is its answer: kept for the time to live.
    ///
    /// # Errors
    /// [`Late`] with the answer, which is not kept, if the permit no longer counts.
    pub fn finish(&mut self, permit: Permit, value: V, now: Instant) -> Result<(), Late<V>> {
        self.settle(now);
        let until = now.after(self.config.ttl);
        let Some(record) = self.held(&permit) else {
            count(&mut self.totals.late);
            return Err(Late(value));
        };
        record.phase = Phase::Done(value);
        record.until = until;
        Ok(())
    }

    /// A whole lease more, from now on, and when that is over; `None` if the permit no longer counts: somebody else may
    /// run, so stop if you can.
    pub fn renew(&mut self, permit: &Permit, now: Instant) -> Option<Instant> {
        self.settle(now);
        let until = now.after(self.config.lease);
        self.held(permit)?.until = until;
        Some(until)
    }

    /// There was no effect, and there will be none: the key is vacant again. Nothing happens if the permit no longer
    /// counts.
    ///
    /// Only for what is sure to have had no effect: it never ran, or was refused. Where nobody knows (it timed out, it
    /// was dropped half-way), drop the permit instead, so that nobody runs before the lease is over; or finish with an
    /// answer that says so, so that nobody does at all.
    pub fn cancel(&mut self, permit: Permit, now: Instant) {
        self.settle(now);
        if self.held(&permit).is_some() {
            self.records.get_mut(permit.place as usize).and_then(Option::take);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has answers to forget; `None` while there are none. It may change
    /// after every call that takes `&mut self`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.all().filter(|record| !record.is_in_flight()).map(|record| record.until).min()
    }

    /// Drops the answers whose time to live is over. Early and repeated calls are no-ops; without any, an answer is
    /// dropped when its place is needed, and never given again either way.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle(now);
        for slot in &mut self.records {
            slot.take_if(|record| !record.is_in_flight() && record.is_over(now));
        }
    }

    /// What it can tell about itself.
    #[must_use]
    pub fn snapshot(&self) -> IdempotencySnapshot {
        let Totals { started, replayed, waits, conflicts, full, lapsed, late } = self.totals;
        let now = self.last;
        let live = |in_flight| self.all().filter(|r| r.is_in_flight() == in_flight && !r.is_over(now)).count();
        IdempotencySnapshot {
            started,
            replayed,
            waits,
            conflicts,
            full,
            lapsed,
            late,
            in_flight: live(true),
            done: live(false),
            capacity: N,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Record<K, V>> {
        self.records.iter().flatten()
    }

    fn position(&self, wanted: impl Fn(Option<&Record<K, V>>) -> bool) -> Option<usize> {
        self.records.iter().position(|slot| wanted(slot.as_ref()))
    }

    /// The record of `permit`, while nobody else has it.
    fn held(&mut self, permit: &Permit) -> Option<&mut Record<K, V>> {
        let record = self.records.get_mut(permit.place as usize)?.as_mut()?;
        matches!(record.phase, Phase::InFlight { number } if number == permit.number).then_some(record)
    }

    /// Follows the clock. What reaches further than it could from now on is from before a step back: it is cut.
    fn settle(&mut self, now: Instant) {
        if now < self.last {
            for record in self.records.iter_mut().flatten() {
                let longest = if record.is_in_flight() { self.config.lease } else { self.config.ttl };
                record.until = record.until.min(now.after(longest));
            }
        }
        self.last = now;
    }
}

impl<K: Eq + Clone, V, const N: usize> Idempotency<K, V, N> {
    /// Asks to run what `key` stands for: a permit, or the answer that it has had.
    ///
    /// # Errors
    /// [`Reason::KeyInFlight`], [`Reason::KeyConflict`] or [`Reason::RecordsFull`], and when to come back: see the
    /// [module](super).
    pub fn begin(&mut self, key: &K, fingerprint: Fingerprint, now: Instant) -> Result<Begun<Permit, &V>, Rejected> {
        self.settle(now);
        let place = self.place(key, now)?;
        let slot = self.records.get_mut(place).ok_or(NO_PLACE)?;
        if slot.as_ref().is_none_or(|record| record.key != *key || record.is_over(now)) {
            if slot.as_ref().is_some_and(Record::is_in_flight) {
                count(&mut self.totals.lapsed);
            }
            count(&mut self.totals.started);
            let number = self.given;
            self.given = number.wrapping_add(1);
            let (key, until) = (key.clone(), now.after(self.config.lease));
            *slot = Some(Record { key, fingerprint, until, phase: Phase::InFlight { number } });
            #[expect(clippy::cast_possible_truncation, reason = "at most 65536 places")]
            return Ok(Begun::Run(Permit { place: place as u32, number }));
        }
        slot.as_ref().ok_or(NO_PLACE)?.answer(fingerprint, &mut self.totals).map(Begun::Stored)
    }

    /// What is known of `key` at `now`.
    pub fn state(&mut self, key: &K, now: Instant) -> KeyState<&V> {
        self.settle(now);
        match self.all().find(|record| record.key == *key && !record.is_over(now)) {
            None => KeyState::Vacant,
            Some(Record { phase: Phase::InFlight { .. }, until, .. }) => KeyState::InFlight { until: *until },
            Some(Record { phase: Phase::Done(value), until, .. }) => KeyState::Done { value, until: *until },
        }
    }

    /// The place of `key`, or one for it. What has lapsed goes last, as it may still come back.
    fn place(&mut self, key: &K, now: Instant) -> Result<usize, Rejected> {
        let own = self.position(|record| record.is_some_and(|record| record.key == *key));
        let place = own
            .or_else(|| self.position(|record| record.is_none_or(|r| !r.is_in_flight() && r.is_over(now))))
            .or_else(|| self.position(|record| record.is_some_and(|record| record.is_over(now))));
        place.ok_or_else(|| {
            count(&mut self.totals.full);
            Rejected { reason: Reason::RecordsFull, retry_at: self.all().map(|record| record.until).min() }
        })
    }
}

/// There always is one.
const NO_PLACE: Rejected = Rejected { reason: Reason::RecordsFull, retry_at: None };
