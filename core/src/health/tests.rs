use core::time::Duration;

use super::*;

use Reading::{Degraded as D, Healthy as H, Unhealthy as U};

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// Stale after 100 ns.
fn critical() -> ComponentBuilder {
    Component::critical("critical").stale_after(ns(100))
}

fn health<const N: usize>(components: [ComponentBuilder; N]) -> Health<N> {
    Health::new(components.map(|builder| builder.build().unwrap()))
}

fn seen<const N: usize>(health: &Health<N>, now: u64) -> (Status, bool, Option<usize>) {
    let HealthSnapshot { status, live, cause } = health.snapshot(at(now));
    (status, live, cause)
}

#[test]
fn statuses_after_readings() {
    use Status::{Degraded, Healthy, Unhealthy};
    let table: [(&[Reading], Status); 21] = [
        (&[H], Healthy),
        (&[D], Degraded),
        (&[U], Unhealthy),
        (&[H, U, U], Healthy),
        (&[H, U, U, U], Unhealthy),
        (&[H, D, D, D], Degraded),
        (&[H, U, U, H, U, U], Healthy),
        (&[H, U, D, U], Degraded), // all three are degraded or worse
        (&[H, U, D, U, U], Degraded),
        (&[H, U, D, U, U, U], Unhealthy),
        (&[H, D, D, U, U, U], Unhealthy),
        (&[U, H], Unhealthy),
        (&[U, H, H], Healthy),
        (&[U, H, D], Degraded), // both are better than unhealthy
        (&[U, D, D], Degraded),
        (&[U, D, H, H], Healthy),
        (&[U, H, U, H], Unhealthy),
        (&[D, H], Degraded),
        (&[D, H, H], Healthy),
        (&[D, H, D, H], Degraded),
        (&[D, U, U], Degraded),
    ];
    for (readings, status) in table {
        let mut health = health([critical()]);
        let told = readings.iter().map(|reading| health.record(0, *reading, at(1))).last().unwrap();
        assert_eq!((told, health.snapshot(at(1)).status), (Some(status), status), "{readings:?}");
    }
}

#[test]
fn a_component_says_all_about_itself() {
    let mut health = health([critical()]);
    let told = |health: &Health<1>, now| health.component(0, at(now)).unwrap();
    let new = told(&health, 7);
    assert_eq!(
        (new.name, new.role, new.status, new.basis),
        ("critical", Role::Critical, Status::Unknown, Basis::Starting)
    );
    assert_eq!((new.since, new.last, new.age_nanos, new.failures_in_a_row), (at(7), None, None, 0));
    health.handle_timeout(at(8)); // the grace of no length is over
    assert_eq!((told(&health, 9).basis, told(&health, 9).since), (Basis::Silent, at(8)));
    for now in [10, 20] {
        health.record(0, H, at(now));
    }
    let well = told(&health, 25);
    assert_eq!((well.status, well.basis, well.since), (Status::Healthy, Basis::Reading, at(10)));
    assert_eq!((well.last, well.age_nanos, well.nanos_in_status), (Some(H), Some(5), 15));
    assert_eq!((well.successes_in_a_row, well.failures_in_a_row), (2, 0));
    for now in [30, 40, 50] {
        health.record(0, D, at(now));
    }
    let ill = told(&health, 149);
    assert_eq!((ill.status, ill.basis, ill.since), (Status::Degraded, Basis::Reading, at(50)));
    assert_eq!((ill.last, ill.age_nanos), (Some(D), Some(99)));
    assert_eq!((ill.successes_in_a_row, ill.failures_in_a_row), (0, 3));
    let stale = told(&health, 150);
    assert_eq!((stale.status, stale.basis, stale.since), (Status::Unknown, Basis::Silent, at(150)));
    assert_eq!(stale.age_nanos, Some(100));
    health.record(0, H, at(200));
    let back = told(&health, 200);
    assert_eq!((back.status, back.since, back.successes_in_a_row), (Status::Healthy, at(200), 1));
    assert_eq!((health.components(at(200)).count(), health.component(1, at(200))), (1, None));
    assert_eq!((health.find("critical"), health.find("other")), (Some(0), None));
}

