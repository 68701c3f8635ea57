//! A breaker, a clock and the calls that are out: what can happen to them, and what must hold.

use fusebox::breaker::Permit;
use fusebox::{Breaker, Gate, Instant, Outcome, Reason, Rejected, State, TripRule};

pub const TRIALS: usize = 2;
pub const START: u64 = 400;
/// More calls than this are never out at once.
const OUT: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    Success,
    Failure,
    /// Come back after so long.
    Unavailable(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    Ask,
    Tick,
    StepBack,
    /// The oldest permit comes back.
    Oldest(Ending),
    /// The newest permit comes back.
    Newest(Ending),
    CancelOldest,
    Timer,
    Trip,
    HalfOpen,
    ForceOpen,
    ForceClosed,
    DryRun,
    Reset,
}

/// The longest of each interval.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub open: u64,
    pub slow_after: Option<u64>,
    pub trial_ttl: u64,
    pub half_open_for: Option<u64>,
    pub slow_start: u64,
}

pub struct World<R: TripRule> {
    breaker: Breaker<R, TRIALS>,
    limits: Limits,
    now: u64,
    /// Oldest first.
    out: Vec<Out>,
    phase: u32,
}

struct Out {
    permit: Permit,
    /// Which phase it was given in.
    phase: u32,
    /// As a trial, and how often the clock has ticked since.
    trial: Option<u64>,
}

fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

impl<R: TripRule> World<R> {
    pub fn new(breaker: &Breaker<R, TRIALS>, limits: Limits) -> Self {
        Self { breaker: breaker.clone(), limits, now: START, out: vec![], phase: 0 }
    }

    fn is_dry(&self) -> bool {
        self.breaker.snapshot(at(self.now)).dry_run
    }

    /// Does `event`; false if it cannot happen here, or would be the same as another one.
    pub fn step(&mut self, event: Event) -> bool {
        let (before, trips) = (self.breaker.state(), self.breaker.snapshot(at(self.now)).trips);
        let mut asked = false;
        match event {
            Event::Ask if self.out.len() == OUT => return false,
            Event::Oldest(_) | Event::Newest(_) | Event::CancelOldest if self.out.is_empty() => return false,
            Event::Newest(_) if self.out.len() == 1 => return false,
            Event::DryRun if self.is_dry() => return false,
            Event::Tick => self.tick(),
            Event::StepBack => self.now -= 2,
            Event::Ask => asked = self.ask(),
            Event::Oldest(ending) => {
                let out = self.out.remove(0);
                self.give_back(out, ending);
            }
            Event::Newest(ending) => {
                let out = self.out.pop().unwrap();
                self.give_back(out, ending);
            }
            Event::CancelOldest => self.cancel_oldest(),
            Event::Timer => self.handle_timeout(),
            _ => self.by_hand(event),
        }
        // In one go from half-open through open to half-open, it has opened all the same; closed can start over.
        let opened = self.breaker.snapshot(at(self.now)).trips != trips;
        let started_over = matches!(event, Event::DryRun | Event::Reset);
        self.phase += u32::from(opened || started_over || self.breaker.state() != before);
        if let (true, Some(newest)) = (asked, self.out.last_mut()) {
            newest.phase = self.phase;
        }
        true
    }

    fn tick(&mut self) {
        self.now += 1;
        for ticks in self.out.iter_mut().filter_map(|out| out.trial.as_mut()) {
            *ticks += 1;
        }
    }

    fn by_hand(&mut self, event: Event) {
        let now = at(self.now);
        match event {
            Event::Trip => self.breaker.trip(now),
            Event::HalfOpen => self.breaker.half_open(now),
            Event::ForceOpen => self.breaker.force_open(now),
            Event::ForceClosed => self.breaker.force_closed(now),
            Event::DryRun => self.breaker.dry_run(now),
            Event::Reset => self.breaker.reset(now),
            _ => unreachable!("not by hand"),
        }
    }

