//! The breaker as its module's contract tells it: lists instead of places and rings, `u128` instead of instants.

use fusebox::entropy::nth;
use fusebox::{Backoff, Counts, Outcome, Reason, Schedule, State};

use crate::rules::{Rule, Seen};

/// `Instant::MAX` in nanoseconds.
pub const END: u128 = u64::MAX as u128 - 1;

/// The configuration, as the model sees it. Times in nanoseconds.
#[derive(Clone, Debug)]
pub struct Spec {
    pub rule: Rule,
    pub open: Backoff,
    pub seed: u32,
    pub max_hint: Option<u128>,
    pub slow_after: Option<u128>,
    pub trial_ttl: u128,
    pub half_open_for: Option<u128>,
    /// Permille at first, and over how long.
    pub slow_start: Option<(u128, u128)>,
    pub trials: usize,
    pub to_close: usize,
}

#[derive(Clone, Copy, Debug)]
enum Ticket {
    Call,
    Trial(u64),
    Unjudged,
}

/// The model's permit.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    phase: u64,
    since: u128,
    ticket: Ticket,
}

/// What came up, to show that it did.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    pub hinted: u32,
    pub started_slowly: u32,
    pub shared_out: u32,
    pub gave_up: u32,
    pub closed: u32,
}

pub struct Model {
    pub spec: Spec,
    pub state: State,
    pub since: u128,
    pub dry: bool,
    pub refused: u32,
    pub lapsed: u32,
    pub trips: u32,
    pub event_from: Option<State>,
    pub tally: Tally,
    /// How many phases there have been.
    phase: u64,
    seen: Vec<Seen>,
    opened: u128,
    until: u128,
    interval: u128,
    schedule: Schedule,
    /// Trials out: number, end of lease.
    out: Vec<(u64, u128)>,
    issued: u64,
    good: usize,
    bad: usize,
    /// While it starts slowly: all shares since, of 2^32 each.
    shares: Option<u128>,
}

const WHOLE: u128 = 1 << 32;

/// The share of calls after each of 32 equal steps, the last of which is all of them.
fn ramp((permille, over): (u128, u128)) -> Vec<(u128, u128)> {
    let first = permille * WHOLE / 1_000;
    let more = (WHOLE - 1 - first).div_ceil(32);
    (0..=32).map(|step| (step * over.div_ceil(32), if step < 32 { first + step * more } else { WHOLE })).collect()
}

impl Model {
    pub const fn new(spec: Spec) -> Self {
        Self {
            spec,
            state: State::Closed,
            since: 0,
            dry: false,
            refused: 0,
            lapsed: 0,
            trips: 0,
            event_from: None,
            tally: Tally { hinted: 0, started_slowly: 0, shared_out: 0, gave_up: 0, closed: 0 },
            phase: 0,
            seen: vec![],
            opened: 0,
            until: 0,
            interval: 0,
            schedule: Schedule::new(),
            out: vec![],
            issued: 0,
            good: 0,
            bad: 0,
            shares: None,
        }
    }

    fn go(&mut self, to: State, now: u128) {
        if to != self.state {
            self.event_from = self.event_from.or(Some(self.state));
            self.since = now;
        }
        (self.state, self.phase) = (to, self.phase + 1);
        self.out.clear();
        (self.good, self.bad, self.shares) = (0, 0, None);
        if to != State::Open {
            self.seen.clear();
        }
        if !matches!(to, State::Open | State::HalfOpen) {
            self.schedule = Schedule::new();
        }
    }

    /// How long the breaker stays open if it opens as number `trip`, and the schedule then.
    fn own_interval(&self, trip: u32) -> (u128, Schedule) {
        let mut schedule = self.schedule;
        (self.spec.open.next(&mut schedule, nth(self.spec.seed, trip)).into(), schedule)
    }

