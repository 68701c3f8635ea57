//! What is kept of one component.

use super::{Basis, Component, ComponentReport, Reading, Role, Status};
use crate::Instant;

/// What exists only in a phase lives in that phase.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Phase {
    /// No reading counts yet. `None`: no time was told.
    Starting {
        since: Option<Instant>,
    },
    /// `since`: when the status became what these readings say.
    Reading {
        row: Row,
        last: Instant,
        since: Instant,
    },
    Paused {
        since: Instant,
    },
}

/// Readings with no gap between them.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Row {
    last: Reading,
    /// Not healthy.
    degraded: Line,
    unhealthy: Line,
}

impl Row {
    /// The first reading decides.
    fn new(reading: Reading) -> Self {
        let (degraded, unhealthy) = (reading != Reading::Healthy, reading == Reading::Unhealthy);
        Self { last: reading, degraded: Line::new(degraded), unhealthy: Line::new(unhealthy) }
    }

    fn push(&mut self, reading: Reading, component: &Component) {
        self.last = reading;
        self.degraded.push(reading != Reading::Healthy, component);
        self.unhealthy.push(reading == Reading::Unhealthy, component);
    }

    /// Whoever is across the second line is across the first: what counts for it counts for both.
    const fn status(&self) -> Status {
        match (self.degraded.is_crossed, self.unhealthy.is_crossed) {
            (_, true) => Status::Unhealthy,
            (true, false) => Status::Degraded,
            (false, false) => Status::Healthy,
        }
    }
}

/// A line between better and worse that takes some readings in a row to cross, either way.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Line {
    is_crossed: bool,
    /// On which side the last reading was, and how many in a row were there.
    last: bool,
    in_a_row: u16,
}

impl Line {
    const fn new(is_worse: bool) -> Self {
        Self { is_crossed: is_worse, last: is_worse, in_a_row: 1 }
    }

    const fn push(&mut self, is_worse: bool, component: &Component) {
        self.in_a_row = if is_worse == self.last { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = is_worse;
        let needed = if is_worse { component.failures } else { component.successes };
        if self.in_a_row >= needed {
            self.is_crossed = is_worse;
        }
    }
}

/// How a component is, on what grounds, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) status: Status,
    pub(super) basis: Basis,
    pub(super) since: Instant,
}

/// What is known of one component. Always give the same one.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Member(Phase);

impl Member {
    pub(super) const NEW: Self = Self(Phase::Starting { since: None });

    /// Follows the clock: nothing began later than now, and what has not begun begins now.
    pub(super) fn follow(&mut self, now: Instant) {
        match &mut self.0 {
            Phase::Starting { since } => *since = Some(since.map_or(now, |since| since.min(now))),
            Phase::Paused { since } => *since = (*since).min(now),
            Phase::Reading { last, since, .. } => {
                *last = (*last).min(now);
                *since = (*since).min(now);
            }
        }
    }

    /// From when on it is silent, if it gives no reading until then.
    pub(super) const fn silent_at(&self, component: &Component) -> Option<Instant> {
        match self.0 {
            Phase::Starting { since: Some(since) } => Some(since.after(component.grace)),
            Phase::Reading { last, .. } if component.stale_after < u64::MAX => Some(last.after(component.stale_after)),
            _ => None,
        }
    }

    pub(super) fn standing(&self, component: &Component, now: Instant) -> Standing {
        if let Some(since) = self.silent_at(component).filter(|at| now >= *at) {
            let status = if component.role == Role::Task { Status::Unhealthy } else { Status::Unknown };
            return Standing { status, basis: Basis::Silent, since };
        }
        let (status, basis, since) = match self.0 {
            Phase::Starting { since } => (Status::Unknown, Basis::Starting, since.unwrap_or(now)),
            Phase::Reading { row, since, .. } => (row.status(), Basis::Reading, since),
            Phase::Paused { since } => (Status::Unknown, Basis::Paused, since),
        };
        Standing { status, basis, since }
    }

    /// Takes a reading of `now`.
    pub(super) fn record(&mut self, component: &Component, reading: Reading, now: Instant) {
        let before = self.standing(component, now);
        if before.basis == Basis::Starting && reading == Reading::Unhealthy {
            return;
        }
        let row = match self.0 {
            Phase::Reading { mut row, .. } if before.basis == Basis::Reading => {
                row.push(reading, component);
                row
            }
            _ => Row::new(reading),
        };
        let goes_on = before.basis == Basis::Reading && before.status == row.status();
        self.0 = Phase::Reading { row, last: now, since: if goes_on { before.since } else { now } };
    }

    pub(super) const fn pause(&mut self, now: Instant) {
        if !matches!(self.0, Phase::Paused { .. }) {
            self.0 = Phase::Paused { since: now };
        }
    }

    pub(super) const fn restart(&mut self, now: Instant) {
        self.0 = Phase::Starting { since: Some(now) };
    }

    pub(super) fn report(&self, component: &Component, now: Instant) -> ComponentReport<'static> {
        let Standing { status, basis, since } = self.standing(component, now);
        let (last, age_nanos, line) = match self.0 {
            Phase::Reading { row, last, .. } => (Some(row.last), Some(now.nanos_since(last)), Some(row.degraded)),
            _ => (None, None, None),
        };
        let in_a_row = |is_worse| line.filter(|line| line.last == is_worse).map_or(0, |line| line.in_a_row);
        ComponentReport {
            name: component.name,
            role: component.role,
            status,
            basis,
            since,
            nanos_in_status: now.nanos_since(since),
            last,
            age_nanos,
            failures_in_a_row: in_a_row(true),
            successes_in_a_row: in_a_row(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stop_at_their_maximum() {
        let component = Component::optional("x").failures(u16::MAX).build().unwrap();
        let mut line = Line { is_crossed: false, last: true, in_a_row: u16::MAX - 2 };
        for (in_a_row, is_crossed) in [(u16::MAX - 1, false), (u16::MAX, true), (u16::MAX, true)] {
            line.push(true, &component);
            assert_eq!((line.in_a_row, line.is_crossed), (in_a_row, is_crossed));
        }
    }
}
