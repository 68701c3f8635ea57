//! The model: what the contract says, in the simplest way there is.

use std::time::Duration;

use fusebox::outlier::{
    Ejection, EndpointChange, EndpointSnapshot, FailureThreshold, OutlierConfig, OutlierRule, SuccessRate,
};
use fusebox::{Instant, Outcome, Reason, Rejected};

/// `Instant::MAX` in nanoseconds.
pub(crate) const END: u128 = u64::MAX as u128 - 1;

pub(crate) fn instant(at: u128) -> Instant {
    Instant::from_nanos(u64::try_from(at).unwrap())
}

/// The configuration, as the model sees it. Times in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) row: Option<usize>,
    /// Permille of a standard deviation, endpoints, calls.
    pub(crate) rate: Option<(u16, u16, u32)>,
    /// Permille, endpoints, calls.
    pub(crate) share: Option<(u16, u16, u32)>,
    pub(crate) interval: u128,
    pub(crate) base: u128,
    pub(crate) max: u128,
    pub(crate) permille: u16,
    pub(crate) one: bool,
}

impl Spec {
    pub(crate) fn config(&self) -> OutlierConfig {
        let ns = |n: u128| Duration::from_nanos(u64::try_from(n).unwrap());
        let mut builder = OutlierConfig::builder()
            .interval(ns(self.interval))
            .base_ejection(ns(self.base))
            .max_ejection(ns(self.max))
            .max_out_permille(self.permille)
            .at_least_one(self.one);
        builder = match self.row {
            Some(n) => builder.consecutive_failures(u32::try_from(n).unwrap()),
            None => builder.without_consecutive_failures(),
        };
        builder = match self.rate {
            Some((stdev, endpoints, calls)) => builder.success_rate(SuccessRate::new(stdev, endpoints, calls).unwrap()),
            None => builder.without_success_rate(),
        };
        if let Some((permille, endpoints, calls)) = self.share {
            builder = builder.failure_threshold(FailureThreshold::new(permille, endpoints, calls).unwrap());
        }
        builder.build().unwrap()
    }
}

#[derive(Clone)]
pub(crate) struct Member {
    /// Who it is: another one after each ejection, return, removal and reset.
    life: u64,
    /// Until when it is out, for how long, and why.
    out: Option<(u128, u128, OutlierRule)>,
    /// Since when it is in.
    since: u128,
    /// Outcomes since it is in; whether it failed.
    row: Vec<bool>,
    /// Outcomes of this interval.
    interval: Vec<bool>,
    multiplier: u128,
    ejections: u32,
    event: Option<(bool, u128)>,
}

pub(crate) struct Model {
    pub(crate) spec: Spec,
    pub(crate) room: usize,
    pub(crate) members: Vec<Member>,
    pub(crate) lives: u64,
    pub(crate) sweep: Option<u128>,
    pub(crate) ejections: u32,
    pub(crate) spared: u32,
    pub(crate) refused: u32,
    pub(crate) by_rule: [u32; 3],
}

impl Model {
    pub(crate) fn member(&mut self, now: u128) -> Member {
        self.lives += 1;
        Member {
            life: self.lives,
            out: None,
            since: now,
            row: vec![],
            interval: vec![],
            multiplier: 0,
            ejections: 0,
            event: None,
        }
    }

    pub(crate) fn out(&self) -> usize {
        self.members.iter().filter(|m| m.out.is_some()).count()
    }

    pub(crate) fn most_out(&self) -> usize {
        let share = self.members.len() * usize::from(self.spec.permille) / 1_000;
        share.max(usize::from(self.spec.one))
    }

    pub(crate) fn multiplier(&self, n: usize, now: u128) -> u128 {
        let member = &self.members[n];
        let in_for = if member.out.is_some() { 0 } else { now.saturating_sub(member.since) };
        member.multiplier.saturating_sub(in_for / self.spec.interval)
    }

