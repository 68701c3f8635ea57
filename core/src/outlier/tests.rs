extern crate std;
use core::time::Duration;
use std::vec::Vec;

use super::*;
use crate::{ConfigError, Outcome, Reason, Rejected, checked};

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn small() -> OutlierBuilder {
    OutlierConfig::builder().consecutive_failures(2).at_least_one(true)
}

fn set<const N: usize>(builder: OutlierBuilder) -> Outliers<N> {
    Outliers::new(builder.build().unwrap()).unwrap()
}

/// `good` successes and `bad` failures at `now`, the failures last.
fn calls<const N: usize>(o: &mut Outliers<N>, endpoint: usize, good: u32, bad: u32, now: Instant) {
    for n in 0..good + bad {
        let Ok(permit) = o.try_acquire(endpoint, now) else { return };
        o.release(permit, if n < good { Outcome::Success } else { Outcome::Failure }, now);
    }
}

fn outs<const N: usize>(o: &Outliers<N>, now: Instant) -> Vec<usize> {
    (0..o.len()).filter(|n| o.is_out(*n, now)).collect()
}

#[test]
fn so_many_failures_in_a_row() {
    let mut o: Outliers<3> = set(small());
    calls(&mut o, 1, 0, 1, at(0));
    calls(&mut o, 1, 1, 1, at(0)); // a success in between
    let permit = o.try_acquire(1, at(0)).unwrap();
    o.release(permit, Outcome::Ignored, at(0));
    assert_eq!(outs(&o, at(0)), []);
    let permit = o.try_acquire(1, at(1)).unwrap();
    o.release(permit, Outcome::Unavailable { retry_at: at(9) }, at(1));
    assert_eq!(outs(&o, at(1)), [1]);
    let retry_at = o.try_acquire(1, at(2)).unwrap_err().retry_at.unwrap();
    assert_eq!(retry_at, at(31));
    let before = Instant::from_nanos(retry_at.as_nanos() - 1);
    assert_eq!(o.try_acquire(1, before), Err(Rejected { reason: Reason::Ejected, retry_at: Some(retry_at) }));
    assert!(o.is_out(1, before) && !o.is_out(1, retry_at));
    assert!(o.try_acquire(1, retry_at).is_ok());
    assert_eq!(o.snapshot(retry_at).refused, 2);
}

#[test]
fn each_ejection_in_a_row_is_longer_up_to_the_cap() {
    let mut o: Outliers<2> = set(small().max_ejection(Duration::from_secs(100)));
    let mut now = at(0);
    for expected in [30, 60, 90, 100, 100, 100] {
        calls(&mut o, 0, 0, 2, now);
        let until = o.endpoint(0, now).unwrap().out.unwrap().until;
        assert_eq!(until, now.after(expected * 1_000_000_000));
        now = until;
    }
    assert_eq!((o.endpoint(0, now).unwrap().multiplier, o.endpoint(0, now).unwrap().ejections), (4, 6));
    // A whole interval in takes one off; a little less does not.
    let later = |secs: u64| now.after(secs * 1_000_000_000);
    assert_eq!(o.endpoint(0, later(9)).unwrap().multiplier, 4);
    assert_eq!(o.endpoint(0, later(10)).unwrap().multiplier, 3);
    assert_eq!(o.endpoint(0, later(1_000_000)).unwrap().multiplier, 0);
    calls(&mut o, 0, 0, 2, later(29));
    assert_eq!(o.try_acquire(0, later(29)).unwrap_err().retry_at, Some(later(29 + 90)));
}

#[test]
fn an_outlier_by_success_rate() {
    // Mean 90 %, standard deviation 20 %: the edge is at 52 % for 1.9, and exactly at 50 % for 2.
    for (permille, low, expected) in [(1_900, 50, true), (1_999, 50, true), (2_000, 50, false)] {
        let rule = SuccessRate::new(permille, 5, 100).unwrap();
        let builder = small().without_consecutive_failures().success_rate(rule);
        let config = builder.build().unwrap();
        assert_eq!(Outliers::<5>::new(config).is_ok(), permille < 2_000, "five can be no further out");
        let mut o: Outliers<6> = set(builder);
        for endpoint in 0..5 {
            let good = if endpoint == 3 { low } else { 100 };
            calls(&mut o, endpoint, good, 100 - good, at(1));
        }
        assert_eq!(o.poll_timeout(), Some(at(11)));
        o.handle_timeout(Instant::from_nanos(at(11).as_nanos() - 1));
        assert_eq!(outs(&o, at(11)), []);
        o.handle_timeout(at(11));
        assert_eq!(o.is_out(3, at(11)), expected, "{permille}");
        assert_eq!(o.poll_timeout(), expected.then_some(at(41)));
        assert_eq!(o.endpoint(0, at(11)).unwrap().calls, 0, "a new interval");
    }
}

