//! A hedge that waits for the 95 % quantile of what its own calls took.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use fusebox::hedge::{Measured, Quantile, SharedLatencies};
use fusebox::latency::{LatencyConfig, LatencySketch};
use fusebox::{Ended, HedgePolicy, Instant, Plan, Shared, Step, nanos};
use fusebox_tests::Dice;

use super::unit;

/// How long calls take, in nanoseconds, and the 95 % quantile of that.
#[derive(Clone, Copy)]
struct Service {
    latency: fn(&mut Dice) -> f64,
    quantile: f64,
}

/// At least 5 ms, and a long tail (Pareto, 1.3).
const TAIL: Service = Service { latency: |dice| (5e6 * unit(dice).powf(-1.0 / 1.3)).min(20e9), quantile: 50.09e6 };

/// 5 to 10 ms, but six of a hundred take 200 to 400 ms: a lost packet, a cold cache.
const TWO_MODES: Service = Service {
    latency: |dice| if unit(dice) < 0.94 { 5e6 + 5e6 * unit(dice) } else { 2e8 + 2e8 * unit(dice) },
    quantile: 233.3e6,
};

type Sketch = Shared<RefCell<LatencySketch>>;

/// What a hedge reads its delay from.
struct Memory {
    sketch: Sketch,
    /// Whether losers are recorded.
    censors: bool,
    /// When the call began: all that it shows is recorded then, so that calls may overlap.
    now: Cell<Instant>,
}

impl SharedLatencies for Memory {
    fn quantile(&self, permille: u16, now: Instant) -> Option<u64> {
        self.now.set(now);
        self.sketch.quantile(permille, now)
    }
    fn record(&self, took: u64, _now: Instant) {
        self.sketch.record(took, self.now.get());
    }
    fn record_at_least(&self, took: u64, _now: Instant) {
        if self.censors {
            self.sketch.record_at_least(took, self.now.get());
        }
    }
}

type Policy<'m> = HedgePolicy<2, Measured<&'m Memory>>;

/// One call at `now`; whether it was hedged.
fn call(policy: &Policy<'_>, took: [u64; 2], now: Instant) -> bool {
    let mut plan = policy.start(now);
    assert_eq!(plan.next(now), Step::Start { attempt: 1, deadline: None });
    let Step::Wait { until: Some(late) } = plan.next(now) else { panic!() };
    let first = now.after(took[0]);
    let is_late = first > late;
    if is_late {
        assert_eq!(plan.next(late), Step::Start { attempt: 2, deadline: None });
    }
    let second = late.after(took[1]);
    let (winner, end) = if is_late && second < first { (2, second) } else { (1, first) };
    plan.ended(winner, Ended::Success, end);
    is_late
}

/// A hundred calls a second; the answers as a share of the true quantile, and the share of hedged calls, by minute.
fn minutes(service: Service, censors: bool, seed: u32) -> Vec<(f64, f64)> {
    let sketch = Shared::new(RefCell::new(LatencySketch::new(LatencyConfig::DEFAULT)));
    let memory = Memory { sketch, censors, now: Cell::new(Instant::EPOCH) };
    let fixed = HedgePolicy::builder(Duration::from_secs(1)).build().unwrap();
    let policy = fixed.measured(Quantile::new(950).unwrap(), &memory);
    let mut dice = Dice::new(seed);
    let mut minute = |minute: u64| {
        let (mut hedged, mut sum) = (0, 0.0);
        for n in 0..6_000 {
            let now = Instant::from_millis((minute * 6_000 + n) * 10);
            let took = [(); 2].map(|()| (service.latency)(&mut dice) as u64);
            hedged += u32::from(call(&policy, took, now));
            sum += memory.quantile(950, now).map_or(0.0, |nanos| nanos as f64 / service.quantile);
        }
        (sum / 6_000.0, f64::from(hedged) / 6_000.0)
    };
    (0..10).map(&mut minute).collect()
}

#[test]
fn a_hedge_that_counts_its_losers_keeps_its_quantile() {
    for (service, seed) in [TAIL, TWO_MODES].into_iter().flat_map(|service| [1, 2, 3].map(|seed| (service, seed))) {
        let minutes = minutes(service, true, seed);
        println!("counting losers: {minutes:.2?}");
        assert!(minutes[1..].iter().all(|(answer, hedged)| (0.9..1.3).contains(answer) && *hedged < 0.06));
    }
}

#[test]
fn one_that_forgets_them_would_not() {
    for (service, falls_to) in [(TAIL, 0.65), (TWO_MODES, 0.05)] {
        for seed in 1..4 {
            let minutes = minutes(service, false, seed);
            println!("forgetting losers: {minutes:.2?}");
            let (answer, hedged) = minutes[9];
            assert!(answer < falls_to && hedged > 0.055, "{answer} {hedged}");
        }
    }
}

#[test]
fn when_nothing_comes_back_any_more_the_delay_does_not_shrink() {
    let mut sketch = LatencySketch::new(LatencyConfig::DEFAULT);
    let mut dice = Dice::new(1);
    let second = nanos(Duration::from_secs(1));
    (0..1_000).for_each(|_| sketch.record((TAIL.latency)(&mut dice) as u64, Instant::EPOCH));
    let mut before = sketch.quantile(950, Instant::EPOCH).unwrap().nanos();
    for n in 1..200_u64 {
        let now = Instant::from_nanos(n * second / 2);
        // Each is given up a little after its hedge began.
        let delay = sketch.quantile(950, now).unwrap().nanos();
        assert!(delay >= before, "{delay} {before}");
        (0..8).for_each(|_| sketch.record_censored(delay + second / 100, now));
        before = delay;
    }
}
