#![allow(clippy::panic, reason = "a test may panic")]

use core::time::Duration;

use super::*;
use crate::{Gate, GateKind, Keyed, Outcome, Reason, Rejected};

/// Tells a limit of `goal` whatever it sees.
#[derive(Clone, Copy, Debug)]
struct To {
    goal: u16,
    no_load: NoLoad,
}

/// The samples it saw, and the last one.
type Seen = (u32, Option<Sample>);

impl LimitRule for To {
    type Memory = Seen;
    const EMPTY: Seen = (0, None);

    fn update(&self, seen: &mut Seen, _limit: Estimate, sample: &Sample) -> Estimate {
        *seen = (seen.0 + 1, Some(*sample));
        Estimate::of(self.goal)
    }

    fn no_load(&self) -> NoLoad {
        self.no_load
    }
}

fn builder(goal: u16, no_load: NoLoad) -> AdaptiveBuilder<To> {
    AdaptiveConfig::builder(To { goal, no_load }).limits(2, 4, 90).on_every_call()
}

fn limit_of(builder: AdaptiveBuilder<To>) -> AdaptiveLimit<To> {
    AdaptiveLimit::new(builder.build().unwrap())
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// One call from `start` to `end`.
fn call(limit: &mut AdaptiveLimit<To>, start: u64, end: u64, outcome: Outcome) {
    let permit = limit.try_acquire(at(start)).unwrap();
    limit.release(permit, outcome, at(end));
}

fn seen(limit: &AdaptiveLimit<To>) -> Seen {
    limit.state.memory
}

const GONE: Outcome = Outcome::Unavailable { retry_at: Instant::MAX };

#[test]
fn the_limit_holds_and_a_return_frees() {
    let mut limit = limit_of(builder(4, NoLoad::Unused));
    let mut permits: [_; 4] = [(); 4].map(|()| Some(limit.try_acquire(at(0)).unwrap()));
    let refused = limit.try_acquire(at(0)).unwrap_err();
    assert_eq!(refused, Rejected { reason: Reason::LimitReached, retry_at: None });
    assert!(refused.reason.frees_on_release());
    limit.cancel(permits[0].take().unwrap(), at(1));
    permits[0] = Some(limit.try_acquire(at(1)).unwrap());
    assert!(limit.try_acquire(at(1)).is_err());
    for permit in permits.into_iter().flatten() {
        limit.release(permit, Outcome::Ignored, at(9));
    }
    let told = limit.snapshot();
    assert_eq!((told.in_flight, told.limit, told.refused, told.dropped, told.last_nanos), (0, 4, 2, 0, None));
    assert_eq!((seen(&limit), limit.poll_timeout()), (To::EMPTY, None));
}

#[test]
fn each_row_of_the_table_of_outcomes() {
    let plain = || {
        let mut limit = limit_of(builder(4, NoLoad::Unused));
        call(&mut limit, 0, 100, Outcome::Success);
        limit
    };
    let timed = || limit_of(builder(4, NoLoad::Unused).timeout(Duration::from_millis(100)));
    for (mut limit, took, outcome, told) in [
        (plain(), 100, Outcome::Success, Some(false)),
        (plain(), 9_999, Outcome::Success, Some(false)),
        (plain(), 99, Outcome::Failure, None),
        (plain(), 100, Outcome::Failure, Some(true)),
        (plain(), 1, GONE, Some(true)),
        (plain(), 500, Outcome::Ignored, None),
        (plain(), 0, Outcome::Success, None),
        (plain(), 0, GONE, None),
        (timed(), 100, Outcome::Success, Some(false)),
        (timed(), 101, Outcome::Success, Some(true)),
        (timed(), 100, Outcome::Failure, None),
        (timed(), 101, Outcome::Failure, Some(true)),
        (timed(), 101, Outcome::Ignored, None),
        (timed(), 1, GONE, Some(true)),
        (limit_of(builder(4, NoLoad::Unused)), 100, Outcome::Failure, None),
    ] {
        let before = seen(&limit).0;
        call(&mut limit, 1_000, 1_000 + took, outcome);
        let (after, last) = seen(&limit);
        assert_eq!(after - before, u32::from(told.is_some()), "{took} {outcome:?}");
        if let Some(dropped) = told {
            assert_eq!(
                last.map(|sample| (sample.dropped, sample.rtt)),
                Some((dropped, took * 1_000_000)),
                "{took} {outcome:?}"
            );
            assert_eq!(limit.snapshot().dropped, u32::from(dropped));
        }
        assert_eq!(limit.snapshot().in_flight, 0);
    }
}

#[test]
fn a_clock_that_steps_back_shows_nothing() {
    let mut limit = limit_of(builder(9, NoLoad::Mean));
    for outcome in [Outcome::Success, Outcome::Failure, GONE] {
        let permit = limit.try_acquire(Instant::MAX).unwrap();
        limit.release(permit, outcome, Instant::EPOCH);
    }
    assert_eq!((seen(&limit).0, limit.limit(), limit.snapshot().in_flight), (0, 4, 0));
    let permit = limit.try_acquire(Instant::EPOCH).unwrap();
    limit.release(permit, Outcome::Success, Instant::MAX);
    assert_eq!(limit.snapshot().last_nanos, Some((1 << 48) - 1), "the longest that is told apart");
}

#[test]
fn a_rule_cannot_go_beyond_what_is_allowed() {
    let mut high = limit_of(builder(u16::MAX, NoLoad::Unused));
    call(&mut high, 0, 1, GONE);
    assert_eq!(high.limit(), 4, "a drop never raises");
    call(&mut high, 2, 3, Outcome::Success);
    assert_eq!(high.limit(), 4, "one of four is no use of it");
    let (_one, two) = (high.try_acquire(at(4)).unwrap(), high.try_acquire(at(4)).unwrap());
    high.release(two, Outcome::Success, at(5));
    assert_eq!(high.limit(), 90);
    let mut low = limit_of(builder(0, NoLoad::Unused));
    call(&mut low, 0, 1, GONE);
    assert_eq!(low.limit(), 2);
}

#[test]
fn what_is_not_used_is_left_or_lowered() {
    let lowering = Headroom::new(1_000).unwrap().lowers();
    for (headroom, after) in [(Headroom::DEFAULT, 4), (lowering, 3)] {
        let mut limit = limit_of(builder(9, NoLoad::Unused).headroom(headroom));
        call(&mut limit, 0, 1, Outcome::Success);
        assert_eq!(limit.limit(), after);
    }
}

/// Feeds calls of `took` that start alone, until `done`.
fn until(limit: &mut AdaptiveLimit<To>, now: &mut u64, took: u64, done: impl Fn(&AdaptiveSnapshot) -> bool) -> u32 {
    for calls in 0..10_000 {
        if done(&limit.snapshot()) {
            return calls;
        }
        call(limit, *now, *now + took, Outcome::Success);
        *now += took;
    }
    panic!("never: {:?}", limit.snapshot())
}

#[test]
fn a_probe_lowers_the_limit_until_sixteen_new_calls_are_back() {
    let full = builder(40, NoLoad::Mean).limits(2, 40, 90).probe_every(Duration::from_secs(60));
    let mut limit = limit_of(full);
    let mut now = 1;
    assert_eq!(until(&mut limit, &mut now, 100, |told| told.no_load_nanos.is_some()), 16);
    assert_eq!((seen(&limit).0, limit.limit(), limit.snapshot().probing), (0, 40, false));

    let before = [(); 20].map(|()| limit.try_acquire(at(now)).unwrap());
    until(&mut limit, &mut now, 150, |told| told.probing);
    assert!((60_000..63_000).contains(&now), "{now}");
    assert_eq!((limit.limit(), limit.snapshot().in_flight), (10, 20));
    assert!(limit.try_acquire(at(now)).is_err());
    let shown = seen(&limit).0;
    for permit in before {
        limit.release(permit, Outcome::Success, at(now + 1));
    }
    assert!(limit.snapshot().probing);
    assert_eq!(until(&mut limit, &mut now, 140, |told| !told.probing), 16);
    assert_eq!((limit.limit(), limit.snapshot().no_load_nanos), (40, Some(140_000_000)));
    assert_eq!(seen(&limit).0, shown, "the rule sees nothing of a probe");
    assert_eq!(limit.poll_event().map(|change| (change.from, change.to)), Some((40, 40)));
}

#[test]
fn quick_calls_are_not_probed_for() {
    let mut limit = limit_of(builder(40, NoLoad::Mean).probe_every(Duration::from_secs(1)));
    let mut now = 1;
    until(&mut limit, &mut now, 100, |told| told.no_load_nanos.is_some());
    for _ in 0..1_000 {
        call(&mut limit, now, now + 120, Outcome::Success);
        assert!(!limit.snapshot().probing);
        now += 120;
    }
    let mut known = limit_of(builder(40, NoLoad::Mean).no_load(Duration::from_millis(50)));
    for _ in 0..1_000 {
        call(&mut known, now, now + 120, Outcome::Success);
        now += 120;
    }
    assert_eq!((known.snapshot().probing, known.snapshot().no_load_nanos), (false, Some(50_000_000)));
}

#[test]
fn the_shortest_is_not_shown() {
    let mut limit = limit_of(builder(40, NoLoad::Shortest));
    for (took, shown) in [(100, 0), (120, 1), (90, 1), (90, 2)] {
        call(&mut limit, 1_000, 1_000 + took, Outcome::Success);
        assert_eq!(seen(&limit).0, shown, "after {took}");
    }
    assert_eq!(seen(&limit).1.unwrap().no_load, Some(90_000_000));
}

#[test]
fn judged_once_per_round_by_the_mean_of_those_that_started_first() {
    let rule = To { goal: 8, no_load: NoLoad::Unused };
    let mut limit = AdaptiveLimit::new(AdaptiveConfig::builder(rule).limits(2, 8, 90).build().unwrap());
    call(&mut limit, 1, 11, Outcome::Success);
    assert_eq!(seen(&limit).0, 1, "a round of one");
    let held = [(); 3].map(|()| limit.try_acquire(at(11)).unwrap()); // the first of these: one again
    let [first, second, third] = held;
    limit.release(first, Outcome::Success, at(12));
    assert_eq!(seen(&limit).0, 2);
    // Two are in flight from before; three are waited for.
    let [a, b, c, d] = [(); 4].map(|()| limit.try_acquire(at(20)).unwrap());
    limit.release(second, Outcome::Success, at(21));
    limit.release(third, Outcome::Success, at(21));
    limit.release(d, Outcome::Success, at(21));
    limit.release(a, Outcome::Success, at(30));
    limit.release(b, Outcome::Success, at(40));
    assert_eq!(seen(&limit).0, 2);
    limit.release(c, Outcome::Success, at(80));
    let (rounds, last) = seen(&limit);
    assert_eq!((rounds, last.map(|sample| (sample.rtt, sample.in_flight))), (3, Some((30_000_000, 5))));
}

#[test]
fn one_drop_is_heeded_per_round() {
    let rule = Aimd::new(500).unwrap();
    let config = AdaptiveConfig::builder(rule).limits(1, 16, 90).timeout(Duration::from_millis(100)).build().unwrap();
    let mut limit = AdaptiveLimit::new(config);
    let calls = [(); 16].map(|()| limit.try_acquire(at(0)).unwrap());
    for permit in calls {
        limit.release(permit, Outcome::Failure, at(101));
    }
    assert_eq!((limit.limit(), limit.snapshot().dropped), (8, 16));
    let later = limit.try_acquire(at(102)).unwrap();
    limit.release(later, GONE, at(103));
    assert_eq!(limit.limit(), 1, "half of the one that was in flight");
}

#[test]
fn what_was_learnt_can_be_forgotten() {
    let mut limit = limit_of(builder(2, NoLoad::Unused).forget_after(Duration::from_secs(1)));
    call(&mut limit, 0, 1, GONE);
    assert_eq!(limit.limit(), 2);
    let _ = limit.poll_event();
    let held = limit.try_acquire(at(1_000)).unwrap();
    limit.release(held, Outcome::Ignored, at(2_000));
    let held = limit.try_acquire(at(2_999)).unwrap();
    limit.release(held, Outcome::Ignored, at(3_000));
    let _held = limit.try_acquire(at(4_000)).unwrap();
    assert_eq!((limit.limit(), limit.snapshot().dropped), (4, 1));
    assert_eq!(limit.poll_event(), Some(LimitChange { from: 2, to: 4, at: at(4_000) }));
    assert_eq!(limit.poll_event(), None);
}

#[test]
fn a_key_rests_when_nothing_is_in_flight_and_nothing_held_against_it() {
    let config = builder(2, NoLoad::Unused).forget_after(Duration::from_secs(1)).build().unwrap();
    let mut state = AdaptiveState::new();
    assert_eq!(config.rests_at(&state), Some(Instant::EPOCH));
    let permit = config.try_acquire(&mut state, at(0)).unwrap();
    assert_eq!(config.rests_at(&state), None);
    config.release(&mut state, permit, GONE, at(5));
    assert_eq!(config.rests_at(&state), Some(at(1_005)));
    let kept = builder(2, NoLoad::Unused).build().unwrap();
    assert_eq!((kept.rests_at(&state), kept.is_held(&state), kept.longest_refusal()), (None, false, u64::MAX));

    let mut keyed: Keyed<u8, AdaptiveConfig<To>, 1> = Keyed::new(config);
    let permit = keyed.try_acquire(&1, at(0)).unwrap();
    assert_eq!(keyed.try_acquire(&2, at(9_999)).unwrap_err().reason, Reason::KeysFull);
    keyed.release(permit, Outcome::Success, at(10_000));
    let _other = keyed.try_acquire(&2, at(10_001)).unwrap();
}

#[test]
fn totals_and_epochs_stop_or_wrap() {
    let mut limit = limit_of(builder(2, NoLoad::Unused).limits(2, 2, 2));
    (limit.state.dropped, limit.state.refused, limit.state.epoch) = (u32::MAX - 1, u32::MAX - 1, u32::MAX);
    call(&mut limit, 0, 1, GONE);
    call(&mut limit, 1, 2, GONE);
    let held = [(); 2].map(|()| limit.try_acquire(at(3)).unwrap());
    assert!(limit.try_acquire(at(3)).is_err() && limit.try_acquire(at(3)).is_err());
    assert_eq!((limit.snapshot().dropped, limit.snapshot().refused), (u32::MAX, u32::MAX));
    drop(held);
    let stray = AdaptiveLimit::new(builder(2, NoLoad::Unused).build().unwrap()).try_acquire(at(0)).unwrap();
    let mut empty = limit_of(builder(2, NoLoad::Unused));
    empty.cancel(stray, at(1));
    assert_eq!(empty.snapshot().in_flight, 0);
}

#[test]
fn sizes() {
    assert_eq!(size_of::<Permit>(), 16);
    assert_eq!(size_of::<AdaptiveState<Aimd>>(), 144);
    assert_eq!(size_of::<AdaptiveState<Gradient2>>(), 184);
}
