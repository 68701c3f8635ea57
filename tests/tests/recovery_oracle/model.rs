//! A ladder as a list of all its uses, one after the other.

use fusebox::recovery::{RungCounts, Standing};
use fusebox::{Reason, Rejected};

use super::{Setup, at};

/// What is going on, and until when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Now {
    Works { failures: u16, since: u64 },
    ActionDue,
    Acts(u64),
    Settles(u64),
    TrialDue,
    Tries(u64),
    Gone(Option<u64>),
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) setup: Setup,
    /// The rung of each use, from the first to the last.
    uses: Vec<usize>,
    /// How many of them are behind.
    behind: usize,
    /// The rung it stands on.
    pub(crate) rung: usize,
    pub(crate) now: Now,
    /// What runs: permits and turns of another number are void.
    pub(crate) epoch: u32,
    pub(crate) counts: Vec<RungCounts>,
    pub(crate) recoveries: u32,
    pub(crate) recovered: u32,
    pub(crate) gave_up: u32,
    pub(crate) refused: u32,
    /// From, to and when, of the changes that were not taken.
    pub(crate) untold: Vec<(Standing, Standing)>,
    pub(crate) since: u64,
}

impl Model {
    pub(crate) fn new(setup: Setup) -> Self {
        let uses = setup.rungs.iter().enumerate().flat_map(|(n, rung)| vec![n; rung.times.into()]).collect();
        Self {
            uses,
            behind: 0,
            rung: 0,
            now: Now::Works { failures: 0, since: 0 },
            epoch: 0,
            counts: vec![RungCounts::default(); setup.rungs.len()],
            setup,
            recoveries: 0,
            recovered: 0,
            gave_up: 0,
            refused: 0,
            untold: vec![],
            since: 0,
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        match self.now {
            Now::Works { .. } => Standing::Working,
            Now::Gone(_) => Standing::GivenUp,
            _ => Standing::Recovering,
        }
    }

    /// How many uses of its rung are behind.
    pub(crate) fn used(&self) -> usize {
        self.behind - self.uses.iter().take_while(|rung| **rung < self.rung).count()
    }

    fn begin(&mut self, now: Now, when: u64) {
        let before = self.standing();
        self.now = now;
        self.epoch += 1;
        if self.standing() != before {
            self.untold.push((before, self.standing()));
            self.since = when;
        }
    }

    /// To the first use of `rung`.
    fn stand(&mut self, rung: usize) {
        self.rung = rung;
        self.behind = self.uses.iter().take_while(|other| **other < rung).count();
    }

    fn next_use(&mut self, when: u64) {
        if self.behind == 0 {
            self.counts.iter_mut().for_each(|rung| rung.recent = 0);
        }
        let Some(&rung) = self.uses.get(self.behind) else {
            self.gave_up += 1;
            return self.begin(Now::Gone(self.setup.retry_after.map(|wait| when + wait)), when);
        };
        (self.behind, self.rung) = (self.behind + 1, rung);
        self.counts[rung].uses += 1;
        self.counts[rung].recent += 1;
        let settled = when + self.setup.rungs[rung].settle;
        self.begin(if self.setup.rungs[rung].acts { Now::ActionDue } else { Now::Settles(settled) }, when);
    }

    pub(crate) fn action_failed(&mut self, when: u64) {
        self.counts[self.rung].failed += 1;
        while self.uses.get(self.behind) == Some(&self.rung) {
            self.behind += 1;
        }
        self.next_use(when);
    }

    /// What time does.
    pub(crate) fn at(&mut self, now: u64) {
        self.since = self.since.min(now);
        let rung = &self.setup.rungs[self.rung];
        match &mut self.now {
            Now::Works { since, .. } => *since = now.min(*since),
            Now::Acts(until) => *until = (now + rung.timeout).min(*until),
            Now::Settles(until) => *until = (now + rung.settle).min(*until),
            Now::Tries(until) => *until = (now + self.setup.call).min(*until),
            Now::Gone(Some(until)) => *until = (now + self.setup.retry_after.unwrap()).min(*until),
            Now::Gone(None) | Now::ActionDue | Now::TrialDue => {}
        }
        while let Some(until) = self.alarm().filter(|until| *until <= now) {
            match self.now {
                Now::Acts(_) => self.action_failed(until),
                Now::Tries(_) => self.next_use(until),
                Now::Gone(_) => {
                    self.stand(0);
                    self.begin(Now::TrialDue, until);
                }
                _ => self.begin(Now::TrialDue, until),
            }
        }
    }

    pub(crate) fn alarm(&self) -> Option<u64> {
        match self.now {
            Now::Acts(until) | Now::Settles(until) | Now::Tries(until) => Some(until),
            Now::Gone(until) => until,
            _ => None,
        }
    }

    /// When a trial is due if nobody does anything: by waiting for it.
    fn alone(&self) -> Option<u64> {
        let mut alone = self.clone();
        while alone.now != Now::TrialDue {
            let until = alone.alarm()?;
            alone.at(until);
            if alone.now == Now::TrialDue {
                return Some(until);
            }
        }
        None
    }

    pub(crate) fn refuse(&mut self) -> Rejected {
        self.refused += 1;
        let reason = if matches!(self.now, Now::Gone(_)) { Reason::GivenUp } else { Reason::Recovering };
        Rejected { reason, retry_at: self.alone().map(at) }
    }

    /// Whether a call may start; it belongs to the epoch then.
    pub(crate) fn ask(&mut self, now: u64) -> Result<u32, Rejected> {
        match self.now {
            Now::Works { .. } => Ok(self.epoch),
            Now::TrialDue => {
                self.begin(Now::Tries(now + self.setup.call), now);
                Ok(self.epoch)
            }
            _ => Err(self.refuse()),
        }
    }

    pub(crate) fn take_turn(&mut self, now: u64) -> u32 {
        self.begin(Now::Acts(now + self.setup.rungs[self.rung].timeout), now);
        self.epoch
    }

    pub(crate) fn done(&mut self, now: u64) {
        self.begin(Now::Settles(now + self.setup.rungs[self.rung].settle), now);
    }

    pub(crate) fn abandoned(&mut self, now: u64) {
        self.next_use(now);
    }

    pub(crate) fn good(&mut self, when: u64) {
        if let Now::Tries(_) = self.now {
            self.recovered += 1;
            if self.behind > 0 {
                self.counts[self.rung].cured += 1;
            }
            self.begin(Now::Works { failures: 0, since: when }, when);
        }
        let Now::Works { failures, since } = &mut self.now else { panic!() };
        let worked = when - *since;
        *failures = 0;
        if worked >= self.setup.step_down && self.rung > 0 {
            *since = when;
            self.stand(self.rung - 1);
        } else if worked >= self.setup.rungs[self.rung].hold {
            self.stand(self.rung);
        }
    }

    pub(crate) fn bad(&mut self, when: u64) {
        match &mut self.now {
            Now::Works { failures, since } => {
                (*failures, *since) = (*failures + 1, when);
                if *failures >= self.setup.start_after {
                    self.start(when);
                }
            }
            _ => self.next_use(when),
        }
    }

    pub(crate) fn neither(&mut self, when: u64) {
        if let Now::Tries(_) = self.now {
            self.begin(Now::TrialDue, when);
        }
    }

    pub(crate) fn start(&mut self, when: u64) {
        if let Now::Works { .. } = self.now {
            self.recoveries += 1;
            self.next_use(when);
        }
    }

    pub(crate) fn reset(&mut self, when: u64) {
        self.stand(0);
        self.begin(Now::Works { failures: 0, since: when }, when);
    }
}
