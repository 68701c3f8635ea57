//! The model: what the contract says, in the simplest way there is.

use std::time::Duration;

use fusebox::Instant;
use fusebox::health::{
    Basis, Component, ComponentBuilder, ComponentReport, HealthChange, HealthSnapshot, Reading, Role, Status,
};

/// `Instant::MAX` in nanoseconds.
pub(crate) const END: u64 = u64::MAX - 1;

pub(crate) fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// A component, as the model sees it. Times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) failures: usize,
    pub(crate) successes: usize,
    /// `None`: never.
    pub(crate) stale_after: Option<u64>,
    pub(crate) grace: u64,
}

impl Spec {
    pub(crate) fn component(&self) -> Component {
        let ns = Duration::from_nanos;
        let made: ComponentBuilder = match self.role {
            Role::Task => Component::task(self.name, ns(1)),
            Role::Critical => Component::critical(self.name),
            Role::Optional => Component::optional(self.name),
            Role::Informational => Component::informational(self.name),
        };
        let made = match self.stale_after {
            Some(age) => made.stale_after(ns(age)),
            None => made.never_stale(),
        };
        let made = made.failures(u16::try_from(self.failures).unwrap());
        made.successes(u16::try_from(self.successes).unwrap()).grace(ns(self.grace)).build().unwrap()
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Life {
    Starting(Option<u64>),
    /// Every reading of the row and its time.
    Row(Vec<(u64, Reading)>),
    Paused(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) spec: Spec,
    pub(crate) life: Life,
}

impl Item {
    /// On which side of a line the readings leave it: it takes so many on the other side, all in a row, to cross.
    fn is_across(&self, readings: &[Reading], is_worse: impl Fn(Reading) -> bool) -> bool {
        let mut across = is_worse(readings[0]);
        for end in 1..=readings.len() {
            let last = |n: usize| end.checked_sub(n).map(|start| &readings[start..end]);
            let is_worse = |reading: &Reading| is_worse(*reading);
            if last(self.spec.failures).is_some_and(|last| last.iter().all(is_worse)) {
                across = true;
            }
            if last(self.spec.successes).is_some_and(|last| !last.iter().any(is_worse)) {
                across = false;
            }
        }
        across
    }

    fn status(&self, readings: &[Reading]) -> Status {
        if self.is_across(readings, |reading| reading == Reading::Unhealthy) {
            Status::Unhealthy
        } else if self.is_across(readings, |reading| reading != Reading::Healthy) {
            Status::Degraded
        } else {
            Status::Healthy
        }
    }

    pub(crate) fn silent_at(&self) -> Option<u64> {
        let later = |from: u64, by: u64| from.saturating_add(by).min(END);
        match &self.life {
            Life::Starting(since) => since.map(|since| later(since, self.spec.grace)),
            Life::Row(row) => self.spec.stale_after.map(|age| later(row.last().unwrap().0, age)),
            Life::Paused(_) => None,
        }
    }

    pub(crate) fn standing(&self, now: u64) -> (Status, Basis, u64) {
        if let Some(silent) = self.silent_at().filter(|silent| *silent <= now) {
            let status = if self.spec.role == Role::Task { Status::Unhealthy } else { Status::Unknown };
            return (status, Basis::Silent, silent);
        }
        match &self.life {
            Life::Starting(since) => (Status::Unknown, Basis::Starting, since.unwrap_or(now)),
            Life::Paused(since) => (Status::Unknown, Basis::Paused, *since),
            Life::Row(row) => {
                // The status after each reading; it is what it is since the first of the last equal ones.
                let readings: Vec<Reading> = row.iter().map(|(_, reading)| *reading).collect();
                let after: Vec<Status> = (1..=row.len()).map(|n| self.status(&readings[..n])).collect();
                let now = *after.last().unwrap();
                let first = after.iter().rposition(|status| *status != now).map_or(0, |n| n + 1);
                (now, Basis::Reading, row[first].0)
            }
        }
    }

    pub(crate) fn report(&self, now: u64) -> ComponentReport<'static> {
        let (status, basis, since) = self.standing(now);
        let none = Vec::new();
        let row = if let Life::Row(row) = &self.life { row } else { &none };
        let in_a_row = |is_failure: bool| {
            row.iter().rev().take_while(|(_, reading)| (*reading != Reading::Healthy) == is_failure).count()
        };
        ComponentReport {
            name: self.spec.name,
            role: self.spec.role,
            status,
            basis,
            since: at(since),
            nanos_in_status: now.saturating_sub(since),
            last: row.last().map(|(_, reading)| *reading),
            age_nanos: row.last().map(|(at, _)| now.saturating_sub(*at)),
            failures_in_a_row: u16::try_from(in_a_row(true)).unwrap(),
            successes_in_a_row: u16::try_from(in_a_row(false)).unwrap(),
        }
    }

    fn step_back(&mut self, now: u64) {
        match &mut self.life {
            Life::Starting(since) => *since = Some(since.unwrap_or(now).min(now)),
            Life::Paused(since) => *since = (*since).min(now),
            Life::Row(row) => row.iter_mut().for_each(|(at, _)| *at = (*at).min(now)),
        }
    }

    fn record(&mut self, reading: Reading, now: u64) {
        match (&mut self.life, ()) {
            (Life::Starting(since), ())
                if reading == Reading::Unhealthy && now - since.unwrap() < self.spec.grace && now < END => {}
            (Life::Row(row), ())
                if self.spec.stale_after.is_none_or(|age| now - row.last().unwrap().0 < age && now < END) =>
            {
                row.push((now, reading));
            }
            _ => self.life = Life::Row(vec![(now, reading)]),
        }
    }
}

/// What is done to a component.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Record(Reading),
    Pause,
    Restart,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) items: Vec<Item>,
    pub(crate) as_of: u64,
    told: HealthSnapshot,
    pub(crate) event: Option<HealthChange>,
}

