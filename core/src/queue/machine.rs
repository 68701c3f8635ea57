//! The machine.

use super::codel::Delays;
use super::store::{End, Entry, Store};
use super::{Codel, LevelConfig, LevelSnapshot, Load, Order, Popped, Queued, Unserved, Why};
use crate::bucket::Tokens;
use crate::gate::earlier;
use crate::{Gate, Instant, Rejected, TokenBucket};

/// A queue with `N` places for items of `C` classes: see the [module](super). Stored inline: 20 bytes a place
/// beside the item.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LevelingQueue<T, const N: usize, const C: usize = 1> {
    pub(super) config: LevelConfig,
    pub(super) store: Store<T, N, C>,
    delays: [Delays; C],
    pub(super) bucket: Option<TokenBucket>,
    /// The latest time that was told.
    last: Instant,
    pub(super) closed: bool,
    overloaded: bool,
    event: Option<Load>,
    pub(super) totals: Totals,
}

/// Counted from the making; they stop at their maximum.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Totals {
    longest: usize,
    served: u32,
    expired: u32,
    shed: u32,
    displaced: u32,
    pub(super) refused: u32,
    handed_back: u32,
    lost: u32,
}

pub(super) const fn count(total: &mut u32) {
    *total = total.saturating_add(1);
}

impl<T, const N: usize, const C: usize> LevelingQueue<T, N, C> {
    /// An empty queue.
    #[must_use]
    pub const fn new(config: LevelConfig) -> Self {
        const { assert!(N > 0 && N < 1 << 16, "from 1 to 65535 places") };
        const { assert!(C > 0 && C < 1 << 8, "from 1 to 255 classes") };
        let bucket = match config.rate {
            Some(quota) => Some(TokenBucket::new(quota)),
            None => None,
        };
        Self {
            config,
            store: Store::new(),
            delays: [Delays::NONE; C],
            bucket,
            last: Instant::EPOCH,
            closed: false,
            overloaded: false,
            event: None,
            totals: Totals {
                longest: 0,
                served: 0,
                expired: 0,
                shed: 0,
                displaced: 0,
                refused: 0,
                handed_back: 0,
                lost: 0,
            },
        }
    }

    /// What comes out now, if anything: one item, to be served or not.
    pub fn pop(&mut self, now: Instant) -> Popped<T> {
        self.settle(now);
        let popped = self.next(now);
        self.note(now);
        popped
    }

