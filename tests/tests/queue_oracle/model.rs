//! The naive queue: a list of items that carry how long they have waited and how much time they have left.

use std::collections::BTreeMap;

use fusebox::queue::{Codel, LevelingQueue, Load, Order, Overflow, Terms, Unserved, Why};
use fusebox::{Gate, Instant, Reason, Rejected, TokenBucket};

use super::{Setup, at};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Out {
    pub(crate) item: u32,
    pub(crate) how: &'static str,
}

impl Out {
    pub(crate) fn unserved(unserved: Unserved<u32>) -> Self {
        Self { item: unserved.queued.item, how: how(unserved.why) }
    }
}

fn how(why: Why) -> &'static str {
    match why {
        Why::Expired => "expired",
        Why::Overloaded => "shed",
        Why::Displaced => "displaced",
    }
}

#[derive(Clone, Copy, Debug)]
struct Item {
    id: u32,
    class: usize,
    waited: u64,
    left: Option<u64>,
}

/// folly's rule, with the end of the interval as what is left of it (below zero: over).
#[derive(Clone, Copy, Debug, Default)]
struct Delays {
    left: i128,
    /// Waits of this interval.
    waits: Option<u64>,
    overloaded: bool,
}

pub(crate) struct Model {
    setup: Setup,
    places: usize,
    classes: usize,
    items: Vec<Item>,
    delays: Vec<Delays>,
    bucket: Option<TokenBucket>,
    last: u64,
    pub(crate) last_step_was_back: bool,
    pub(crate) pushed: u32,
    longest: usize,
    overloaded: bool,
    event: Option<Load>,
    counts: BTreeMap<&'static str, u32>,
}

impl Model {
    pub(crate) fn new(setup: Setup, places: usize, classes: usize) -> Self {
        Self {
            setup,
            places,
            classes,
            items: Vec::new(),
            delays: vec![Delays::default(); classes],
            bucket: setup.rate.map(TokenBucket::new),
            last: 0,
            last_step_was_back: false,
            pushed: 0,
            longest: 0,
            overloaded: false,
            event: None,
            counts: BTreeMap::default(),
        }
    }

    /// Time goes on for all; when the clock steps back, none goes by. Nothing began before the epoch.
    fn pass(&mut self, now: u64) {
        self.last_step_was_back = now < self.last;
        let gone = now.saturating_sub(self.last);
        for item in &mut self.items {
            item.waited = (item.waited + gone).min(now);
            item.left = item.left.map(|left| left.saturating_sub(gone));
        }
        for delays in &mut self.delays {
            delays.left = (delays.left - i128::from(gone)).max(-i128::from(now));
        }
        self.last = now;
    }

    pub(crate) fn set_codel(&mut self, codel: Option<(Codel, u64, u64)>) {
        self.setup.codel = codel;
        if codel.is_none() {
            self.delays = vec![Delays { left: -i128::from(self.last), ..Delays::default() }; self.classes];
        }
    }

    fn oldest(&self, class: usize) -> Option<usize> {
        self.items.iter().position(|item| item.class == class)
    }

    fn is_late(&self, at: usize) -> bool {
        self.items[at].left == Some(0)
    }

    fn late(&self) -> Option<usize> {
        (0..self.classes).filter_map(|class| self.oldest(class)).find(|at| self.is_late(*at))
    }

    /// Which one of a class is next.
    fn next_of(&self, class: usize) -> Option<usize> {
        if self.is_lifo(class) { self.items.iter().rposition(|item| item.class == class) } else { self.oldest(class) }
    }

    fn soonest_left(&self) -> Option<u64> {
        (0..self.classes).filter_map(|class| self.items[self.oldest(class)?].left).min()
    }

    fn next_token(&self, now: u64) -> Option<Instant> {
        self.bucket.clone()?.try_acquire(at(now)).err()?.retry_at.filter(|token| *token < Instant::MAX)
    }

    /// When all before it have got their tokens, one by one.
    fn turn(&self, class: usize, gone: Option<usize>, now: u64) -> Instant {
        let Some(mut bucket) = self.bucket.clone() else { return at(now) };
        let is_first = self.is_lifo(class);
        let before = self
            .items
            .iter()
            .enumerate()
            .filter(|(n, item)| Some(*n) != gone && (item.class < class || (item.class == class && !is_first)));
        let mut turn = at(now);
        for _ in 0..=before.count() {
            while let Err(rejected) = bucket.try_acquire(turn) {
                if turn == Instant::MAX {
                    return turn;
                }
                turn = rejected.retry_at.unwrap_or(Instant::MAX);
            }
        }
        turn
    }

    fn is_lifo(&self, class: usize) -> bool {
        match self.setup.order {
            Order::Fifo => false,
            Order::LifoOverloaded => self.delays[class].overloaded,
            Order::LifoFrom(len) => self.items.len() >= usize::from(len.get()),
        }
    }

