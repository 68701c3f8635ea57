//! Naive models: every grant is kept.

/// What a limiter would do.
pub(crate) trait Model {
    fn fits(&self, n: u32, now: u64) -> bool;
    fn grant(&mut self, id: u32, n: u32, now: u64);
    fn cancel(&mut self, id: u32, now: u64);
}

/// When, how many, whose.
type Grants = Vec<(u128, u128, u32)>;

/// What was cancelled stays as nothing, so that it still begins a window.
fn forget(grants: &mut Grants, id: u32) {
    grants.iter_mut().filter(|grant| grant.2 == id).for_each(|grant| grant.1 = 0);
}

/// At most `count` tokens whose time plus a period is to come.
pub(crate) struct LogModel {
    count: u128,
    period: u128,
    grants: Grants,
}

impl LogModel {
    pub(crate) fn new(count: u32, period: u64) -> Self {
        Self { count: count.into(), period: period.into(), grants: vec![] }
    }
}

impl Model for LogModel {
    fn fits(&self, n: u32, now: u64) -> bool {
        let counts = |(when, _, _): &&(u128, u128, u32)| when + self.period > now.into();
        self.grants.iter().filter(counts).map(|(_, n, _)| n).sum::<u128>() + u128::from(n) <= self.count
    }
    fn grant(&mut self, id: u32, n: u32, now: u64) {
        self.grants.retain(|(when, _, _)| when + self.period > now.into());
        self.grants.push((now.into(), n.into(), id));
    }
    fn cancel(&mut self, id: u32, _now: u64) {
        forget(&mut self.grants, id);
    }
}

/// Windows from the first grant on, one after the other, until there is nothing in the last two.
pub(crate) struct CounterModel {
    count: u128,
    period: u128,
    grants: Grants,
    began: Option<u128>,
}

impl CounterModel {
    pub(crate) fn new(count: u32, period: u64) -> Self {
        Self { count: count.into(), period: period.into(), grants: vec![], began: None }
    }

    fn tokens(&self, from: u128) -> u128 {
        let within = |(at, _, _): &&(u128, u128, u32)| *at >= from && *at < from + self.period;
        self.grants.iter().filter(within).map(|(_, n, _)| n).sum()
    }

    fn previous(&self, began: u128) -> u128 {
        began.checked_sub(self.period).map_or(0, |from| self.tokens(from))
    }

    /// When the window began that `now` is in.
    fn began(&self, now: u128) -> Option<u128> {
        let mut began = self.began?;
        while self.previous(began) + self.tokens(began) > 0 {
            if now < began + self.period {
                return Some(began);
            }
            began += self.period;
        }
        None
    }
}

impl Model for CounterModel {
    fn fits(&self, n: u32, now: u64) -> bool {
        let (now, n) = (u128::from(now), u128::from(n));
        let Some(began) = self.began(now) else { return n <= self.count };
        let covered = self.period - (now - began);
        self.previous(began) * covered + (self.tokens(began) + n) * self.period <= self.count * self.period
    }
    fn grant(&mut self, id: u32, n: u32, now: u64) {
        let now = u128::from(now);
        self.began = Some(self.began(now).unwrap_or_else(|| {
            self.grants.clear();
            now
        }));
        self.grants.retain(|(at, _, _)| at + 2 * self.period > now);
        self.grants.push((now, n.into(), id));
    }
    fn cancel(&mut self, id: u32, now: u64) {
        self.began = self.began(now.into());
        forget(&mut self.grants, id);
    }
}

/// A window from the first grant of a full limiter on.
pub(crate) struct FixedModel {
    count: u128,
    period: u128,
    window: Grants,
}

impl FixedModel {
    pub(crate) fn new(count: u32, period: u64) -> Self {
        Self { count: count.into(), period: period.into(), window: vec![] }
    }

    fn used(&self, now: u64) -> u128 {
        let open = self.window.first().is_some_and(|(began, _, _)| u128::from(now) < began + self.period);
        if open { self.window.iter().map(|(_, n, _)| n).sum() } else { 0 }
    }
}

impl Model for FixedModel {
    fn fits(&self, n: u32, now: u64) -> bool {
        self.used(now) + u128::from(n) <= self.count
    }
    fn grant(&mut self, id: u32, n: u32, now: u64) {
        if self.used(now) == 0 {
            self.window.clear();
        }
        self.window.push((now.into(), n.into(), id));
    }
    fn cancel(&mut self, id: u32, _now: u64) {
        forget(&mut self.window, id);
    }
}