    /// From when on a pop gets an item if nothing else happens; `None` when no item waits. A push that makes it earlier
    /// is one to wake somebody for.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let class = self.first_class()?;
        Some(self.sooner(class, self.next_token(now).unwrap_or(now)).max(now))
    }

    /// Takes out what would be next, whatever the rate, the deadlines and the load: to hand it back at the end.
    pub fn take(&mut self) -> Option<Queued<T>> {
        let class = self.first_class()?;
        let queued = self.take_from(class, End::Oldest)?;
        count(&mut self.totals.handed_back);
        self.note(self.last);
        Some(queued)
    }

    /// Takes out all, one at a time, the highest class first, the oldest first. What is not asked for stays.
    pub fn drain(&mut self) -> impl Iterator<Item = Queued<T>> + '_ {
        core::iter::from_fn(|| self.take())
    }

    /// Refuses all that comes from now on; what waits is still served.
    pub const fn close(&mut self) {
        self.closed = true;
    }

    /// Whether it was closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// An item that had been served was lost on the way: whoever was to handle it was dropped. For the snapshot.
    pub const fn lost(&mut self) {
        count(&mut self.totals.lost);
    }

    /// Changes what is shed, from the next pop on. `None`: nothing is, and no class counts as overloaded for its waits.
    pub fn set_codel(&mut self, codel: Option<Codel>) {
        self.config.codel = codel;
        if codel.is_none() {
            self.delays = [Delays::NONE; C];
        }
        self.note(self.last);
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &LevelConfig {
        &self.config
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether no item waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first_class().is_none()
    }

    /// Whether every place is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == N
    }

    /// Whether it began or ceased to be overloaded since this was last asked.
    pub const fn poll_event(&mut self) -> Option<Load> {
        self.event.take()
    }

    /// The shortest wait of [`Codel`]'s interval that runs, in nanoseconds, of those of a class that were looked at.
    #[must_use]
    pub fn shortest_wait(&self, class: u8) -> u64 {
        self.delays.get(usize::from(class)).map_or(0, |delays| delays.shortest)
    }

    /// What it can tell about itself.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> LevelSnapshot {
        let Totals { longest, served, expired, shed, displaced, refused, handed_back, lost } = self.totals;
        let oldest = (0..C).filter_map(|class| self.store.peek(class, End::Oldest)).map(|entry| entry.since).min();
        LevelSnapshot {
            len: self.len(),
            capacity: N,
            longest,
            oldest_nanos: oldest.map_or(0, |since| now.nanos_since(since)),
            overloaded: self.overloaded,
            closed: self.closed,
            served,
            expired,
            shed,
            displaced,
            refused,
            handed_back,
            lost,
        }
    }

    /// Follows the clock. Time that runs backwards is no time: everything that waits moves back with it, so that
    /// nothing gets older, or younger, or has more time left than before.
    pub(super) fn settle(&mut self, now: Instant) {
        let by = self.last.nanos_since(now);
        if by > 0 {
            self.store.step_back(by);
            for delays in &mut self.delays {
                delays.step_back(by);
            }
        }
        self.last = now;
    }

    fn next(&mut self, now: Instant) -> Popped<T> {
        if let Some(class) = self.late_class(now) {
            return self.drop_from(class, End::Oldest, Why::Expired);
        }
        let Some(class) = self.first_class() else { return Popped::Empty };
        let end = self.next_end(class);
        if self.store.peek(class, end).is_some_and(|entry| entry.is_late(now)) {
            return self.drop_from(class, end, Why::Expired);
        }
        let tokens = match self.draw(now) {
            Ok(tokens) => tokens,
            Err(until) => return Popped::Wait { until: self.sooner(class, until) },
        };
        if self.sheds(class, now) {
            self.put_back(tokens, now);
            return self.drop_from(class, End::Oldest, Why::Overloaded);
        }
        count(&mut self.totals.served);
        self.take_from(class, end).map_or(Popped::Empty, Popped::Serve)
    }

    /// A token for one item, if there is a rate; or when there will be one.
    fn draw(&mut self, now: Instant) -> Result<Option<Tokens>, Instant> {
        let Some(bucket) = &mut self.bucket else { return Ok(None) };
        bucket.try_acquire(now).map(Some).map_err(token_at)
    }

    fn put_back(&mut self, tokens: Option<Tokens>, now: Instant) {
        if let (Some(bucket), Some(tokens)) = (&mut self.bucket, tokens) {
            bucket.cancel(tokens, now);
        }
    }

    /// Whether the oldest of `class` is shed, now that it is the turn of that class.
    fn sheds(&mut self, class: usize, now: Instant) -> bool {
        let (Some(codel), Some(delays)) = (self.config.codel, self.delays.get_mut(class)) else { return false };
        let waited = self.store.peek(class, End::Oldest).map_or(0, |entry| now.nanos_since(entry.since));
        codel.sheds(delays, waited, now)
    }

    fn drop_from(&mut self, class: usize, end: End, why: Why) -> Popped<T> {
        match self.take_from(class, end) {
            Some(queued) => Popped::Unserved(self.unserved(queued, why)),
            None => Popped::Empty,
        }
    }

    pub(super) const fn unserved(&mut self, queued: Queued<T>, why: Why) -> Unserved<T> {
        count(match why {
            Why::Expired => &mut self.totals.expired,
            Why::Overloaded => &mut self.totals.shed,
            Why::Displaced => &mut self.totals.displaced,
        });
        Unserved { queued, why }
    }

    pub(super) fn take_from(&mut self, class: usize, end: End) -> Option<Queued<T>> {
        let Entry { item, since, deadline } = self.store.take(class, end)?;
        #[expect(clippy::cast_possible_truncation, reason = "at most 255 classes")]
        Some(Queued { item, class: class as u8, since, deadline })
    }

    /// The highest class that waits.
    fn first_class(&self) -> Option<usize> {
        (0..C).find(|class| self.store.len_of(*class) > 0)
    }

    /// The highest class whose oldest item is late.
    pub(super) fn late_class(&self, now: Instant) -> Option<usize> {
        (0..C).find(|class| self.store.peek(*class, End::Oldest).is_some_and(|entry| entry.is_late(now)))
    }

    /// `token`, when one of `class` can be served, or sooner: when one is late that is looked at.
    fn sooner(&self, class: usize, token: Instant) -> Instant {
        let next = self.store.peek(class, self.next_end(class)).and_then(|entry| entry.deadline);
        earlier(earlier(next, self.next_deadline()), Some(token)).unwrap_or(token)
    }

    /// When there is a token for the next item, if that is not now.
    pub(super) fn next_token(&self, now: Instant) -> Option<Instant> {
        self.bucket.clone().and_then(|mut bucket| bucket.try_acquire(now).err()).map(token_at)
    }

    /// When the next of the oldest items will be late.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        (0..C).fold(None, |next, class| earlier(next, self.store.peek(class, End::Oldest).and_then(|e| e.deadline)))
    }

    /// Which end of the line of `class` is served next.
    pub(super) fn next_end(&self, class: usize) -> End {
        let lifo = match self.config.order {
            Order::Fifo => false,
            Order::LifoOverloaded => self.is_standing(class),
            Order::LifoFrom(len) => self.len() >= usize::from(len.get()),
        };
        if lifo { End::Newest } else { End::Oldest }
    }

    fn is_standing(&self, class: usize) -> bool {
        self.delays.get(class).is_some_and(|delays| delays.overloaded)
    }

    fn is_overloaded(&self) -> bool {
        let long = matches!(self.config.order, Order::LifoFrom(len) if self.len() >= usize::from(len.get()));
        long || (0..C).any(|class| self.store.len_of(class) > 0 && self.is_standing(class))
    }

    /// Notes what has changed.
    pub(super) fn note(&mut self, now: Instant) {
        let len = self.len();
        self.totals.longest = self.totals.longest.max(len);
        let overloaded = self.is_overloaded();
        if overloaded != self.overloaded {
            self.overloaded = overloaded;
            self.event = Some(Load { overloaded, at: now });
        }
        debug_assert!(len <= N, "more items than places");
    }
}

/// When there is a token for who was refused one: [`Instant::MAX`] if that lies behind the end of time.
pub(super) fn token_at(rejected: Rejected) -> Instant {
    rejected.retry_at.unwrap_or(Instant::MAX)
}
