//! The ladder's state machine.

use super::config::Place;
use super::{Act, Acted, Change, LadderConfig, LadderSnapshot, Next, RungCounts, Standing};
use crate::{Gate, Instant, Outcome, Reason, Rejected};

#[cfg(test)]
mod overflow_tests;

/// Permission for one call: a trial, or one of many while the device works.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its ladder: release or cancel it"]
pub struct Permit {
    generation: u32,
}

/// The duty to do one action. It goes back through [`Ladder::acted`].
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a turn must be reported: see Ladder::acted"]
pub struct Turn<A> {
    act: Act<A>,
    generation: u32,
}

impl<A: Copy> Turn<A> {
    /// What is to be done, and until when.
    #[must_use]
    pub const fn act(&self) -> Act<A> {
        self.act
    }
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Phase {
    /// Failures in a row, and since when there was neither one nor a step.
    Working {
        failures: u16,
        since: Instant,
    },
    /// The rung's action waits for somebody to do it.
    Due,
    Acting {
        until: Instant,
    },
    Settling {
        until: Instant,
    },
    /// A trial waits for somebody to call.
    Ready,
    Trial {
        until: Instant,
    },
    GivenUp {
        until: Option<Instant>,
    },
}

impl Phase {
    const fn standing(&self) -> Standing {
        match self {
            Self::Working { .. } => Standing::Working,
            Self::GivenUp { .. } => Standing::GivenUp,
            Self::Due | Self::Acting { .. } | Self::Settling { .. } | Self::Ready | Self::Trial { .. } => {
                Standing::Recovering
            }
        }
    }
}

/// The recovery of one device, in `N` rungs of actions `A`: see the [module](super).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ladder<A, const N: usize> {
    config: LadderConfig<A, N>,
    phase: Phase,
    place: Place,
    /// Of the phase: what belongs to an earlier one is dropped.
    generation: u32,
    counts: [RungCounts; N],
    since: Instant,
    recoveries: u32,
    recovered: u32,
    gave_up: u32,
    refused: u32,
    /// How it stood before the first change that nobody has taken yet.
    untold: Option<Standing>,
}

impl<A: Copy, const N: usize> Ladder<A, N> {
    /// The device works, as far as is known.
    #[must_use]
    pub const fn new(config: LadderConfig<A, N>) -> Self {
        Self {
            config,
            phase: Phase::Working { failures: 0, since: Instant::EPOCH },
            place: Place::BOTTOM,
            generation: 0,
            counts: [RungCounts { uses: 0, recent: 0, failed: 0, cured: 0 }; N],
            since: Instant::EPOCH,
            recoveries: 0,
            recovered: 0,
            gave_up: 0,
            refused: 0,
            untold: None,
        }
    }

    /// What is to be done now to get a call through. An action that is due goes to whoever asks first; the others are
    /// refused until it is over.
    ///
    /// # Errors
    /// [`Reason::Recovering`] while somebody else acts or tries; [`Reason::GivenUp`].
    pub fn next(&mut self, now: Instant) -> Result<Next<A>, Rejected> {
        self.handle_timeout(now);
        match self.phase {
            Phase::Working { .. } | Phase::Ready => Ok(Next::Call { deadline: now.after(self.config.call_timeout) }),
            Phase::Due => self.take_turn(now).map(Next::Act).ok_or_else(|| self.refuse()),
            Phase::Settling { until } => Ok(Next::Wait { until }),
            Phase::Acting { .. } | Phase::Trial { .. } | Phase::GivenUp { .. } => Err(self.refuse()),
        }
    }

    /// `None` if the rung has no action; only one that has is ever due.
    fn take_turn(&mut self, now: Instant) -> Option<Turn<A>> {
        let rung = self.config.rung(self.place.rung)?;
        let (action, deadline) = (rung.action?, now.after(rung.timeout));
        self.enter(Phase::Acting { until: deadline }, now);
        let act = Act { action, rung: self.place.rung, number: self.place.used, deadline };
        Some(Turn { act, generation: self.generation })
    }