    /// A timer does nothing before it is due, and nothing twice.
    fn handle_timeout(&mut self) {
        self.breaker.handle_timeout(at(self.now));
        let once = format!("{:?}", self.breaker);
        self.breaker.handle_timeout(at(self.now));
        assert_eq!(once, format!("{:?}", self.breaker), "a repeated call did something");
        assert!(self.breaker.poll_timeout().is_none_or(|timer| timer > at(self.now)), "{once}");
    }

    /// Asks, and says whether there is one more out; a refusal must be honest.
    fn ask(&mut self) -> bool {
        let dry = self.is_dry();
        match self.breaker.try_acquire(at(self.now)) {
            Ok(permit) => {
                let trial = (self.breaker.state() == State::HalfOpen).then_some(0);
                self.out.push(Out { permit, phase: self.phase, trial });
                return true;
            }
            Err(rejected) if dry => panic!("a dry run refused: {rejected}"),
            Err(rejected) => self.honest(rejected),
        }
        false
    }

    fn honest(&self, Rejected { reason, retry_at }: Rejected) {
        if reason == Reason::ForcedOpen {
            return assert_eq!((retry_at, self.breaker.state()), (None, State::ForcedOpen));
        }
        let retry_at = retry_at.unwrap().as_nanos();
        let longest = match (reason, self.limits.half_open_for) {
            (Reason::Open, _) => self.limits.open,
            (Reason::TrialsOut, None) => self.limits.trial_ttl,
            (Reason::TrialsOut, Some(limit)) => self.limits.trial_ttl.max(limit + self.limits.open),
            (Reason::SlowStart, _) => self.limits.slow_start,
            _ => panic!("{reason}"),
        };
        assert!(retry_at >= self.now && retry_at <= self.now + longest, "{reason}: {:?}", self.breaker);
        let asked_at = |now| self.breaker.clone().try_acquire(at(now)).is_ok();
        assert!(asked_at(retry_at), "too early: {:?}", self.breaker);
        // Only a slow start may say that the next one goes through at once.
        let at_once = retry_at == self.now && reason == Reason::SlowStart;
        assert!(at_once || (retry_at > self.now && !asked_at(retry_at - 1)), "too late: {:?}", self.breaker);
    }

    fn outcome(&self, ending: Ending) -> Outcome {
        match ending {
            Ending::Success => Outcome::Success,
            Ending::Failure => Outcome::Failure,
            Ending::Unavailable(wait) => Outcome::Unavailable { retry_at: at(self.now).after(wait) },
        }
    }

    fn give_back(&mut self, out: Out, ending: Ending) {
        let late = out.phase != self.phase;
        let before = if late { format!("{:?}", self.breaker) } else { String::new() };
        self.breaker.release(out.permit, self.outcome(ending), at(self.now));
        assert!(!late || before == format!("{:?}", self.breaker), "an outcome of an earlier phase changed something");
    }

    /// A cancelled call decides nothing, and its place is free.
    fn cancel_oldest(&mut self) {
        let (before, mut by_time) = (self.breaker.state(), self.breaker.clone());
        by_time.handle_timeout(at(self.now));
        let out = self.out.remove(0);
        let is_trial = out.phase == self.phase && out.trial.is_some_and(|ticks| ticks < self.limits.trial_ttl);
        self.breaker.cancel(out.permit, at(self.now));
        let after = self.breaker.state();
        assert!(after == before || after == by_time.state(), "a cancelled call decided");
        let goes_on = is_trial && after == State::HalfOpen;
        let mut next = self.breaker.clone();
        assert!(!goes_on || next.try_acquire(at(self.now)).is_ok(), "a cancelled trial keeps its place");
    }

    /// What must hold in every state.
    pub fn check(&self) {
        let live = |out: &&Out| out.phase == self.phase && out.trial.is_some_and(|ticks| ticks < self.limits.trial_ttl);
        let trials = self.out.iter().filter(live).count();
        assert!(self.is_dry() || trials <= TRIALS, "too many trials: {:?}", self.breaker);
        self.check_way_back();
    }