#[test]
fn a_rate_needs_volume_and_company() {
    let failing = |fifth, minimum| {
        let mut o: Outliers<8> =
            set(small().consecutive_failures(1_000).success_rate(SuccessRate::new(1_000, minimum, 100).unwrap()));
        for endpoint in 0..4 {
            calls(&mut o, endpoint, 100, 0, at(0));
        }
        calls(&mut o, 4, 0, fifth, at(0));
        o.handle_timeout(at(10));
        outs(&o, at(10))
    };
    assert_eq!(failing(100, 5), [4]);
    assert_eq!(failing(99, 5), [], "it has too few calls, and so there are only four");
    assert_eq!(failing(99, 4), [], "it has too few calls");
    assert_eq!(failing(100, 6), [], "only five");
}

#[test]
fn a_share_of_failures() {
    let with = |bad: u32, minimum: u16| {
        let rule = FailureThreshold::new(850, minimum, 20).unwrap();
        let builder = small().without_consecutive_failures().without_success_rate().failure_threshold(rule);
        let mut o: Outliers<4> = set(builder);
        calls(&mut o, 2, 20 - bad.min(20), bad, at(0));
        calls(&mut o, 1, 20, 0, at(0));
        o.handle_timeout(at(10));
        outs(&o, at(10))
    };
    assert_eq!(with(17, 2), [2], "85 % is enough");
    assert_eq!(with(16, 2), []);
    assert_eq!(with(17, 3), [], "only two have calls");
}

#[test]
fn both_rules_judge_the_set_as_it_was() {
    let failing = FailureThreshold::new(500, 8, 100).unwrap();
    let builder = small().without_consecutive_failures().failure_threshold(failing).max_out_permille(1_000);
    let mut o: Outliers<8> = set(builder);
    for endpoint in 0..8 {
        let good = [100, 49, 100, 0, 100, 100, 100, 100][endpoint];
        calls(&mut o, endpoint, good, 100 - good, at(0));
    }
    o.handle_timeout(at(10));
    let rule = |n| o.endpoint(n, at(10)).unwrap().out.map(|out| out.rule);
    // Mean 81 %, standard deviation 35 %. That one of eight has gone does not keep the other rule from judging.
    assert_eq!(outs(&o, at(10)), [1, 3]);
    assert_eq!((rule(3), rule(1)), (Some(OutlierRule::SuccessRate), Some(OutlierRule::FailureThreshold)));
}

#[test]
fn the_cap_and_the_worst_first() {
    let rule = FailureThreshold::new(500, 1, 10).unwrap();
    let builder = OutlierConfig::builder().without_success_rate().failure_threshold(rule).consecutive_failures(100);
    let mut o: Outliers<10> = set(builder.max_out_permille(290)); // 2.9 of 10
    for (endpoint, bad) in [(0, 6), (3, 9), (5, 7), (7, 10), (9, 4)] {
        calls(&mut o, endpoint, 10 - bad, bad, at(0));
    }
    o.handle_timeout(at(10));
    assert_eq!(outs(&o, at(10)), [3, 7]);
    let seen = o.snapshot(at(10));
    assert_eq!((seen.endpoints, seen.out, seen.ejections, seen.spared), (10, 2, 2, 2));
}

#[test]
fn who_was_spared_goes_at_the_next_failure_when_there_is_room() {
    let mut o: Outliers<5> = set(small());
    calls(&mut o, 0, 0, 2, at(0));
    calls(&mut o, 1, 0, 7, at(0));
    assert_eq!((outs(&o, at(0)), o.snapshot(at(0)).spared), (std::vec![0], 6));
    assert!(o.try_acquire(0, at(30)).is_ok());
    calls(&mut o, 1, 0, 1, at(30));
    assert_eq!(outs(&o, at(30)), [1]);
}

#[test]
fn late_outcomes_change_nothing() {
    let mut o: Outliers<3> = set(small());
    let late: Vec<_> = (0..4).map(|_| o.try_acquire(0, at(0)).unwrap()).collect();
    calls(&mut o, 0, 0, 2, at(0));
    for permit in late {
        o.release(permit, Outcome::Failure, at(30)); // it is in again
    }
    assert_eq!((outs(&o, at(30)), o.endpoint(0, at(30)).unwrap().calls), (std::vec![], 0));
}

#[test]
fn what_was_counted_before_an_ejection_is_not_held_against_it_after() {
    let rule = FailureThreshold::new(500, 1, 2).unwrap();
    let mut o: Outliers<3> = set(small().failure_threshold(rule).base_ejection(Duration::from_secs(10)));
    calls(&mut o, 0, 0, 2, at(0));
    // Its end and the sweep fall together.
    assert!(o.try_acquire(0, at(10)).is_ok());
    assert_eq!(o.snapshot(at(10)).ejections, 1);
}

