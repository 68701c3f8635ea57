use core::time::Duration;

use super::*;

const MS: u64 = 1_000_000;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn sketch(window: u64, minimum: u16) -> LatencySketch {
    let builder = LatencyConfig::builder().window(Duration::from_millis(window)).minimum(minimum);
    LatencySketch::new(builder.build().unwrap())
}

/// What the end of `nanos`' bucket is.
fn end_of(nanos: u64) -> Bound {
    let mut alone = sketch(1, 1);
    alone.record(nanos, at(0));
    alone.quantile(500, at(0)).unwrap()
}

#[test]
fn without_censored_ones_it_is_the_ordinary_quantile() {
    let mut s = sketch(10, 1);
    (1..=20).for_each(|n| s.record(n * 100 * MS, at(0)));
    for (permille, n) in [(0, 1), (1, 1), (50, 1), (51, 2), (500, 10), (501, 11), (949, 19), (950, 19), (951, 20)] {
        assert_eq!(s.quantile(permille, at(0)), Some(end_of(n * 100 * MS)), "{permille}");
    }
    assert_eq!(s.quantile(1_000, at(0)), s.quantile(u16::MAX, at(0)));
    assert_eq!(s.quantile(1_000, at(0)), Some(end_of(2_000 * MS)));
}

#[test]
fn rounding_does_not_tell_equal_shares_apart() {
    let mut s = sketch(10, 1);
    (0..19).for_each(|_| s.record(MS, at(0)));
    (0..980).for_each(|_| s.record(2 * MS, at(0)));
    s.record(30_000 * MS, at(0));
    assert_eq!(s.quantile(999, at(0)), Some(end_of(2 * MS)));
}

#[test]
fn the_product_limit_of_a_textbook() {
    // Of 10: ended at 1, 3, 3, 6; censored at 2, 4, 5, 7 (two), 8. Survival 0.9, 0.675, 0.50625 after 1, 3, 6.
    let mut s = sketch(10, 10);
    for n in [1, 3, 3, 6] {
        s.record(n * 1_000 * MS, at(0));
    }
    for n in [2, 4, 5, 7, 7, 8] {
        s.record_censored(n * 1_000 * MS, at(0));
    }
    assert_eq!(s.quantile(100, at(0)), Some(end_of(1_000 * MS)));
    assert_eq!(s.quantile(101, at(0)), Some(end_of(3_000 * MS)));
    assert_eq!(s.quantile(325, at(0)), Some(end_of(3_000 * MS)));
    assert_eq!(s.quantile(326, at(0)), Some(end_of(6_000 * MS)));
    assert_eq!(s.quantile(493, at(0)), Some(end_of(6_000 * MS)));
    // 8 s lies in the bucket from 7.5 s (7 * 2^30 ns).
    assert_eq!(s.quantile(494, at(0)), Some(Bound::AtLeast(7 << 30)));
    assert_eq!(s.snapshot(), LatencySnapshot { ended: 4, censored: 6 });
}

#[test]
fn in_one_bucket_those_that_ended_come_first() {
    let mut s = sketch(10, 2);
    s.record_censored(MS, at(0));
    s.record(MS, at(0));
    assert_eq!(s.quantile(500, at(0)), Some(end_of(MS)));
    assert!(matches!(s.quantile(501, at(0)), Some(Bound::AtLeast(nanos)) if nanos <= MS));
}

#[test]
fn nothing_but_censored_is_a_lower_bound_and_so_is_the_top() {
    let mut s = sketch(10, 1);
    s.record_censored(5 * MS, at(0));
    s.record_censored(MS, at(0));
    assert!(matches!(s.quantile(1, at(0)), Some(Bound::AtLeast(nanos)) if (4 * MS..=5 * MS).contains(&nanos)));
    let mut s = sketch(10, 1);
    s.record(u64::MAX, at(0));
    assert_eq!(s.quantile(500, at(0)), Some(Bound::AtLeast(1 << 37)));
    let mut s = sketch(10, 1);
    s.record(0, at(0));
    assert_eq!(s.quantile(500, at(0)), Some(Bound::AtMost(1_024)));
    s.record_censored(u64::MAX, at(0));
    assert_eq!(s.quantile(501, at(0)), Some(Bound::AtLeast(1 << 37)));
}

#[test]
fn no_answer_below_the_minimum() {
    let mut s = sketch(10, 3);
    assert_eq!(s.quantile(500, at(0)), None);
    s.record(MS, at(0));
    s.record_censored(MS, at(0));
    assert_eq!(s.quantile(500, at(0)), None);
    s.record(MS, at(0));
    assert_eq!(s.quantile(500, at(0)), Some(end_of(MS)));
}