    pub(crate) fn eject(&mut self, n: usize, rule: OutlierRule, at: u128) {
        if self.out() + 1 > self.most_out() {
            self.spared += 1;
            return;
        }
        let before = self.multiplier(n, at);
        self.lives += 1;
        let member = &mut self.members[n];
        member.multiplier = if before * self.spec.base >= self.spec.max { before } else { before + 1 };
        let length = (member.multiplier * self.spec.base).min(self.spec.max);
        member.out = Some(((at + length).min(END), length, rule));
        member.life = self.lives;
        member.row.clear();
        member.interval.clear();
        member.ejections += 1;
        member.event = Some((member.event.is_some_and(|e| e.0), at));
        self.ejections += 1;
        self.by_rule[match rule {
            OutlierRule::ConsecutiveFailures => 0,
            OutlierRule::SuccessRate => 1,
            _ => 2,
        }] += 1;
    }

    pub(crate) fn back(&mut self, n: usize, at: u128) {
        self.lives += 1;
        let member = &mut self.members[n];
        member.out = None;
        member.since = at;
        member.life = self.lives;
        member.event = Some((member.event.is_none_or(|e| e.0), at));
    }

    /// In 4096ths, to the nearest, a half up.
    pub(crate) fn rate(&self, n: usize) -> i128 {
        let calls = &self.members[n].interval;
        let good = calls.iter().filter(|failed| !**failed).count();
        if calls.is_empty() {
            4_096
        } else {
            i128::try_from((2 * 4_096 * good + calls.len()) / (2 * calls.len())).unwrap()
        }
    }

    pub(crate) fn sweep(&mut self, at: u128) {
        self.sweep = None;
        let calls: Vec<usize> = self.members.iter().map(|m| m.interval.len()).collect();
        let with = |minimum: u32| (0..calls.len()).filter(|n| calls[*n] >= minimum as usize).collect::<Vec<_>>();
        let mut low = vec![];
        if let Some((stdev, endpoints, calls)) = self.spec.rate {
            let crowd = with(calls);
            if crowd.len() >= usize::from(endpoints) {
                // Times n: the mean and every deviation from it are whole.
                let count = i128::try_from(crowd.len()).unwrap();
                let mean: i128 = crowd.iter().map(|n| self.rate(*n)).sum();
                let variance: i128 = crowd.iter().map(|n| (count * self.rate(*n) - mean).pow(2)).sum(); // n^3 times it
                low = crowd;
                low.retain(|n| {
                    let below = mean - count * self.rate(*n);
                    below > 0 && below.pow(2) * count * 1_000_000 > i128::from(stdev).pow(2) * variance
                });
            }
        }
        let mut failing = vec![];
        if let Some((permille, endpoints, calls)) = self.spec.share {
            let crowd = with(calls);
            if crowd.len() >= usize::from(endpoints) {
                failing = crowd;
                failing.retain(|n| {
                    let calls = &self.members[*n].interval;
                    calls.iter().filter(|failed| **failed).count() * 1_000 >= usize::from(permille) * calls.len()
                });
            }
        }
        low.sort_by_key(|n| (self.rate(*n), *n));
        failing.sort_by_key(|n| (self.rate(*n), *n));
        for n in low {
            self.eject(n, OutlierRule::SuccessRate, at);
        }
        for n in failing {
            if self.members[n].out.is_none() {
                self.eject(n, OutlierRule::FailureThreshold, at);
            }
        }
        for member in &mut self.members {
            member.interval.clear();
        }
    }

    /// What time alone does, one thing after the other.
    pub(crate) fn pass(&mut self, now: u128) {
        for member in &mut self.members {
            member.since = member.since.min(now);
            if let Some((until, length, _)) = &mut member.out {
                *until = (*until).min(now + *length);
            }
        }
        self.sweep = self.sweep.map(|at| at.min(now + self.spec.interval));
        while let Some(at) = self.timer().filter(|at| *at <= now) {
            let returning = |m: &Member| m.out.is_some_and(|out| out.0 == at);
            if let Some(n) = self.members.iter().position(returning) {
                self.back(n, at);
            } else {
                self.sweep(at);
            }
        }
    }

    pub(crate) fn timer(&self) -> Option<u128> {
        self.members.iter().filter_map(|m| Some(m.out?.0)).chain(self.sweep).min()
    }