    /// An action ended at `now`. One whose deadline was over has failed before, and this changes nothing.
    pub fn acted(&mut self, turn: Turn<A>, acted: Acted, now: Instant) {
        self.handle_timeout(now);
        if turn.generation != self.generation {
            return;
        }
        match acted {
            Acted::Done => self.settle(now),
            Acted::Failed => self.action_failed(now),
            Acted::Abandoned => self.climb(now),
        }
    }

    /// Begins a recovery by hand if the device works: for who sees by other means that it does not.
    pub fn start(&mut self, now: Instant) {
        if let Phase::Working { .. } = self.phase {
            self.begin(now);
        }
    }

    /// The device works, by order: at the bottom of the ladder, whatever was before. Counts stay.
    pub fn reset(&mut self, now: Instant) {
        self.place = Place::BOTTOM;
        self.enter(Phase::Working { failures: 0, since: now }, now);
    }

    /// How the device stands, as of the last call.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.phase.standing()
    }

    /// The change since the last time it was taken, if any.
    pub const fn poll_event(&mut self) -> Option<Change> {
        match self.untold.take() {
            Some(from) => Some(Change { from, to: self.standing(), at: self.since }),
            None => None,
        }
    }

    /// What it can tell about itself, as of the last call.
    #[must_use]
    pub const fn snapshot(&self) -> LadderSnapshot {
        LadderSnapshot {
            standing: self.standing(),
            since: self.since,
            rung: self.place.rung,
            used: self.place.used,
            recoveries: self.recoveries,
            recovered: self.recovered,
            gave_up: self.gave_up,
            refused: self.refused,
        }
    }

    /// What became of each rung.
    #[must_use]
    pub const fn counts(&self) -> [RungCounts; N] {
        self.counts
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &LadderConfig<A, N> {
        &self.config
    }

    /// The one place where the phase changes.
    fn enter(&mut self, phase: Phase, now: Instant) {
        let from = self.standing();
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
        if self.standing() != from {
            self.since = now;
            self.untold = self.untold.or(Some(from));
        }
    }

    fn begin(&mut self, now: Instant) {
        self.recoveries = self.recoveries.saturating_add(1);
        self.climb(now);
    }

    /// The next use of a rung, or none.
    fn climb(&mut self, now: Instant) {
        if self.place == Place::BOTTOM {
            self.counts.iter_mut().for_each(|rung| rung.recent = 0);
        }
        let Some((place, rung)) = self.config.after(self.place) else { return self.give_up(now) };
        let has_action = rung.action.is_some();
        self.place = place;
        self.count(|rung| {
            rung.uses = rung.uses.saturating_add(1);
            rung.recent = rung.recent.saturating_add(1);
        });
        if has_action { self.enter(Phase::Due, now) } else { self.settle(now) }
    }

    fn give_up(&mut self, now: Instant) {
        self.gave_up = self.gave_up.saturating_add(1);
        self.enter(Phase::GivenUp { until: self.config.retry_after.map(|wait| now.after(wait)) }, now);
    }

    fn settle(&mut self, now: Instant) {
        self.enter(Phase::Settling { until: now.after(self.settling()) }, now);
    }

    fn action_failed(&mut self, now: Instant) {
        self.count(|rung| rung.failed = rung.failed.saturating_add(1));
        self.place = self.used_up();
        self.climb(now);
    }

    fn recover(&mut self, now: Instant) {
        self.recovered = self.recovered.saturating_add(1);
        if self.place != Place::BOTTOM {
            self.count(|rung| rung.cured = rung.cured.saturating_add(1));
        }
        self.enter(Phase::Working { failures: 0, since: now }, now);
        self.worked(now);
    }

    /// Goes down if it is time.
    fn worked(&mut self, now: Instant) {
        let hold = self.config.rung(self.place.rung).map_or(0, |rung| rung.hold);
        let Phase::Working { failures, since } = &mut self.phase else { return };
        *failures = 0;
        let worked = now.nanos_since(*since);
        if self.place.rung > 0 && worked >= self.config.step_down {
            *since = now;
            self.place = Place { rung: self.place.rung.saturating_sub(1), used: 0 };
        } else if worked >= hold {
            self.place.used = 0;
        }
    }

    fn failed(&mut self, now: Instant) {
        let Phase::Working { failures, since } = &mut self.phase else { return };
        *failures = failures.saturating_add(1);
        *since = now;
        if *failures >= self.config.start_after {
            self.begin(now);
        }
    }

    fn count(&mut self, count: impl FnOnce(&mut RungCounts)) {
        if let Some(rung) = self.counts.get_mut(usize::from(self.place.rung)) {
            count(rung);
        }
    }

    fn settling(&self) -> u64 {
        self.config.rung(self.place.rung).map_or(0, |rung| rung.settle)
    }

    fn acting(&self) -> u64 {
        self.config.rung(self.place.rung).map_or(0, |rung| rung.timeout)
    }

    /// Where it stands when this rung is not to be used again.
    fn used_up(&self) -> Place {
        Place { used: self.config.times(self.place.rung), ..self.place }
    }

    fn refuse(&mut self) -> Rejected {
        self.refused = self.refused.saturating_add(1);
        let retry_at = match self.phase {
            Phase::Settling { until } => Some(until),
            Phase::Acting { until } => self.config.trial_after(self.used_up(), until),
            Phase::Trial { until } => self.config.trial_after(self.place, until),
            Phase::GivenUp { until } => return Rejected { reason: Reason::GivenUp, retry_at: until },
            Phase::Working { .. } | Phase::Ready | Phase::Due => None,
        };
        Rejected { reason: Reason::Recovering, retry_at }
    }

    /// Nothing lies further ahead than it would if it began now, unless the clock stepped back.
    fn mend_clock(&mut self, now: Instant) {
        self.since = self.since.min(now);
        let (acting, settling, trial) = (self.acting(), self.settling(), self.config.call_timeout);
        let cut = |until: &mut Instant, length: u64| *until = (*until).min(now.after(length));
        match &mut self.phase {
            Phase::Working { since, .. } => *since = (*since).min(now),
            Phase::Acting { until } => cut(until, acting),
            Phase::Settling { until } => cut(until, settling),
            Phase::Trial { until } => cut(until, trial),
            Phase::GivenUp { until: Some(until) } => cut(until, self.config.retry_after.unwrap_or(0)),
            Phase::Due | Phase::Ready | Phase::GivenUp { until: None } => {}
        }
    }
}