    fn open(&mut self, hint: Option<u128>, now: u128) {
        self.trips += 1;
        (self.interval, self.schedule) = self.own_interval(self.trips);
        if let (Some(hint), Some(max)) = (hint.filter(|at| *at > now), self.spec.max_hint) {
            self.interval = max.min(hint - now);
            self.tally.hinted += 1;
        }
        self.until = (now + self.interval).min(END);
        self.opened = now;
        self.go(State::Open, now);
    }

    /// When a half-open breaker gives up.
    fn end(&self) -> Option<u128> {
        self.spec.half_open_for.map(|limit| (self.since + limit).min(END))
    }

    fn next_lapse(&self) -> Option<u128> {
        self.out.iter().map(|trial| trial.1).min()
    }

    /// What time alone does.
    pub fn pass(&mut self, now: u128) {
        if self.state != State::Open {
            self.since = self.since.min(now);
        }
        if self.state == State::HalfOpen {
            let end = self.end().filter(|end| now >= *end);
            let before = self.out.len();
            self.out.retain(|(_, lease)| end.unwrap_or(now) < *lease);
            self.lapsed += u32::try_from(before - self.out.len()).unwrap();
            for (_, lease) in &mut self.out {
                *lease = (*lease).min(now + self.spec.trial_ttl);
            }
            if let Some(end) = end {
                self.tally.gave_up += 1;
                self.open(None, end);
            }
        }
        if self.state == State::Open {
            self.until = self.until.min(now + self.interval);
            if now >= self.until {
                self.go(State::HalfOpen, now);
            }
        }
    }

    /// A ticket, or why and until when not.
    pub fn ask(&mut self, now: u128) -> Result<Held, (Reason, Option<u128>)> {
        if self.state != State::Closed || self.shares.is_some() {
            self.pass(now);
        }
        let answer = match self.state {
            State::Closed => self.ask_closed(now),
            State::ForcedClosed => Ok(Ticket::Unjudged),
            State::ForcedOpen => Err((Reason::ForcedOpen, None)),
            State::Open => Err((Reason::Open, Some(self.until))),
            State::HalfOpen => self.ask_half_open(now),
        };
        let ticket = match answer {
            Ok(ticket) => ticket,
            Err(refusal) => {
                self.refused += 1;
                if !self.dry {
                    return Err(refusal);
                }
                if self.state == State::Closed { Ticket::Call } else { Ticket::Unjudged }
            }
        };
        Ok(Held { phase: self.phase, since: now, ticket })
    }

    fn ask_closed(&mut self, now: u128) -> Result<Ticket, (Reason, Option<u128>)> {
        let (Some(before), Some(slow_start)) = (self.shares, self.spec.slow_start) else { return Ok(Ticket::Call) };
        let steps = ramp(slow_start);
        let share = steps.iter().rev().find(|(at, _)| now - self.since >= *at).unwrap().1;
        if share == WHOLE {
            self.shares = None;
            return Ok(Ticket::Call);
        }
        self.tally.started_slowly += 1;
        let shares = before + share;
        self.shares = Some(shares);
        if shares / WHOLE > before / WHOLE {
            return Ok(Ticket::Call);
        }
        self.tally.shared_out += 1;
        let enough = steps.iter().find(|(_, share)| (shares + share) / WHOLE > shares / WHOLE).unwrap().0;
        Err((Reason::SlowStart, Some((self.since + enough).min(END).max(now))))
    }

    fn ask_half_open(&mut self, now: u128) -> Result<Ticket, (Reason, Option<u128>)> {
        let decisive = self.spec.trials.max(self.spec.to_close);
        if self.out.len() < self.spec.trials && self.good + self.bad + self.out.len() < decisive {
            self.issued += 1;
            self.out.push((self.issued, (now + self.spec.trial_ttl).min(END)));
            return Ok(Ticket::Trial(self.issued));
        }
        let lapse = self.next_lapse().unwrap();
        let at = match self.end() {
            Some(end) if end <= lapse => (end + self.own_interval(self.trips + 1).0).min(END),
            _ => lapse,
        };
        Err((Reason::TrialsOut, Some(at)))
    }