#[test]
fn roles_decide_what_it_means_for_the_whole() {
    let roles = || {
        [
            Component::task("task", ns(100)).failures(1),
            critical().failures(1),
            Component::optional("optional").stale_after(ns(100)).failures(1),
            Component::informational("informational").stale_after(ns(100)).failures(1),
        ]
    };
    let all_well = || {
        let mut health = health(roles());
        for n in 0..4 {
            health.record(n, H, at(0));
        }
        assert_eq!(seen(&health, 99), (Status::Healthy, true, None));
        health
    };
    let told: [_; 4] = core::array::from_fn(|n| {
        [D, U].map(|reading| {
            let mut health = all_well();
            health.record(n, reading, at(1));
            seen(&health, 1)
        })
    });
    assert_eq!(told[0], [(Status::Degraded, true, Some(0)), (Status::Unhealthy, false, Some(0))]);
    assert_eq!(told[1], [(Status::Degraded, true, Some(1)), (Status::Unhealthy, true, Some(1))]);
    assert_eq!(told[2], [(Status::Degraded, true, Some(2)); 2]);
    assert_eq!(told[3], [(Status::Healthy, true, None); 2]);
    // One falls silent, the others do not.
    let silent: [_; 4] = core::array::from_fn(|quiet| {
        let mut health = all_well();
        for n in (0..4).filter(|n| *n != quiet) {
            health.record(n, H, at(50));
        }
        seen(&health, 100)
    });
    assert_eq!(silent[0], (Status::Unhealthy, false, Some(0)));
    assert_eq!(silent[1], (Status::Unknown, true, Some(1)));
    assert_eq!(silent[2], (Status::Degraded, true, Some(2)));
    assert_eq!(silent[3], (Status::Healthy, true, None));
    for (status, is_ready) in
        [(Status::Healthy, true), (Status::Degraded, true), (Status::Unknown, false), (Status::Unhealthy, false)]
    {
        assert_eq!(HealthSnapshot { status, live: true, cause: None }.is_ready(), is_ready);
    }
}

#[test]
fn where_nothing_counts_nothing_is_known() {
    assert_eq!(seen(&Health::new([]), 5), (Status::Unknown, true, None));
    let mut health = health([Component::informational("x"), critical()]);
    health.record(0, H, at(0));
    health.pause(1, at(0));
    assert_eq!(seen(&health, 5), (Status::Unknown, true, None));
    assert_eq!(health.may_feed(at(5)), Ok(()));
}

#[test]
fn the_cause_is_the_worst_and_of_these_the_first() {
    let mut health = health([critical(), critical(), critical()]);
    for (n, reading, now) in [(0, D, 1), (2, U, 5), (1, U, 9)] {
        health.record(n, reading, at(now));
    }
    assert_eq!(seen(&health, 10), (Status::Unhealthy, true, Some(2)));
    health.pause(2, at(10));
    assert_eq!(seen(&health, 10), (Status::Unhealthy, true, Some(1)));
    health.record(2, U, at(10));
    assert_eq!(seen(&health, 10), (Status::Unhealthy, true, Some(1)));
    health.restart(1, at(10));
    health.restart(2, at(10)); // both silent at once: the first
    assert_eq!(seen(&health, 10), (Status::Unknown, true, Some(1)));
}

#[test]
fn an_unhealthy_reading_in_the_grace_does_not_count() {
    let mut health = health([critical().grace(ns(50))]);
    health.handle_timeout(at(1_000)); // here time begins
    assert_eq!(health.record(0, U, at(1_049)), Some(Status::Unknown));
    assert_eq!(health.component(0, at(1_049)).unwrap().basis, Basis::Starting);
    assert_eq!(health.record(0, U, at(1_050)), Some(Status::Unhealthy));
    health.restart(0, at(2_000));
    assert_eq!(health.record(0, U, at(2_001)), Some(Status::Unknown));
    assert_eq!(health.record(0, D, at(2_002)), Some(Status::Degraded), "another one ends it");
    for now in 2_003..2_006 {
        health.record(0, U, at(now));
    }
    assert_eq!(seen(&health, 2_006), (Status::Unhealthy, true, Some(0)));
}

