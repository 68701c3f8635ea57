//! A callee of some workers behind one queue, in which nobody gives up, and callers who come at random. Time is a
//! number; what is random comes from a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use fusebox::entropy::nth;

use crate::limiter::Limiter;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// How the world is, from one moment on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) until: u64,
    /// Calls per second.
    pub(crate) rate: f64,
    pub(crate) workers: usize,
    /// Mean time of the work alone.
    pub(crate) service: u64,
    /// Whether it is distributed exponentially, and not the same each time.
    pub(crate) varies: bool,
}

/// A quarter more than 12 workers can do.
pub(crate) const OVERLOAD: Phase =
    Phase { until: 630 * SECOND, rate: 125.0, workers: 12, service: 120 * MS, varies: false };

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Done(usize),
    Arrival,
}

/// What happened in a span of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    times: Vec<u64>,
    pub(crate) refused: usize,
    limits: Vec<u16>,
    span: u64,
}

impl Seen {
    pub(crate) fn quantile(&self, permille: usize) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get((times.len() * permille / 1_000).min(times.len().saturating_sub(1))).map_or(0.0, |t| *t as f64 / 1e6)
    }

    /// Served per second.
    pub(crate) fn throughput(&self) -> f64 {
        self.times.len() as f64 * 1e9 / self.span as f64
    }

    pub(crate) fn limits(&self) -> (u16, f64, u16) {
        let sum: u64 = self.limits.iter().map(|limit| u64::from(*limit)).sum();
        let least = self.limits.iter().min().copied().unwrap_or(0);
        let greatest = self.limits.iter().max().copied().unwrap_or(0);
        (least, sum as f64 / self.limits.len().max(1) as f64, greatest)
    }

    pub(crate) fn print(&self, what: &str) {
        let (least, mean, greatest) = self.limits();
        println!(
            "{what:<44} p50 {:>6.0} ms  p99 {:>6.0} ms  served {:>6.1}/s  refused {:>5}  limit {least}..{mean:.1}..{greatest}",
            self.quantile(500),
            self.quantile(990),
            self.throughput(),
            self.refused,
        );
    }
}

pub(crate) struct World<'a> {
    limiter: &'a mut dyn Limiter,
    phases: VecDeque<Phase>,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    /// When each call started that is at the callee; by the limiter's numbers.
    started: Vec<u64>,
    queue: VecDeque<usize>,
    busy: usize,
    draws: u32,
    seed: u32,
    now: u64,
}

impl<'a> World<'a> {
    pub(crate) fn new(limiter: &'a mut dyn Limiter, seed: u32, phases: &[Phase]) -> Self {
        let events = BinaryHeap::from([Reverse((0, Event::Arrival))]);
        let phases = phases.iter().copied().collect();
        Self { limiter, phases, events, started: vec![], queue: VecDeque::new(), busy: 0, draws: 0, seed, now: 0 }
    }

    /// From zero to one.
    fn draw(&mut self) -> f64 {
        self.draws += 1;
        (f64::from(nth(self.seed, self.draws)) + 0.5) / 4_294_967_296.0
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        (-self.draw().ln() * mean) as u64
    }

    fn phase(&mut self) -> Phase {
        while self.phases.len() > 1 && self.phases[0].until <= self.now {
            self.phases.pop_front();
        }
        self.phases[0]
    }

    /// Lets time pass until `end`, and says what happened.
    pub(crate) fn run_until(&mut self, end: u64) -> Seen {
        let mut seen = Seen { span: end - self.now, ..Seen::default() };
        while let Some(Reverse((at, event))) = self.events.peek().copied() {
            if at > end {
                break;
            }
            self.events.pop();
            self.now = at;
            match event {
                Event::Arrival => self.arrive(&mut seen),
                Event::Done(call) => self.end(call, &mut seen),
            }
            seen.limits.push(self.limiter.limit());
        }
        self.now = end;
        seen
    }

    fn arrive(&mut self, seen: &mut Seen) {
        let rate = self.phase().rate;
        let next = self.now + self.exponential(1e9 / rate).max(1);
        self.events.push(Reverse((next, Event::Arrival)));
        match self.limiter.start(self.now) {
            None => seen.refused += 1,
            Some(call) => {
                if self.started.len() <= call {
                    self.started.resize(call + 1, 0);
                }
                self.started[call] = self.now;
                self.queue.push_back(call);
                self.serve();
            }
        }
    }

    fn serve(&mut self) {
        let phase = self.phase();
        while self.busy < phase.workers {
            let Some(call) = self.queue.pop_front() else { return };
            self.busy += 1;
            let took = if phase.varies { self.exponential(phase.service as f64) } else { phase.service };
            self.events.push(Reverse((self.now + took.max(1), Event::Done(call))));
        }
    }

    fn end(&mut self, call: usize, seen: &mut Seen) {
        self.busy -= 1;
        seen.times.push(self.now - self.started[call]);
        self.limiter.end(call, self.now);
        self.serve();
    }
}
