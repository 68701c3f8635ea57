use core::time::Duration;

use super::*;

const fn ns(n: u64) -> Duration {
    Duration::from_nanos(n)
}

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

const fn builder() -> FaultBuilder {
    FaultConfig::builder().latency(ns(100)).jitter(ns(50)).slow(200, ns(1_000)).errors(300).hangs(100)
}

#[test]
fn without_faults_all_is_answered_at_once() {
    let mut faults = Faults::new(FaultConfig::builder().build().unwrap(), 1);
    for now in [0, 5, 3, u64::MAX] {
        assert_eq!(faults.next(at(now)), Fault { at: at(now), end: End::Answer });
    }
    assert_eq!(faults.snapshot(), FaultSnapshot { answered: 4, failed: 0, hung: 0 });
}

#[test]
fn a_run_is_its_seed_and_a_call_its_number() {
    let config = builder().build().unwrap();
    let run = |seed| {
        let mut faults = Faults::new(config, seed);
        core::array::from_fn::<Fault, 64, _>(|_| faults.next(at(0)))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_eq!(config.fault(1, 40, at(0)), run(1)[40]);
    // Only the instant differs at another time.
    let later = config.fault(1, 40, at(7));
    assert_eq!((later.end, later.at), (run(1)[40].end, run(1)[40].at.after(7)));
}

/// The same on every target and in every version, or users' tests change under them.
#[test]
fn golden() {
    let mut faults = Faults::new(builder().build().unwrap(), 43);
    let run: [_; 12] = core::array::from_fn(|_| {
        let fault = faults.next(at(0));
        (fault.end, fault.at.as_nanos())
    });
    let never = Instant::MAX.as_nanos();
    let expected = [
        (End::Error, 125),
        (End::Answer, 115),
        (End::Hang, never),
        (End::Error, 147),
        (End::Hang, never),
        (End::Answer, 131),
        (End::Answer, 128),
        (End::Answer, 122),
        (End::Answer, 103),
        (End::Answer, 145),
        (End::Answer, 108),
        (End::Answer, 110),
    ];
    assert_eq!(run, expected);
}

#[test]
fn an_outage_is_from_its_beginning_to_before_its_end() {
    let outages = [Outage::hang(ns(1_010), ns(5)), Outage::error(ns(1_000), ns(20)).every(ns(100))];
    let config = FaultConfig::builder().latency(ns(3)).outages(outages).build().unwrap();
    let end = |now| config.fault(0, 0, at(now)).end;
    let expected = [
        (0, End::Answer),
        (999, End::Answer),
        (1_000, End::Error),
        (1_009, End::Error),
        (1_010, End::Hang),
        (1_014, End::Hang),
        (1_015, End::Error),
        (1_019, End::Error),
        (1_020, End::Answer),
        (1_099, End::Answer),
        (1_100, End::Error),
        (1_119, End::Error),
        (1_120, End::Answer),
        (1_001_000, End::Error),
        (1_001_020, End::Answer),
    ];
    for (now, expected) in expected {
        assert_eq!(end(now), expected, "{now}");
    }
    assert_eq!(config.fault(0, 0, at(1_100)).at, at(1_103), "an error takes its time, too");
    assert_eq!(config.fault(0, 0, at(1_010)).at, Instant::MAX);
}

#[test]
fn faults_can_change_on_the_way() {
    let all = |errors| FaultConfig::builder().errors(errors).build().unwrap();
    let mut faults = Faults::new(all(0), 3);
    assert_eq!(faults.next(at(0)).end, End::Answer);
    faults.set_config(all(1_000));
    assert_eq!(faults.next(at(0)).end, End::Error);
    assert_eq!(faults.snapshot(), FaultSnapshot { answered: 1, failed: 1, hung: 0 });
}

#[test]
fn the_end_of_time_and_of_all_counts() {
    let mut faults = Faults::new(builder().errors(1_000).hangs(0).build().unwrap(), 3);
    faults.call = u32::MAX;
    faults.told.failed = u32::MAX;
    assert_eq!(faults.next(at(u64::MAX)), Fault { at: Instant::MAX, end: End::Error });
    assert_eq!((faults.call, faults.told.failed), (0, u32::MAX));
}

#[test]
fn nonsense_is_refused_by_name() {
    let outage = |outage| FaultConfig::builder().outages([outage]).build().map(|_| ()).map_err(|e| e.setting);
    assert_eq!(builder().errors(901).build().unwrap_err().setting, "errors");
    assert_eq!(builder().errors(u16::MAX).hangs(u16::MAX).build().unwrap_err().setting, "errors");
    assert_eq!(builder().errors(0).hangs(1_001).build().unwrap_err().setting, "errors");
    assert_eq!(builder().slow(1_001, ns(1)).build().unwrap_err().setting, "slow");
    assert_eq!(outage(Outage::error(ns(1), ns(0))), Err("outages"));
    assert_eq!(outage(Outage::error(ns(1), ns(6)).every(ns(5))), Err("outages"));
    assert_eq!(outage(Outage::error(ns(1), ns(5)).every(ns(5))), Ok(()));
    assert!(builder().errors(900).slow(1_000, ns(1)).build().is_ok());
}
