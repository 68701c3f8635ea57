//! What is kept of one endpoint.

use super::config::OutlierConfig;
use super::stats::rate;
use super::{Ejection, EndpointSnapshot, OutlierRule};
use crate::Instant;

/// What exists only in a phase lives in that phase.
#[derive(Clone, Copy, Debug)]
enum Phase {
    In { since: Instant, in_a_row: u32, calls: u32, failures: u32 },
    Out(Ejection),
}

impl Phase {
    const fn fresh(since: Instant) -> Self {
        Self::In { since, in_a_row: 0, calls: 0, failures: 0 }
    }
}

/// A place for an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    phase: Phase,
    /// Never given twice in the same place, so that permits find only the endpoint and the phase they were given in.
    pub(super) generation: u32,
    ejections: u32,
    /// As of the last ejection; what it has gone down since is worked out when asked for.
    multiplier: u16,
    /// Whether it was out before the first change that nobody has taken yet.
    untold: Option<bool>,
    changed_at: Instant,
}

impl Endpoint {
    pub(super) const NEW: Self = Self {
        phase: Phase::fresh(Instant::EPOCH),
        generation: 0,
        ejections: 0,
        multiplier: 0,
        untold: None,
        changed_at: Instant::EPOCH,
    };

    pub(super) const fn ejection(&self) -> Option<Ejection> {
        match self.phase {
            Phase::Out(ejection) => Some(ejection),
            Phase::In { .. } => None,
        }
    }

    /// As of `now`, whether or not its return has been noticed.
    pub(super) fn ejection_at(&self, now: Instant) -> Option<Ejection> {
        self.ejection().filter(|ejection| now < ejection.until)
    }

    /// Outcomes of this interval and the failures among them.
    pub(super) const fn counts(&self) -> (u32, u32) {
        match self.phase {
            Phase::In { calls, failures, .. } => (calls, failures),
            Phase::Out(_) => (0, 0),
        }
    }

    pub(super) fn rate(&self) -> u32 {
        let (calls, failures) = self.counts();
        rate(calls, failures)
    }

    /// The one place where the phase changes: a new generation, and an event.
    fn enter(&mut self, phase: Phase, at: Instant) {
        self.untold = self.untold.or(Some(self.ejection().is_some()));
        self.changed_at = at;
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
    }

    /// Takes it out from `at` on, and says until when.
    pub(super) fn eject(&mut self, config: &OutlierConfig, rule: OutlierRule, at: Instant) -> Instant {
        self.multiplier = config.next_multiplier(self.multiplier_at(config, at));
        self.ejections = self.ejections.saturating_add(1);
        let until = at.after(config.ejection(self.multiplier));
        self.enter(Phase::Out(Ejection { until, rule }), at);
        until
    }

    /// Takes it back in from `at` on.
    pub(super) fn come_back(&mut self, at: Instant) {
        self.enter(Phase::fresh(at), at);
    }

    /// Forgets all but what it has to tell.
    pub(super) fn reset(&mut self, now: Instant) {
        if self.ejection().is_some() {
            self.come_back(now);
        }
        let (generation, untold, changed_at) = (self.generation.wrapping_add(1), self.untold, self.changed_at);
        *self = Self { phase: Phase::fresh(now), generation, untold, changed_at, ..Self::NEW };
    }

    /// Holds what `other` holds from now on; permits of either find nothing here.
    pub(super) const fn replace(&mut self, other: Self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..other };
    }

    /// Takes an outcome, and says how many failures in a row it makes.
    pub(super) fn record(&mut self, failed: bool) -> u32 {
        let Phase::In { in_a_row, calls, failures, .. } = &mut self.phase else { return 0 };
        *in_a_row = if failed { in_a_row.saturating_add(1) } else { 0 };
        if *calls < u32::MAX {
            *calls += 1;
            *failures += u32::from(failed);
        }
        *in_a_row
    }

    /// The interval is over.
    pub(super) const fn clear_counts(&mut self) {
        if let Phase::In { calls, failures, .. } = &mut self.phase {
            (*calls, *failures) = (0, 0);
        }
    }

    /// One less for each whole interval in. The loop takes no more turns than there were ejections.
    const fn multiplier_at(&self, config: &OutlierConfig, now: Instant) -> u16 {
        let Phase::In { mut since, .. } = self.phase else { return self.multiplier };
        let mut multiplier = self.multiplier;
        while multiplier > 0 && now.nanos_since(since) >= config.interval {
            multiplier -= 1;
            since = since.after(config.interval);
        }
        multiplier
    }

    /// The clock stepped back to `now`: nothing lasts longer from there than it would have from its own beginning.
    pub(super) fn clip(&mut self, config: &OutlierConfig, now: Instant) {
        match &mut self.phase {
            Phase::In { since, .. } => *since = (*since).min(now),
            Phase::Out(ejection) => {
                ejection.until = ejection.until.min(now.after(config.ejection(self.multiplier)));
            }
        }
    }

    /// When the change that nobody has taken yet happened.
    pub(super) const fn untold_at(&self) -> Option<Instant> {
        match self.untold {
            Some(_) => Some(self.changed_at),
            None => None,
        }
    }

    /// Takes the untold change: whether it was out before.
    pub(super) const fn tell(&mut self) -> Option<bool> {
        self.untold.take()
    }

    pub(super) fn snapshot(&self, config: &OutlierConfig, now: Instant) -> EndpointSnapshot {
        let returned = Self { phase: Phase::fresh(self.ejection().map_or(now, |e| e.until)), ..*self };
        let current = if self.ejection().is_some() && self.ejection_at(now).is_none() { &returned } else { self };
        let (calls, failures) = current.counts();
        let in_a_row = if let Phase::In { in_a_row, .. } = current.phase { in_a_row } else { 0 };
        EndpointSnapshot {
            out: current.ejection(),
            failures_in_a_row: in_a_row,
            calls,
            failures,
            ejections: current.ejections,
            multiplier: current.multiplier_at(config, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stop_at_their_maximum() {
        let full = Phase::In { since: Instant::EPOCH, in_a_row: u32::MAX, calls: u32::MAX, failures: 7 };
        let mut endpoint = Endpoint { phase: full, ..Endpoint::NEW };
        assert_eq!((endpoint.record(true), endpoint.counts()), (u32::MAX, (u32::MAX, 7)));
        assert_eq!((endpoint.record(false), endpoint.counts()), (0, (u32::MAX, 7)));
    }
}