#[test]
fn a_watchdog_starves_while_a_task_is_silent() {
    let mut health = health([
        Component::task("sensor", ns(100)).grace(ns(500)),
        critical().failures(1),
        Component::task("radio", ns(200)),
    ]);
    let held = |health: &mut Health<3>, now| health.may_feed(at(now)).err().map(|held| (held.name, held.since));
    assert_eq!(held(&mut health, 1_000), None, "both may take their time to start");
    health.record(1, U, at(1_000));
    assert_eq!(held(&mut health, 1_199), None, "a dependency has no say");
    assert_eq!(held(&mut health, 1_200), Some(("radio", at(1_200))));
    health.check_in(2, at(1_300));
    assert_eq!(held(&mut health, 1_499), None);
    assert_eq!(held(&mut health, 1_500), Some(("sensor", at(1_500))));
    // Of two, the one that was first to be silent.
    assert_eq!(held(&mut health, 1_700), Some(("sensor", at(1_500))));
    health.check_in(0, at(1_700));
    assert_eq!(held(&mut health, 1_700), Some(("radio", at(1_500))));
    health.pause(2, at(1_700));
    assert_eq!(held(&mut health, 1_799), None, "asleep on purpose");
    assert!(health.snapshot(at(1_799)).live && !health.snapshot(at(1_800)).live);
    // A task may say of itself that it cannot go on.
    health.record(2, U, at(1_800));
    health.check_in(0, at(1_800));
    let held = health.may_feed(at(1_800)).unwrap_err();
    let told = Held { component: 2, name: "radio", basis: Basis::Reading, since: at(1_800) };
    assert_eq!(held, told);
}

#[test]
fn a_clock_that_steps_back_feeds_no_longer_than_the_silence() {
    let mut health = health([Component::task("x", ns(100))]);
    health.check_in(0, at(1_000_000));
    assert!(health.may_feed(at(5)).is_ok());
    assert!(health.may_feed(at(104)).is_ok());
    assert!(health.may_feed(at(105)).is_err());
    // Ahead and back.
    health.check_in(0, at(105));
    assert!(health.may_feed(at(1_000_000)).is_err());
    assert!(health.may_feed(at(204)).is_ok());
    assert!(health.may_feed(at(205)).is_err());
    // The grace and a pause, too.
    health.restart(0, at(500));
    assert_eq!((health.may_feed(at(300)), health.poll_timeout()), (Ok(()), Some(at(400))));
    health.pause(0, at(900));
    health.handle_timeout(at(600));
    assert_eq!(health.component(0, at(700)).unwrap().since, at(600));
    // Since when it is well.
    health.check_in(0, at(900));
    health.handle_timeout(at(850));
    assert_eq!(health.component(0, at(850)).unwrap().since, at(850));
}

#[test]
fn timers_are_armed_for_what_time_will_change() {
    let mut health = health([critical(), critical().never_stale(), Component::task("x", ns(300))]);
    assert_eq!(health.poll_timeout(), None);
    health.handle_timeout(at(10));
    assert_eq!(health.poll_timeout(), Some(at(310)));
    health.record(1, H, at(10));
    assert_eq!(health.poll_timeout(), Some(at(310)));
    health.record(0, H, at(20));
    assert_eq!(health.poll_timeout(), Some(at(120)));
    health.handle_timeout(at(119));
    assert_eq!(health.poll_timeout(), Some(at(120)));
    health.handle_timeout(at(120));
    assert_eq!(health.poll_timeout(), Some(at(310)));
    health.pause(2, at(200));
    assert_eq!(health.poll_timeout(), None);
    assert_eq!(health.component(1, Instant::MAX).unwrap().status, Status::Healthy);
    assert_eq!(health.record(3, H, at(200)), None);
    // The end of time is silent.
    health.record(0, H, Instant::MAX);
    assert_eq!(health.poll_timeout(), None);
    assert_eq!(health.component(0, Instant::MAX).unwrap().basis, Basis::Silent);
}