#[test]
fn the_set_changes() {
    let mut o: Outliers<3> = Outliers::empty(small().build().unwrap()).unwrap();
    assert!(o.is_empty() && o.is_out(0, at(0)));
    assert_eq!(o.try_acquire(0, at(0)), Err(Rejected { reason: Reason::NoSuchEndpoint, retry_at: None }));
    assert_eq!([o.add(at(0)), o.add(at(0)), o.add(at(0)), o.add(at(0))], [Some(0), Some(1), Some(2), None]);
    let [of_removed, of_moved, of_reset] = [0, 2, 1].map(|n| o.try_acquire(n, at(0)).unwrap());
    calls(&mut o, 2, 5, 1, at(0));
    o.swap_remove(9, at(0));
    o.swap_remove(0, at(0));
    assert_eq!((o.len(), o.endpoint(2, at(0))), (2, None));
    assert_eq!(o.endpoint(0, at(0)).unwrap().calls, 6, "moved with its number");
    o.reset(1, at(0));
    for permit in [of_removed, of_moved, of_reset] {
        o.release(permit, Outcome::Failure, at(0));
    }
    assert_eq!((o.endpoint(0, at(0)).unwrap().calls, o.endpoint(1, at(0)).unwrap().calls), (6, 0));
    // The place of the last one is a new endpoint's.
    let of_last = o.try_acquire(1, at(0)).unwrap();
    o.swap_remove(1, at(0));
    assert_eq!(o.add(at(0)), Some(1));
    o.release(of_last, Outcome::Failure, at(0));
    assert_eq!(o.endpoint(1, at(0)).unwrap().calls, 0);
    calls(&mut o, 1, 0, 2, at(0));
    o.reset(1, at(1));
    assert_eq!(
        o.endpoint(1, at(1)).unwrap(),
        EndpointSnapshot { out: None, failures_in_a_row: 0, calls: 0, failures: 0, ejections: 0, multiplier: 0 }
    );
}

#[test]
fn a_smaller_set_keeps_to_the_cap() {
    let mut o: Outliers<6> = set(small().max_out_permille(350).at_least_one(false));
    calls(&mut o, 4, 0, 2, at(0));
    calls(&mut o, 1, 0, 2, at(1));
    assert_eq!(outs(&o, at(1)), [1, 4]);
    o.swap_remove(0, at(2)); // 1.75 of 5
    assert_eq!(outs(&o, at(2)), [1], "the first to come back is back");
    assert_eq!(o.snapshot(at(2)).out, 1);
    o.handle_timeout(at(10));
    assert_eq!(o.poll_timeout(), Some(at(31)));
}

#[test]
fn restored_before_its_time() {
    let mut o: Outliers<2> = set(small());
    calls(&mut o, 0, 0, 2, at(0));
    o.restore(0, at(3));
    o.restore(1, at(3));
    o.restore(2, at(3));
    assert!(o.try_acquire(0, at(3)).is_ok());
    assert_eq!(o.poll_timeout(), Some(at(10)));
    calls(&mut o, 0, 0, 2, at(4));
    assert_eq!(o.try_acquire(0, at(4)).unwrap_err().retry_at, Some(at(64)), "the second in a row");
}

#[test]
fn one_change_per_endpoint_the_oldest_first() {
    let mut o: Outliers<4> = set(small().max_out_permille(1_000));
    assert_eq!(o.poll_event(), None);
    calls(&mut o, 2, 0, 2, at(0));
    calls(&mut o, 1, 0, 2, at(5));
    let out = |secs| Some(Ejection { until: at(secs), rule: OutlierRule::ConsecutiveFailures });
    let change = |endpoint, was_out, out, secs| Some(EndpointChange { endpoint, was_out, out, at: at(secs) });
    assert_eq!(o.poll_event(), change(2, false, out(30), 0));
    o.handle_timeout(at(100));
    assert_eq!(o.poll_event(), change(2, true, None, 30));
    assert_eq!(o.poll_event(), change(1, false, None, 35), "went and came back");
    assert_eq!(o.poll_event(), None);
}

#[test]
fn idle_time_is_one_step() {
    let rule = FailureThreshold::new(500, 1, 2).unwrap();
    let builder = OutlierConfig::builder().failure_threshold(rule).at_least_one(true);
    let (mut polled, mut idle): (Outliers<3>, Outliers<3>) = (set(builder), set(builder));
    for o in [&mut polled, &mut idle] {
        calls(o, 0, 0, 3, at(0));
        calls(o, 1, 0, 4, at(0));
    }
    let mut turns = 0;
    while let Some(next) = polled.poll_timeout().filter(|_| turns < 10) {
        polled.handle_timeout(next);
        polled.handle_timeout(next);
        turns += 1;
    }
    assert_eq!(turns, 2, "the sweep, and an end");
    let end = at(1_000_000);
    polled.handle_timeout(end);
    idle.handle_timeout(end);
    for n in 0..3 {
        assert_eq!(polled.endpoint(n, end), idle.endpoint(n, end));
    }
    assert_eq!(polled.snapshot(end), idle.snapshot(end));
    assert_eq!((idle.snapshot(end).ejections, idle.poll_timeout()), (1, None));
    assert_eq!(std::iter::from_fn(|| polled.poll_event()).collect::<Vec<_>>(), [idle.poll_event().unwrap()]);
}