impl Model {
    pub(crate) fn new(specs: &[Spec]) -> Self {
        let items = specs.iter().map(|spec| Item { spec: *spec, life: Life::Starting(None) }).collect();
        Self { items, as_of: 0, told: HealthSnapshot { status: Status::Unknown, live: true, cause: None }, event: None }
    }

    pub(crate) fn held(&self, now: u64) -> Option<usize> {
        let tasks = self.items.iter().enumerate().filter(|(_, item)| item.spec.role == Role::Task);
        let ill = tasks.filter(|(_, item)| item.standing(now).0 == Status::Unhealthy);
        ill.min_by_key(|(_, item)| item.standing(now).2).map(|(n, _)| n)
    }

    pub(crate) fn whole(&self, now: u64) -> HealthSnapshot {
        let counted = self.items.iter().enumerate().filter_map(|(n, item)| {
            let (status, basis, since) = item.standing(now);
            let counts = match item.spec.role {
                Role::Informational => return None,
                _ if basis == Basis::Paused => return None,
                Role::Optional if status != Status::Healthy => Status::Degraded,
                _ => status,
            };
            Some((counts, since, n))
        });
        let mut counted: Vec<_> = counted.collect();
        // The worst first; of these the longest, of these the first.
        counted.sort_by_key(|(status, since, n)| (std::cmp::Reverse(*status), *since, *n));
        let live = self.held(now).is_none();
        match counted.first() {
            None => HealthSnapshot { status: Status::Unknown, live, cause: None },
            Some((Status::Healthy, ..)) => HealthSnapshot { status: Status::Healthy, live, cause: None },
            Some((status, _, n)) => HealthSnapshot { status: *status, live, cause: Some(*n) },
        }
    }

    pub(crate) fn timer(&self) -> Option<u64> {
        self.items.iter().filter_map(Item::silent_at).filter(|silent| *silent > self.as_of).min()
    }

    fn note(&mut self, now: u64) {
        let to = self.whole(now);
        if to.status != self.told.status || to.live != self.told.live {
            let from = self.event.take().map_or(self.told, |event| event.from);
            self.event = Some(HealthChange { from, to, at: at(now) });
        }
        self.told = to;
        self.as_of = now;
    }

    pub(crate) fn tick(&mut self, now: u64) {
        self.items.iter_mut().for_each(|item| item.step_back(now));
        self.as_of = self.as_of.min(now);
        let mut silences: Vec<u64> = self.items.iter().filter_map(Item::silent_at).collect();
        silences.sort_unstable();
        for silence in silences {
            if silence > self.as_of && silence <= now {
                self.note(silence);
            }
        }
    }

    pub(crate) fn act(&mut self, n: usize, act: Act, now: u64) -> Option<Status> {
        self.tick(now);
        if let Some(item) = self.items.get_mut(n) {
            match act {
                Act::Record(reading) => item.record(reading, now),
                Act::Pause if matches!(item.life, Life::Paused(_)) => {}
                Act::Pause => item.life = Life::Paused(now),
                Act::Restart => item.life = Life::Starting(Some(now)),
            }
            self.note(now);
        }
        self.items.get(n).map(|item| item.standing(now).0)
    }

    pub(crate) fn timeout(&mut self, now: u64) {
        self.tick(now);
        self.note(now);
    }
}