    pub(crate) fn ask(&mut self, n: usize, now: u128) -> Result<u64, Rejected> {
        self.pass(now);
        let retry_at = match self.members.get(n) {
            Some(Member { out: None, life, .. }) => return Ok(*life),
            Some(Member { out: Some(out), .. }) => Some(instant(out.0)),
            None => None,
        };
        self.refused += 1;
        let reason = if retry_at.is_some() { Reason::Ejected } else { Reason::NoSuchEndpoint };
        Err(Rejected { reason, retry_at })
    }

    pub(crate) fn tell(&mut self, life: u64, outcome: Outcome, now: u128) {
        self.pass(now);
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Ignored => return,
            _ => true,
        };
        let Some(n) = self.members.iter().position(|m| m.life == life) else { return };
        let member = &mut self.members[n];
        member.row.push(failed);
        member.interval.push(failed);
        let row = member.row.iter().rev().take_while(|failed| **failed).count();
        if self.spec.rate.is_some() || self.spec.share.is_some() {
            self.sweep = self.sweep.or(Some((now + self.spec.interval).min(END)));
        }
        if failed && self.spec.row.is_some_and(|limit| row >= limit) {
            self.eject(n, OutlierRule::ConsecutiveFailures, now);
        }
    }

    pub(crate) fn add(&mut self, now: u128) -> Option<usize> {
        self.pass(now);
        if self.members.len() == self.room {
            return None;
        }
        let member = self.member(now);
        self.members.push(member);
        Some(self.members.len() - 1)
    }

    pub(crate) fn remove(&mut self, n: usize, now: u128) {
        self.pass(now);
        if n >= self.members.len() {
            return;
        }
        self.members.swap_remove(n);
        if let Some(moved) = self.members.get_mut(n) {
            self.lives += 1;
            moved.life = self.lives;
        }
        while self.out() > self.most_out() {
            let out = |n: &usize| self.members[*n].out.is_some();
            let first = (0..self.members.len()).filter(out).min_by_key(|n| self.members[*n].out.unwrap().0);
            self.back(first.unwrap(), now);
        }
    }

    pub(crate) fn reset(&mut self, n: usize, now: u128) {
        self.pass(now);
        if n < self.members.len() {
            if self.members[n].out.is_some() {
                self.back(n, now);
            }
            let event = self.members[n].event;
            self.members[n] = Member { event, ..self.member(now) };
        }
    }

    pub(crate) fn restore(&mut self, n: usize, now: u128) {
        self.pass(now);
        if self.members.get(n).is_some_and(|m| m.out.is_some()) {
            self.back(n, now);
        }
    }

    pub(crate) fn event(&mut self) -> Option<EndpointChange> {
        let told = |n: &usize| Some((self.members[*n].event?.1, *n));
        let first = (0..self.members.len()).filter(|n| told(n).is_some()).min_by_key(told)?;
        let (was_out, at) = self.members[first].event.take().unwrap();
        Some(EndpointChange { endpoint: first, was_out, out: self.ejection(first, 0), at: instant(at) })
    }

    pub(crate) fn ejection(&self, n: usize, now: u128) -> Option<Ejection> {
        let (until, _, rule) = self.members[n].out.filter(|out| now < out.0)?;
        Some(Ejection { until: instant(until), rule })
    }

    pub(crate) fn seen(&self, n: usize, now: u128) -> EndpointSnapshot {
        let member = &self.members[n];
        let small = |n: usize| u32::try_from(n).unwrap();
        let multiplier = match member.out {
            // Back, and nobody has noticed.
            Some((until, ..)) if now >= until => member.multiplier.saturating_sub((now - until) / self.spec.interval),
            _ => self.multiplier(n, now),
        };
        EndpointSnapshot {
            out: self.ejection(n, now),
            failures_in_a_row: small(member.row.iter().rev().take_while(|failed| **failed).count()),
            calls: small(member.interval.len()),
            failures: small(member.interval.iter().filter(|failed| **failed).count()),
            ejections: member.ejections,
            multiplier: u16::try_from(multiplier).unwrap(),
        }
    }
}