#[test]
fn an_answer_stands_for_fifteen_records() {
    let mut s = sketch(10, 1);
    s.record(MS, at(0));
    assert_eq!(s.quantile(900, at(0)), Some(end_of(MS)));
    (0..15).for_each(|_| s.record(50 * MS, at(0)));
    assert_eq!(s.quantile(900, at(0)), Some(end_of(MS)));
    s.record_censored(0, at(0));
    assert_eq!(s.quantile(900, at(0)), Some(end_of(50 * MS)));
    (0..200).for_each(|_| s.record(MS, at(0)));
    assert_eq!(s.quantile(900, at(0)), Some(end_of(MS)));
    (0..15).for_each(|_| s.record(90 * MS, at(0)));
    assert_eq!(s.quantile(1_000, at(0)), Some(end_of(90 * MS))); // another question, another answer
    (0..9).for_each(|_| s.record(90 * MS, at(0)));
    assert_eq!(s.quantile(900, at(0)), Some(end_of(50 * MS)));
    s.record(MS, at(10));
    assert_eq!(s.quantile(900, at(20)), Some(end_of(MS))); // what it was found from is forgotten
}

#[test]
fn what_is_old_fades_window_by_window() {
    let mut s = sketch(10, 1);
    s.record(MS, at(100));
    assert_eq!(s.snapshot().ended, 1);
    s.record(2 * MS, at(109));
    s.record(3 * MS, at(110));
    assert_eq!(s.snapshot().ended, 3);
    assert_eq!(s.quantile(1, at(119)), Some(end_of(MS)));
    // The second window began when the first was over, not when somebody came.
    assert_eq!(s.quantile(1, at(120)), Some(end_of(3 * MS)));
    assert_eq!(s.quantile(1, at(129)), Some(end_of(3 * MS)));
    assert_eq!(s.quantile(1, at(130)), None);
    assert_eq!(s.snapshot(), LatencySnapshot { ended: 0, censored: 0 });
    s.record(MS, at(200));
    assert_eq!(s.quantile(1, at(209)), Some(end_of(MS)));
    assert_eq!(s.quantile(1, at(219)), Some(end_of(MS)));
    assert_eq!(s.quantile(1, at(220)), None);
    s.record(MS, at(230));
    assert_eq!(s.quantile(1, at(9_000)), None);
}

#[test]
fn a_clock_that_steps_back_keeps_nothing_for_ever() {
    let mut s = sketch(10, 1);
    s.record(MS, at(1_000));
    assert_eq!(s.quantile(1, at(5)), Some(end_of(MS)));
    assert_eq!(s.quantile(1, at(24)), Some(end_of(MS)));
    assert_eq!(s.quantile(1, at(25)), None);
    s.record(MS, Instant::MAX);
    assert_eq!(s.quantile(1, Instant::MAX), Some(end_of(MS)));
}

#[test]
fn a_full_window_ends_early() {
    let mut s = sketch(1_000, 1);
    (0..32_767).for_each(|_| s.record(MS, at(0)));
    assert_eq!(s.snapshot().ended, 32_767);
    (0..32_767).for_each(|_| s.record(u64::MAX, at(900)));
    assert_eq!(s.snapshot().ended, 65_534);
    assert_eq!(s.quantile(500, at(900)), Some(end_of(MS)));
    assert_eq!(s.quantile(501, at(900)), Some(Bound::AtLeast(1 << 37)));
    assert_eq!(s.quantile(501, at(1_899)), s.quantile(501, at(900)));
    (0..32_767).for_each(|_| s.record_censored(MS, at(1_000)));
    assert_eq!(s.snapshot(), LatencySnapshot { ended: 32_767, censored: 32_767 });
    s.record(MS, at(1_000));
    assert_eq!(s.snapshot(), LatencySnapshot { ended: 1, censored: 32_767 });
}

#[test]
fn nonsense_is_refused_by_name() {
    let builder = LatencyConfig::builder;
    assert_eq!(builder().build(), Ok(LatencyConfig::DEFAULT));
    assert_eq!(builder().window(Duration::ZERO).build().unwrap_err().setting, "window");
    assert_eq!(builder().minimum(0).build().unwrap_err().setting, "minimum");
    assert_eq!(builder().minimum(32_768).build().unwrap_err().setting, "minimum");
    assert!(builder().minimum(32_767).window(Duration::MAX).build().is_ok());
}