#[test]
fn changes_of_the_whole_wait_as_one() {
    let mut health = health([critical().failures(1).successes(1), Component::task("x", ns(150))]);
    let event = |health: &mut Health<2>| {
        let event = health.poll_event();
        assert!(!health.has_event() && health.poll_event().is_none());
        event.map(|e| ((e.from.status, e.from.live), (e.to.status, e.to.live, e.to.cause), e.at))
    };
    health.handle_timeout(at(0));
    assert_eq!(event(&mut health), None);
    health.record(0, H, at(0));
    health.check_in(1, at(10));
    assert!(health.has_event());
    assert_eq!(event(&mut health), Some(((Status::Unknown, true), (Status::Healthy, true, None), at(10))));
    // Time brings two, each at its own; the last one counts.
    health.handle_timeout(at(1_000));
    let told = Some(((Status::Healthy, true), (Status::Unhealthy, false, Some(1)), at(160)));
    assert_eq!(event(&mut health), told);
    health.handle_timeout(at(2_000));
    assert_eq!(event(&mut health), None);
    // It was well for a moment, which is told after all.
    health.record(0, H, at(2_000));
    health.check_in(1, at(2_000));
    health.record(0, U, at(2_000));
    let told = Some(((Status::Unhealthy, false), (Status::Unhealthy, true, Some(0)), at(2_000)));
    assert_eq!(event(&mut health), told);
    // Only live or not.
    health.record(1, U, at(2_001));
    let told = Some(((Status::Unhealthy, true), (Status::Unhealthy, false, Some(0)), at(2_001)));
    assert_eq!(event(&mut health), told);
    health.check_in(1, at(2_001));
    health.record(1, U, at(2_002));
    let told = Some(((Status::Unhealthy, false), (Status::Unhealthy, false, Some(0)), at(2_002)));
    assert_eq!(event(&mut health), told, "it came back in between");
    // What has happened before a reading comes is told, too.
    health.record(0, H, at(2_002));
    health.check_in(1, at(2_002));
    assert!(event(&mut health).is_some());
    health.record(0, H, at(2_090));
    health.check_in(1, at(3_000));
    let told = Some(((Status::Healthy, true), (Status::Unknown, true, Some(0)), at(3_000)));
    assert_eq!(event(&mut health), told);
}

#[test]
fn nonsense_is_refused_by_name() {
    let component = |builder: ComponentBuilder| builder.build().unwrap_err().setting;
    assert_eq!(component(Component::critical("")), "name");
    assert_eq!(component(critical().failures(0)), "failures");
    assert_eq!(component(critical().successes(0)), "successes");
    assert_eq!(component(critical().stale_after(Duration::ZERO)), "stale_after");
    assert_eq!(component(Component::task("x", Duration::ZERO)), "stale_after");
    assert_eq!(component(Component::task("x", Duration::MAX)), "stale_after");
    assert_eq!(component(Component::task("x", ns(1)).grace(Duration::ZERO)), "grace");
    let probes = |builder: ProbeBuilder| builder.build().unwrap_err().setting;
    let builder = ProbeConfig::builder();
    assert_eq!(probes(builder.period(Duration::ZERO)), "period");
    assert_eq!(probes(builder.timeout(Duration::ZERO)), "timeout");
    assert_eq!(probes(builder.period(ns(9)).timeout(ns(10))), "timeout");
    assert!(builder.period(ns(9)).timeout(ns(9)).build().is_ok());
    for permille in [0, 1_001] {
        assert_eq!(Thresholds::degraded_from(permille).unwrap_err().setting, "degraded_from");
    }
    for permille in [499, 1_001] {
        let half = Thresholds::degraded_from(500).unwrap();
        assert_eq!(half.unhealthy_from(permille).unwrap_err().setting, "unhealthy_from");
        assert!(half.unhealthy_from(500).is_ok());
    }
}

#[test]
fn probed_components_outlast_two_lost_probes() {
    let probes = ProbeConfig::builder().period(ns(100)).timeout(ns(30)).build().unwrap();
    let mut health = health([critical().probed(&probes)]);
    health.record(0, H, at(0));
    assert_eq!(health.poll_timeout(), Some(at(330)));
}