#[test]
fn a_clock_that_steps_back_keeps_nobody_out_for_longer() {
    let mut o: Outliers<3> = set(small());
    calls(&mut o, 0, 0, 2, at(1_000_000));
    assert_eq!(o.try_acquire(0, at(5)).unwrap_err().retry_at, Some(at(35)));
    assert_eq!(o.poll_timeout(), Some(at(15)), "the sweep too");
    assert!(o.try_acquire(0, at(35)).is_ok());
}

#[test]
fn the_end_of_time_is_no_panic() {
    let mut o: Outliers<2> = set(small().interval(Duration::MAX).base_ejection(Duration::MAX));
    for _ in 0..3 {
        calls(&mut o, 0, 0, 2, Instant::MAX);
        o.handle_timeout(Instant::MAX);
        let _ = o.endpoint(0, Instant::MAX);
    }
    let _ = o.try_acquire(0, Instant::EPOCH);
    assert!(o.try_acquire(usize::MAX, Instant::EPOCH).is_err());
}

#[test]
fn nonsense_is_refused_by_name() {
    let setting = |b: OutlierBuilder| b.build().unwrap_err().setting;
    let b = OutlierConfig::builder;
    assert_eq!(setting(b().consecutive_failures(0)), "consecutive_failures");
    assert_eq!(setting(b().without_consecutive_failures().without_success_rate()), "consecutive_failures");
    assert_eq!(setting(b().interval(Duration::ZERO)), "interval");
    assert_eq!(setting(b().base_ejection(Duration::ZERO)), "base_ejection");
    assert_eq!(setting(b().max_ejection(Duration::from_secs(29))), "max_ejection");
    assert_eq!(setting(b().max_out_permille(0)), "max_out_permille");
    assert_eq!(setting(b().max_out_permille(1_001)), "max_out_permille");
    assert!(b().base_ejection(Duration::from_secs(301)).build().is_ok(), "the default maximum is the base");
    let setting = |error: ConfigError| error.setting;
    assert_eq!(SuccessRate::new(0, 1, 1).map_err(setting), Err("stdev_permille"));
    assert_eq!(SuccessRate::new(1, 0, 1).map_err(setting), Err("minimum_endpoints"));
    assert_eq!(SuccessRate::new(1, 1, 0).map_err(setting), Err("minimum_calls"));
    assert_eq!(FailureThreshold::new(0, 1, 1).map_err(setting), Err("permille"));
    assert_eq!(FailureThreshold::new(1_001, 1, 1).map_err(setting), Err("permille"));
    assert_eq!(FailureThreshold::new(1, 0, 1).map_err(setting), Err("minimum_endpoints"));
    assert_eq!(FailureThreshold::new(1, 1, 0).map_err(setting), Err("minimum_calls"));
}

#[test]
fn a_set_that_could_never_eject_is_refused() {
    let default = OutlierConfig::builder().build().unwrap();
    let setting = |result: Result<(), ConfigError>| result.unwrap_err().setting;
    assert_eq!(setting(Outliers::<9>::new(default).map(drop)), "max_out_permille");
    assert!(Outliers::<10>::new(default).is_ok());
    assert_eq!(setting(Outliers::<0>::new(default).map(drop)), "N");
    assert_eq!(setting(Outliers::<1_025>::new(default).map(drop)), "N");
    let by_rate = small().without_consecutive_failures();
    assert_eq!(setting(Outliers::<4>::new(by_rate.build().unwrap()).map(drop)), "minimum_endpoints");
    let by_share = by_rate.without_success_rate().failure_threshold(FailureThreshold::DEFAULT).build().unwrap();
    assert_eq!(setting(Outliers::<4>::new(by_share).map(drop)), "minimum_endpoints");
    assert!(Outliers::<5>::new(by_share).is_ok());
}

#[test]
fn in_a_static_and_small() {
    use std::sync::Mutex;
    static ENDPOINTS: Mutex<Outliers<10>> =
        Mutex::new(checked!(Outliers::new(checked!(OutlierConfig::builder().build()))));
    assert!(ENDPOINTS.lock().unwrap().try_acquire(0, at(0)).is_ok());
    assert_eq!(size_of::<endpoint::Endpoint>(), 48);
    assert_eq!(size_of::<EndpointPermit>(), 8);
}