    pub fn tell(&mut self, held: Held, outcome: Outcome, now: u128) {
        if held.phase != self.phase {
            return;
        }
        let slow = self.spec.slow_after.is_some_and(|limit| now.saturating_sub(held.since) > limit);
        let hint = outcome.hint().map(|at| u128::from(at.as_nanos()));
        let failed = outcome == Outcome::Failure || hint.is_some();
        let seen = Seen { at: now, failed, slow };
        match held.ticket {
            Ticket::Unjudged => {}
            Ticket::Call if outcome == Outcome::Ignored => {}
            Ticket::Call => {
                self.seen.push(seen);
                if (failed || slow) && self.spec.rule.is_met(&self.seen, now) {
                    self.open(hint, now);
                }
            }
            Ticket::Trial(number) => {
                self.pass(now);
                let out = self.out.len();
                self.out.retain(|trial| trial.0 != number);
                if self.out.len() < out && outcome != Outcome::Ignored {
                    self.judge(seen, hint);
                }
            }
        }
    }

    fn judge(&mut self, seen: Seen, hint: Option<u128>) {
        self.seen.push(seen);
        if seen.failed || seen.slow {
            self.bad += 1;
            if self.bad > self.spec.trials.saturating_sub(self.spec.to_close) {
                self.open(hint, seen.at);
            }
        } else {
            self.good += 1;
            if self.good == self.spec.to_close {
                self.tally.closed += 1;
                self.go(State::Closed, seen.at);
                // The first call finds a whole saved up.
                self.shares = self.spec.slow_start.map(|_| WHOLE - 1);
            }
        }
    }

    pub fn timer(&self) -> Option<u128> {
        match self.state {
            State::Open => Some(self.until),
            State::HalfOpen => self.next_lapse().into_iter().chain(self.end()).min(),
            State::Closed | State::ForcedOpen | State::ForcedClosed => None,
        }
    }

    pub fn trip(&mut self, now: u128) {
        self.pass(now);
        if matches!(self.state, State::Closed | State::HalfOpen) {
            self.open(None, now);
        }
    }

    pub fn half_open(&mut self, now: u128) {
        if self.state == State::Open {
            self.go(State::HalfOpen, now);
        }
    }

    pub fn force(&mut self, to: State, now: u128) {
        self.dry = false;
        if self.state != to {
            self.go(to, now);
        }
    }

    /// A call that never ran takes no share of a slow start.
    pub fn cancel(&mut self, held: Held, now: u128) {
        if held.phase == self.phase && self.shares.is_some() {
            self.shares = Some(WHOLE - 1);
        }
        self.tell(held, Outcome::Ignored, now);
    }

    pub fn reset(&mut self, now: u128) {
        self.start_over(false, now);
    }

    pub fn dry_run(&mut self, now: u128) {
        if !self.dry {
            self.start_over(true, now);
        }
    }

    /// A dry run is a state by hand: its beginning and its end are told.
    fn start_over(&mut self, dry: bool, now: u128) {
        let from = self.state;
        self.go(State::Closed, now);
        if self.dry != dry {
            (self.dry, self.since) = (dry, now);
            self.event_from = self.event_from.or(Some(from));
        }
    }

    pub fn counts_are(&self, counts: Counts, now: u128) -> bool {
        match self.state {
            State::Closed | State::HalfOpen => self.spec.rule.counts_are(counts, &self.seen, now),
            State::Open => self.spec.rule.counts_are(counts, &self.seen, self.opened),
            State::ForcedOpen | State::ForcedClosed => counts == Counts::default(),
        }
    }

    pub const fn is_held(&self) -> bool {
        self.dry || matches!(self.state, State::ForcedOpen | State::ForcedClosed)
    }

    /// From when on it is like new for who asks.
    pub fn rests_at(&self) -> Option<u128> {
        if self.dry || self.state != State::Closed {
            return None;
        }
        let started = match (self.shares, self.spec.slow_start) {
            (Some(_), Some(slow_start)) => self.since + ramp(slow_start)[32].0,
            _ => 0,
        };
        Some(self.spec.rule.rests_at(&self.seen)?.max(started).min(END))
    }
}