    pub(crate) fn push(&mut self, id: u32, terms: Terms, now: u64) -> Result<Option<Out>, (u32, Rejected)> {
        self.pass(now);
        self.pushed += 1;
        let refuse = |reason, retry_at| Err((id, Rejected { reason, retry_at }));
        let class = usize::from(terms.class).min(self.classes - 1);
        let end = u64::MAX - 1; // the last nanosecond there is
        let asked = terms.deadline.map(|deadline| deadline.as_nanos().saturating_sub(now));
        let longest = self.setup.max_wait.map(|longest| longest.min(end.saturating_sub(now)));
        let left = asked.into_iter().chain(longest).min();
        if left == Some(0) {
            return refuse(Reason::TooLate, None);
        }
        let mut gone = None;
        if self.items.len() == self.places {
            let (above, overflow) = (|class| (class..self.classes).rev(), self.setup.overflow);
            let lowest = |mut classes: std::iter::Rev<std::ops::Range<usize>>| {
                classes.find(|class| self.oldest(*class).is_some())
            };
            gone = match overflow {
                _ if self.late().is_some() => self.late().map(|at| (at, Why::Expired)),
                Overflow::RefuseNewest => None,
                Overflow::DropOldest => {
                    lowest(above(class)).and_then(|class| self.oldest(class)).map(|at| (at, Why::Displaced))
                }
                Overflow::DropLowest => lowest(above(class + 1))
                    .and_then(|class| self.items.iter().rposition(|item| item.class == class))
                    .map(|at| (at, Why::Displaced)),
            };
            if gone.is_none() {
                let deadline = self.soonest_left().map(|left| at(now + left));
                return refuse(Reason::QueueFull, self.next_token(now).into_iter().chain(deadline).min());
            }
        }
        let turn = self.turn(class, gone.map(|(at, _)| at), now);
        if self.setup.refuse_late && left.is_some_and(|left| turn >= at(now + left)) {
            return refuse(Reason::WouldBeLate, None);
        }
        let gone = gone.map(|(at, why)| Out { item: self.items.remove(at).id, how: how(why) });
        self.items.push(Item { id, class, waited: 0, left });
        Ok(gone)
    }

    pub(crate) fn pop(&mut self, now: u64) -> Result<Out, Option<Instant>> {
        self.pass(now);
        if let Some(late) = self.late() {
            return Ok(Out { item: self.items.remove(late).id, how: "expired" });
        }
        let class = self.items.iter().map(|item| item.class).min().ok_or(None)?;
        let (next, oldest) = (self.next_of(class).unwrap(), self.oldest(class).unwrap());
        if self.is_late(next) {
            return Ok(Out { item: self.items.remove(next).id, how: "expired" });
        }
        let drawn = self.bucket.as_mut().map(|bucket| bucket.try_acquire(at(now))).transpose();
        let tokens = match drawn {
            Ok(tokens) => tokens,
            Err(rejected) => {
                let left = self.soonest_left().into_iter().chain(self.items[next].left).min();
                return Err(left
                    .map(|left| at(now + left))
                    .into_iter()
                    .chain([rejected.retry_at.unwrap_or(Instant::MAX)])
                    .min());
            }
        };
        if self.sheds(class, self.items[oldest].waited, now) {
            if let (Some(bucket), Some(tokens)) = (&mut self.bucket, tokens) {
                bucket.cancel(tokens, at(now));
            }
            return Ok(Out { item: self.items.remove(oldest).id, how: "shed" });
        }
        Ok(Out { item: self.items.remove(next).id, how: "served" })
    }

    fn sheds(&mut self, class: usize, waited: u64, now: u64) -> bool {
        let Some((_, target, interval)) = self.setup.codel else { return false };
        let delays = &mut self.delays[class];
        if let Some(shortest) = delays.waits.filter(|_| delays.left < 0) {
            *delays = Delays {
                left: i128::from(interval.min(u64::MAX - 1 - now.min(u64::MAX - 1))),
                waits: None,
                overloaded: shortest > target,
            };
        }
        let is_first = delays.waits.is_none();
        delays.waits = Some(delays.waits.unwrap_or(waited).min(waited));
        !is_first && delays.overloaded && waited > 2 * target
    }

    pub(crate) fn take(&mut self) -> Option<u32> {
        let class = self.items.iter().map(|item| item.class).min()?;
        Some(self.items.remove(self.oldest(class)?).id)
    }

    pub(crate) fn count(&mut self, how: &'static str) {
        *self.counts.entry(how).or_default() += 1;
    }

    fn counted(&self, how: &str) -> u32 {
        self.counts.get(how).copied().unwrap_or(0)
    }

    /// What the queue tells about itself.
    pub(crate) fn check<const N: usize, const C: usize>(
        &mut self,
        queue: &mut LevelingQueue<u32, N, C>,
        now: u64,
        context: &dyn Fn() -> String,
    ) {
        let seen = queue.snapshot(at(now));
        assert_eq!(
            (seen.len, seen.capacity, queue.is_full()),
            (self.items.len(), N, self.items.len() == N),
            "{}",
            context()
        );
        let counts = [seen.served, seen.expired, seen.shed, seen.displaced, seen.refused, seen.handed_back];
        let names = ["served", "expired", "shed", "displaced", "refused", "handed back"];
        assert_eq!(counts, names.map(|name| self.counted(name)), "{names:?}, {}", context());
        self.longest = self.longest.max(self.items.len());
        assert_eq!(seen.longest, self.longest, "{}", context());
        assert_eq!(queue.poll_event(), self.event(), "{}", context());
        assert_eq!(seen.overloaded, self.overloaded, "{}", context());
        if now == self.last {
            let oldest = self.items.iter().map(|item| item.waited).max();
            assert_eq!(seen.oldest_nanos, oldest.unwrap_or(0), "{}", context());
        }
    }

    /// The event, after whatever was done.
    fn event(&mut self) -> Option<Load> {
        let long = matches!(self.setup.order, Order::LifoFrom(len) if self.items.len() >= usize::from(len.get()));
        let standing = (0..self.classes).any(|class| self.oldest(class).is_some() && self.delays[class].overloaded);
        if (long || standing) != self.overloaded {
            self.overloaded = long || standing;
            self.event = Some(Load { overloaded: self.overloaded, at: at(self.last) });
        }
        self.event.take()
    }
}
