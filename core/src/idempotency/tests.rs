use super::machine::Totals;
use super::*;
use crate::{ConfigError, Instant, Reason, Rejected};
use core::time::Duration;

type Table<const N: usize> = Idempotency<u8, &'static str, N>;

const A: Fingerprint = Fingerprint::of(b"a");
const B: Fingerprint = Fingerprint::of(b"b");
const LEASE: u64 = 10;
const TTL: u64 = 100;

fn config(lease: Duration, ttl: Duration) -> Result<IdempotencyConfig, ConfigError> {
    IdempotencyConfig::builder().lease(lease).ttl(ttl).build()
}

fn table<const N: usize>() -> Table<N> {
    Idempotency::new(config(Duration::from_nanos(LEASE), Duration::from_nanos(TTL)).unwrap())
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn run<const N: usize>(table: &mut Table<N>, key: u8, now: u64) -> Permit {
    match table.begin(&key, A, at(now)) {
        Ok(Begun::Run(permit)) => permit,
        other => unreachable!("{key} at {now}: {other:?}"),
    }
}

fn in_flight(until: u64) -> Rejected {
    Rejected { reason: Reason::KeyInFlight, retry_at: Some(at(until)) }
}

fn full(until: u64) -> Rejected {
    Rejected { reason: Reason::RecordsFull, retry_at: Some(at(until)) }
}

const CONFLICT: Rejected = Rejected { reason: Reason::KeyConflict, retry_at: None };

#[test]
fn runs_once_and_answers_alike_for_its_time() {
    let mut t = table::<2>();
    let permit = run(&mut t, 1, 5);
    assert_eq!(t.state(&1, at(5)), KeyState::InFlight { until: at(15) });
    assert_eq!(t.begin(&1, A, at(6)), Err(in_flight(15)));
    assert_eq!(t.begin(&1, B, at(6)), Err(CONFLICT));
    assert_eq!(t.finish(permit, "paid", at(7)), Ok(()));
    assert_eq!(t.state(&1, at(7)), KeyState::Done { value: &"paid", until: at(107) });
    assert_eq!(t.begin(&1, B, at(106)), Err(CONFLICT));
    assert_eq!(t.begin(&1, A, at(106)), Ok(Begun::Stored(&"paid")));
    assert_eq!(t.state(&1, at(107)), KeyState::Vacant);
    let _permit = run(&mut t, 1, 107);
    let told = IdempotencySnapshot {
        started: 2,
        replayed: 1,
        waits: 1,
        conflicts: 2,
        full: 0,
        lapsed: 0,
        late: 0,
        in_flight: 1,
        done: 0,
        capacity: 2,
    };
    assert_eq!(t.snapshot(), told);
}

#[test]
fn a_vacant_key_takes_any_fingerprint() {
    let mut t = table::<1>();
    let permit = run(&mut t, 1, 0);
    t.cancel(permit, at(1));
    assert_eq!(t.state(&1, at(1)), KeyState::Vacant);
    assert!(matches!(t.begin(&1, B, at(1)), Ok(Begun::Run(_))));
    assert!(matches!(t.begin(&1, A, at(11)), Ok(Begun::Run(_))), "nobody knows what became of the other one");
    assert_eq!(t.snapshot().lapsed, 1);
}

#[test]
fn one_takes_over_when_the_lease_is_over_and_what_comes_late_is_told() {
    let mut t = table::<2>();
    let first = run(&mut t, 1, 0);
    assert_eq!(t.begin(&1, A, at(9)), Err(in_flight(10)));
    let second = run(&mut t, 1, 10);
    assert_eq!(t.begin(&1, A, at(10)), Err(in_flight(20)));
    assert_eq!(t.renew(&first, at(11)), None);
    assert_eq!(t.begin(&1, A, at(11)), Err(in_flight(20)), "the lease is the other one's");
    assert_eq!(t.finish(first, "late", at(12)), Err(Late("late")));
    assert_eq!(t.begin(&1, A, at(12)), Err(in_flight(20)));
    assert_eq!(t.finish(second, "good", at(13)), Ok(()));
    assert_eq!(t.begin(&1, A, at(14)), Ok(Begun::Stored(&"good")));
    let seen = t.snapshot();
    assert_eq!((seen.lapsed, seen.late, seen.in_flight, seen.done), (1, 1, 0, 1));
}

#[test]
fn who_was_taken_over_cancels_nothing() {
    let mut t = table::<1>();
    let first = run(&mut t, 1, 0);
    let second = run(&mut t, 1, 10);
    t.cancel(first, at(11));
    assert_eq!(t.begin(&1, A, at(11)), Err(in_flight(20)));
    assert_eq!(t.finish(second, "good", at(12)), Ok(()));
    let again = run(&mut t, 1, 112);
    assert_eq!(t.finish(again, "again", at(113)), Ok(()));
    assert_eq!(t.state(&1, at(113)), KeyState::Done { value: &"again", until: at(213) });
}

#[test]
fn a_lease_that_is_over_does_no_harm_if_nobody_took_over() {
    let mut t = table::<2>();
    let slow = run(&mut t, 1, 0);
    t.handle_timeout(at(50));
    assert_eq!(t.state(&1, at(50)), KeyState::Vacant);
    assert_eq!(t.snapshot().in_flight, 0);
    assert_eq!(t.renew(&slow, at(50)), Some(at(60)));
    assert_eq!(t.begin(&1, A, at(59)), Err(in_flight(60)));
    assert_eq!(t.finish(slow, "slow", at(80)), Ok(()));
    assert_eq!(t.begin(&1, A, at(179)), Ok(Begun::Stored(&"slow")));
    assert_eq!(t.snapshot().late, 0);
}

#[test]
fn renewal_counts_from_when_it_was_asked_for() {
    let mut t = table::<1>();
    let permit = run(&mut t, 1, 0);
    assert_eq!(t.renew(&permit, at(9)), Some(at(19)));
    assert_eq!(t.begin(&1, A, at(18)), Err(in_flight(19)));
    let _other = run(&mut t, 1, 19);
    assert_eq!(t.renew(&permit, at(20)), None);
}

#[test]
fn a_full_table_refuses_until_the_first_is_over() {
    let mut t = table::<2>();
    let first = run(&mut t, 1, 0);
    let second = run(&mut t, 2, 3);
    assert_eq!(t.begin(&3, A, at(9)), Err(full(10)));
    t.finish(first, "one", at(9)).unwrap();
    assert_eq!(t.begin(&3, A, at(12)), Err(full(13)));
    t.finish(second, "two", at(12)).unwrap();
    assert_eq!(t.begin(&3, A, at(108)), Err(full(109)));
    assert_eq!(t.begin(&2, A, at(108)), Ok(Begun::Stored(&"two")), "those in it are served");
    let _third = run(&mut t, 3, 109);
    assert_eq!(t.begin(&2, A, at(109)), Ok(Begun::Stored(&"two")));
    assert_eq!(t.state(&1, at(109)), KeyState::Vacant);
    assert_eq!(t.snapshot().full, 3);
}

#[test]
fn what_may_still_come_back_gives_way_last() {
    let mut t = table::<2>();
    let slow = run(&mut t, 1, 0);
    let done = run(&mut t, 2, 0);
    t.finish(done, "done", at(1)).unwrap();
    let _third = run(&mut t, 3, 101);
    assert_eq!(t.finish(slow, "slow", at(102)), Ok(()), "not its place was taken");
    let mut t = table::<1>();
    let slow = run(&mut t, 1, 0);
    let other = run(&mut t, 2, 10);
    assert_eq!(t.finish(slow, "slow", at(11)), Err(Late("slow")));
    assert_eq!(t.finish(other, "other", at(11)), Ok(()));
    assert_eq!((t.snapshot().lapsed, t.snapshot().late), (1, 1));
}

#[test]
fn answers_are_dropped_when_their_time_is_over() {
    let mut t = table::<3>();
    assert_eq!(t.poll_timeout(), None);
    for (key, now) in [(1, 0), (2, 5)] {
        let permit = run(&mut t, key, now);
        t.finish(permit, "done", at(now)).unwrap();
    }
    let _in_flight = run(&mut t, 3, 6);
    assert_eq!(t.poll_timeout(), Some(at(100)));
    t.handle_timeout(at(99));
    assert_eq!((t.poll_timeout(), t.snapshot().done), (Some(at(100)), 2));
    t.handle_timeout(at(100));
    assert_eq!((t.poll_timeout(), t.snapshot().done), (Some(at(105)), 1));
    t.handle_timeout(at(1_000));
    assert_eq!((t.poll_timeout(), t.snapshot().done), (None, 0));
}

#[test]
fn a_clock_that_steps_back_lengthens_nothing() {
    let mut t = table::<3>();
    let done = run(&mut t, 1, 1_000);
    t.finish(done, "done", at(1_000)).unwrap();
    let _lost = run(&mut t, 2, 1_000);
    assert_eq!(t.begin(&2, A, at(3)), Err(in_flight(13)));
    assert_eq!(t.begin(&2, A, at(4)), Err(in_flight(13)), "and once is enough");
    assert_eq!(t.begin(&2, A, at(3)), Err(in_flight(13)), "nor is what is left made longer");
    assert_eq!(t.state(&1, at(4)), KeyState::Done { value: &"done", until: at(103) });
    let lost = run(&mut t, 2, 13);
    t.handle_timeout(at(2));
    assert_eq!(t.begin(&2, A, at(2)), Err(in_flight(12)));
    assert_eq!(t.renew(&lost, at(1)), Some(at(11)));
    assert_eq!(t.begin(&1, A, at(100)), Ok(Begun::Stored(&"done")));
    assert_eq!(t.state(&1, at(101)), KeyState::Vacant, "a time to live after the clock showed 1");
}

#[test]
fn at_the_end_of_time_nothing_overflows() {
    let mut t = Table::<1>::new(config(Duration::MAX, Duration::MAX).unwrap());
    let permit = run(&mut t, 1, 7);
    assert_eq!(t.begin(&1, A, at(8)), Err(Rejected { retry_at: Some(Instant::MAX), ..in_flight(0) }));
    t.finish(permit, "done", at(u64::MAX - 2)).unwrap();
    assert_eq!(t.begin(&1, A, at(u64::MAX - 2)), Ok(Begun::Stored(&"done")));
}

#[test]
fn totals_stop_at_their_maximum() {
    let mut t = table::<1>();
    let _permit = run(&mut t, 1, 0);
    t.totals = Totals {
        started: u32::MAX,
        replayed: u32::MAX,
        waits: u32::MAX,
        conflicts: u32::MAX,
        full: u32::MAX,
        lapsed: u32::MAX,
        late: u32::MAX,
    };
    assert!(t.begin(&1, A, at(1)).is_err() && t.begin(&1, B, at(1)).is_err() && t.begin(&2, A, at(1)).is_err());
    let permit = run(&mut t, 1, 10);
    let late = run(&mut t, 1, 20);
    assert!(t.finish(permit, "late", at(20)).is_err() && t.finish(late, "good", at(20)).is_ok());
    assert!(t.begin(&1, A, at(21)).is_ok());
    let IdempotencySnapshot { started, replayed, waits, conflicts, full, lapsed, late, .. } = t.snapshot();
    assert_eq!([started, replayed, waits, conflicts, full, lapsed, late], [u32::MAX; 7]);
}

#[test]
fn a_permit_of_another_table_changes_nothing() {
    let mut large = table::<4>();
    let permits: [_; 4] = core::array::from_fn(|key| run(&mut large, u8::try_from(key).unwrap(), 0));
    let mut small = table::<1>();
    let _own = run(&mut small, 9, 0);
    for permit in permits.into_iter().skip(1) {
        assert_eq!(small.renew(&permit, at(1)), None);
        assert_eq!(small.finish(permit, "other", at(1)), Err(Late("other")));
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let second = Duration::from_secs(1);
    assert_eq!(config(Duration::ZERO, second).unwrap_err().setting, "lease");
    assert_eq!(config(second, Duration::ZERO).unwrap_err().setting, "ttl");
    let default = IdempotencyConfig::builder().build().unwrap();
    assert_eq!(default, config(Duration::from_secs(60), Duration::from_secs(86_400)).unwrap());
}

/// The published vectors of FNV-1a with 64 bits.
#[test]
fn fingerprints_are_the_same_everywhere() {
    assert_eq!(Fingerprint::of(b"").bits(), 0xcbf2_9ce4_8422_2325);
    assert_eq!(Fingerprint::of(b"a").bits(), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(Fingerprint::of(b"foobar").bits(), 0x8594_4171_f739_67e8);
    assert_eq!(Fingerprint::of(b"a").and(b"bc"), Fingerprint::of(b"a\x02\0\0\0\0\0\0\0bc"));
    assert_eq!(Fingerprint::new(7).bits(), 7);
}