    /// If the callee is healthy from here on, a few steps and a bounded time lead to closed and all calls through.
    fn check_way_back(&self) {
        let Limits { open, trial_ttl, half_open_for, slow_start, .. } = self.limits;
        let longest = open + trial_ttl + half_open_for.unwrap_or(0);
        let mut healthy = Self { out: vec![], ..Self::new(&self.breaker, self.limits) };
        healthy.now = self.now;
        healthy.handle_timeout(); // the clock may have stepped back since
        let mut steps = 0;
        while !matches!(healthy.breaker.state(), State::Closed | State::ForcedOpen | State::ForcedClosed) {
            steps += 1;
            assert!(steps <= 8 + if self.is_dry() { longest } else { 0 }, "no way back: {:?}", self.breaker);
            match healthy.breaker.try_acquire(at(healthy.now)) {
                Ok(permit) => healthy.breaker.release(permit, Outcome::Success, at(healthy.now)),
                Err(refused) => healthy.now = refused.retry_at.unwrap().as_nanos(),
            }
            // A dry run refuses nothing, so it does not say when to come back.
            healthy.now += u64::from(self.is_dry());
        }
        assert!(healthy.now - self.now <= longest, "a slow way back: {:?}", self.breaker);
        let forced_open = healthy.breaker.state() == State::ForcedOpen;
        for wait in [slow_start, 0, 0, 1] {
            healthy.now += wait;
            let answer = healthy.breaker.try_acquire(at(healthy.now));
            assert_eq!(answer.is_ok(), !forced_open, "closed to some: {:?}", healthy.breaker);
        }
    }

    /// What tells this state from others. Totals and names do not, nor does it matter when all this happens.
    pub fn key(&self) -> String {
        let state = format!("{:?}", self.breaker);
        let state = state.split_once("state: BreakerState").unwrap().1;
        let numbered = number_after(state, "numbered: ");
        let mut key = self.relative(state, numbered);
        for out in &self.out {
            if out.phase == self.phase {
                let permit = format!("{:?}", out.permit).replace("Trial(", "id: ");
                let ticks = out.trial.map(|ticks| ticks.min(self.limits.trial_ttl));
                key += &format!("| {} {ticks:?}", self.relative(&permit, numbered));
            } else {
                key += "| late";
            }
        }
        key
    }

    /// `text` with instants relative to now, trials' numbers to that of the next one, and without what decides nothing.
    fn relative(&self, text: &str, numbered: Option<u64>) -> String {
        let mut idle = vec!["numbered:", "generation:", "refused:", "lapsed:", "trips:", "untold:"];
        let half_open_ends = self.limits.half_open_for.is_some() && self.breaker.state() == State::HalfOpen;
        if !half_open_ends && !text.contains("saved: Some") {
            idle.push("since:");
        }
        if self.limits.slow_after.is_none() {
            idle.push("started:");
        }
        let (mut relative, mut field) = (String::new(), "");
        for word in text.split(' ') {
            let value = word.trim_end_matches(['}', ')', ',', ']']);
            assert!(!value.ends_with("µs"), "the search goes on for too long: {text}");
            let number = |digits: &str| digits.parse::<u64>().ok();
            if idle.contains(&field) {
                // says nothing
            } else if let Some(instant) = value.strip_suffix("ns").and_then(number) {
                let ago = self.now.cast_signed() - instant.cast_signed();
                relative += &ago.min(60).to_string(); // no interval is longer
            } else if let (Some(number), "id:", Some(next)) = (number(value), field, numbered) {
                relative += &format!("#{}", next.wrapping_sub(number));
            } else {
                relative += word;
            }
            relative.push(' ');
            field = word;
        }
        // What is remembered while it is open is only to be looked at.
        match (relative.find("memory:"), relative.find("since:")) {
            (Some(from), Some(to)) if self.breaker.state() == State::Open => relative.replace_range(from..to, ""),
            _ => {}
        }
        relative
    }
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.split_once(name)?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
