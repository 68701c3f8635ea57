//! A pretended database: a clock of its own, latency, errors before and after the effect, compare-and-set.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusebox::idempotency::{Begun, Fingerprint};
use fusebox::{Clock, Instant, Reason, Rejected, nanos};
use fusebox_drive::idempotent::{Asked, Finished, Store};
use fusebox_drive::{Timer, sleep_until};

/// How much further the database's clock is than ours, in nanoseconds.
const SKEW: u64 = 3_600_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Down;

#[derive(Clone, Copy, Debug)]
struct Row {
    /// Changes with every write.
    version: u64,
    /// Of the permit.
    number: u64,
    fingerprint: u64,
    until: u64,
    answer: Option<u32>,
}

#[derive(Debug, Default)]
struct Rows {
    rows: HashMap<u32, Row>,
    written: u64,
}

/// Which requests fail, counted from the next one on.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The request that never arrives; 0: none.
    pub(crate) request_lost: AtomicU32,
    /// The request whose reply never arrives; 0: none.
    pub(crate) reply_lost: AtomicU32,
}

#[derive(Debug)]
pub(crate) struct Database<T> {
    pub(crate) timer: T,
    pub(crate) latency: Duration,
    pub(crate) lease: Duration,
    pub(crate) ttl: Duration,
    pub(crate) places: usize,
    rows: Mutex<Rows>,
    pub(crate) faults: Faults,
}

#[derive(Debug)]
pub(crate) struct Ticket {
    key: u32,
    number: u64,
}

fn strikes(count: &AtomicU32) -> Result<(), Down> {
    let counted = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if counted == Ok(1) { Err(Down) } else { Ok(()) }
}

impl<T: Timer> Database<T> {
    pub(crate) fn new(timer: T, unit: Duration) -> Self {
        Self {
            timer,
            latency: unit,
            lease: unit * 100,
            ttl: unit * 300,
            places: 4,
            rows: Mutex::default(),
            faults: Faults::default(),
        }
    }

    fn now(&self) -> u64 {
        self.timer.now().as_nanos() + SKEW
    }

    /// One request: there, `f` on the rows, and back.
    async fn request<R>(&self, f: impl FnOnce(&mut Rows, u64) -> R) -> Result<R, Down> {
        sleep_until(&self.timer, self.timer.now().saturating_add(self.latency / 2)).await;
        strikes(&self.faults.request_lost)?;
        let reply = f(&mut self.rows.lock().unwrap(), self.now());
        sleep_until(&self.timer, self.timer.now().saturating_add(self.latency / 2)).await;
        strikes(&self.faults.reply_lost)?;
        Ok(reply)
    }

    async fn read(&self, key: u32) -> Result<(Option<Row>, u64), Down> {
        self.request(|rows, now| (rows.rows.get(&key).copied(), now)).await
    }

    /// Writes what `change` makes of the row if it is still the one that was read; `None` if not.
    async fn compare_and_set(
        &self,
        key: u32,
        read: Option<u64>,
        change: impl FnOnce(u64) -> Option<Row>,
    ) -> Result<Option<u64>, Down> {
        let write = |rows: &mut Rows, _| {
            if rows.rows.get(&key).map(|row| row.version) != read {
                return None;
            }
            rows.written += 1;
            match change(rows.written) {
                Some(row) => rows.rows.insert(key, row),
                None => rows.rows.remove(&key),
            };
            Some(rows.written)
        };
        self.request(write).await
    }

    /// Deletes what is over if the table is full, and says when the first of the rest is.
    async fn make_room(&self, clock: &impl Clock) -> Result<Option<Rejected>, Down> {
        let places = self.places;
        let soonest = |rows: &mut Rows, time| {
            if rows.rows.len() >= places {
                rows.rows.retain(|_, row| time < row.until);
            }
            let is_full = rows.rows.len() >= places;
            is_full.then(|| rows.rows.values().map(|row| row.until - time).min())
        };
        let full = self.request(soonest).await?;
        Ok(full
            .map(|left| Rejected { reason: Reason::RecordsFull, retry_at: left.map(|left| clock.now().after(left)) }))
    }

    /// Changes the row of `ticket`, if it still is; whether it was.
    async fn change(&self, ticket: &Ticket, change: impl Fn(Row, u64) -> Option<Row>) -> Result<bool, Down> {
        loop {
            let (Some(row), now) = self.read(ticket.key).await? else { return Ok(false) };
            if row.number != ticket.number || row.answer.is_some() {
                return Ok(false);
            }
            let changed = |version| change(row, now).map(|row| Row { version, ..row });
            if self.compare_and_set(ticket.key, Some(row.version), changed).await?.is_some() {
                return Ok(true);
            }
        }
    }
}

impl<T: Timer> Store for Database<T> {
    type Key = u32;
    type Value = u32;
    type Permit = Ticket;
    type Error = Down;

    async fn begin(&self, key: &u32, fingerprint: Fingerprint, clock: &impl Clock) -> Result<Asked<Ticket, u32>, Down> {
        loop {
            let (row, time) = self.read(*key).await?;
            if let Some(row) = row.filter(|row| time < row.until) {
                if row.fingerprint != fingerprint.bits() {
                    return Ok(Err(Rejected { reason: Reason::KeyConflict, retry_at: None }));
                }
                let retry_at = Some(clock.now().after(row.until - time));
                let in_flight = Rejected { reason: Reason::KeyInFlight, retry_at };
                return Ok(row.answer.map(Begun::Stored).ok_or(in_flight));
            }
            if row.is_none()
                && let Some(full) = self.make_room(clock).await?
            {
                return Ok(Err(full));
            }
            let until = time + nanos(self.lease);
            let taken =
                |version| Some(Row { version, number: version, fingerprint: fingerprint.bits(), until, answer: None });
            if let Some(number) = self.compare_and_set(*key, row.map(|row| row.version), taken).await? {
                return Ok(Ok(Begun::Run(Ticket { key: *key, number })));
            }
        }
    }

    async fn finish(&self, ticket: Ticket, value: &u32, _clock: &impl Clock) -> Result<Finished, Down> {
        let ttl = nanos(self.ttl);
        let done = |row, now| Some(Row { answer: Some(*value), until: now + ttl, ..row });
        Ok(if self.change(&ticket, done).await? { Finished::Stored } else { Finished::Late })
    }

    async fn renew(&self, ticket: &Ticket, clock: &impl Clock) -> Result<Option<Instant>, Down> {
        let lease = nanos(self.lease);
        let renewed = |row, now| Some(Row { until: now + lease, ..row });
        Ok(self.change(ticket, renewed).await?.then(|| clock.now().after(lease)))
    }

    async fn cancel(&self, ticket: Ticket, _clock: &impl Clock) -> Result<(), Down> {
        self.change(&ticket, |_, _| None).await.map(drop)
    }
}