impl<A: Copy, const N: usize> Gate for Ladder<A, N> {
    type Permit = Permit;

    fn try_acquire(&mut self, now: Instant) -> Result<Permit, Rejected> {
        self.handle_timeout(now);
        match self.phase {
            Phase::Working { .. } => {}
            Phase::Ready => self.enter(Phase::Trial { until: now.after(self.config.call_timeout) }, now),
            _ => return Err(self.refuse()),
        }
        Ok(Permit { generation: self.generation })
    }

    fn release(&mut self, permit: Permit, outcome: Outcome, now: Instant) {
        self.handle_timeout(now); // its own time may be over
        if permit.generation != self.generation {
            return;
        }
        let is_trial = matches!(self.phase, Phase::Trial { .. });
        match outcome {
            Outcome::Success if is_trial => self.recover(now),
            Outcome::Success => self.worked(now),
            Outcome::Failure | Outcome::Unavailable { .. } if is_trial => self.climb(now),
            Outcome::Failure | Outcome::Unavailable { .. } => self.failed(now),
            Outcome::Ignored if is_trial => self.enter(Phase::Ready, now),
            Outcome::Ignored => {}
        }
    }

    fn cancel(&mut self, permit: Permit, now: Instant) {
        self.release(permit, Outcome::Ignored, now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Acting { until } | Phase::Settling { until } | Phase::Trial { until } => Some(until),
            Phase::GivenUp { until } => until,
            Phase::Working { .. } | Phase::Due | Phase::Ready => None,
        }
    }

    /// What is late happens as of when it was due, so polling makes no difference.
    fn handle_timeout(&mut self, now: Instant) {
        self.mend_clock(now);
        match self.phase {
            Phase::Acting { until } if now >= until => self.action_failed(until),
            Phase::Trial { until } if now >= until => self.climb(until),
            _ => {}
        }
        match self.phase {
            Phase::Settling { until } if now >= until => self.enter(Phase::Ready, until),
            Phase::GivenUp { until: Some(until) } if now >= until => {
                self.place = Place::BOTTOM;
                self.enter(Phase::Ready, until);
            }
            _ => {}
        }
    }
}
