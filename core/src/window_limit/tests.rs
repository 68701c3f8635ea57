use super::*;
use crate::{FixedWindow, Gate, Limiter, SlidingCounter, SlidingLog};

const SECOND: Duration = Duration::from_secs(1);

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

#[test]
fn nonsense_is_refused_by_name() {
    for count in [0, (1 << 31) + 1] {
        assert_eq!(FixedWindow::new(count, SECOND).unwrap_err().setting, "count");
        assert_eq!(SlidingCounter::new(count, SECOND).unwrap_err().setting, "count");
        assert_eq!(FixedWindow::new(1, SECOND).unwrap().with_burst(count).unwrap_err().setting, "burst");
    }
    for period in [Duration::ZERO, Duration::MAX] {
        assert_eq!(FixedWindow::new(1, period).unwrap_err().setting, "period");
        assert_eq!(SlidingCounter::new(1, period).unwrap_err().setting, "period");
        assert_eq!(SlidingLog::<1>::new(period).unwrap_err().setting, "period");
    }
}

#[test]
fn a_fixed_window_keeps_what_is_left_up_to_the_burst() {
    let window = FixedWindow::new(3, SECOND).unwrap().with_burst(5).unwrap().aligned_to(at(500));
    let mut limiter = Limiter::new(window);
    assert_eq!((limiter.drain(at(0)).count(), limiter.balance(at(0))), (5, 0));
    assert_eq!(limiter.available(at(499)), 0);
    assert_eq!(limiter.available(at(500)), 3);
    assert_eq!(limiter.available(at(1_500)), 5);
    assert_eq!(limiter.try_acquire_n(6, at(1_500)).unwrap_err(), NEVER);
    assert_eq!(limiter.reserve(6, at(1_500)).unwrap_err(), NEVER);
}

#[test]
fn a_new_window_is_as_it_says_from_the_next_line_on() {
    let window = FixedWindow::new(2, SECOND).unwrap();
    let mut limiter = Limiter::new(window);
    let ready = [0, 1, 2].map(|_| limiter.reserve(1, at(0)).unwrap().ready_at());
    assert_eq!(ready, [at(0), at(0), at(1_000)]);
    limiter.set_window(FixedWindow::new(5, Duration::from_secs(2)).unwrap(), at(0));
    assert_eq!(limiter.balance(at(999)), -1);
    assert_eq!(limiter.balance(at(1_000)), 4);
    assert_eq!(limiter.balance(at(2_999)), 4);
    assert_eq!(limiter.balance(at(3_000)), 5);
}

#[test]
fn a_reservation_of_a_window_says_when_it_would_be_granted() {
    let window = FixedWindow::new(1, SECOND).unwrap().with_max_wait(Duration::from_millis(1_500));
    let mut limiter = Limiter::new(window);
    drop([0, 1].map(|_| limiter.reserve(1, at(0)).unwrap()));
    assert_eq!(limiter.reserve(1, at(0)).unwrap_err().retry_at, Some(at(500)));
    assert_eq!(limiter.reserve_until(1, at(1_999), at(600)).unwrap_err().retry_at, Some(at(2_000)));
    assert_eq!(limiter.reserve_until(1, at(500), at(600)).unwrap_err().retry_at, None);
    assert_eq!(limiter.reserve_until(1, at(2_000), at(600)).unwrap().ready_at(), at(2_000));
}

#[test]
fn cancelled_tokens_are_counted_no_more() {
    let mut counter = Limiter::new(SlidingCounter::new(3, SECOND).unwrap());
    let first = counter.try_acquire_n(3, at(0)).unwrap();
    assert_eq!(counter.available(at(1_000)), 0);
    counter.cancel(first, at(1_000)); // of the previous window
    assert_eq!(counter.available(at(1_000)), 3);

    let mut log = Limiter::new(SlidingLog::<3>::new(SECOND).unwrap());
    let _older = log.try_acquire(at(0)).unwrap();
    let middle = log.try_acquire(at(400)).unwrap();
    let _newest = log.try_acquire(at(500)).unwrap();
    log.cancel(middle, at(600));
    assert_eq!(log.available(at(600)), 1);
    let _another = log.try_acquire(at(600)).unwrap();
    assert_eq!(log.try_acquire(at(600)).unwrap_err().retry_at, Some(at(1_000)));
}

#[test]
fn a_step_of_the_clock_does_not_mix_up_whose_tokens_are_whose() {
    let mut counter = Limiter::new(SlidingCounter::new(3, SECOND).unwrap());
    let _first = counter.try_acquire(at(10_000)).unwrap();
    let second = counter.try_acquire(at(11_000)).unwrap();
    // Back by windows exactly, so that they begin where others did.
    let _third = counter.try_acquire(at(9_000)).unwrap();
    counter.cancel(second, at(9_000));
    assert_eq!(counter.available(at(9_000)), 0);

    let mut log = Limiter::new(SlidingLog::<2>::new(SECOND).unwrap());
    let first = log.try_acquire(at(10_000)).unwrap();
    let _second = log.try_acquire(at(12_000)).unwrap();
    assert_eq!(log.available(at(10_000)), 1); // the second one's instant is now the first one's
    drop(log.try_acquire(at(10_000)).unwrap());
    log.cancel(first, at(10_000));
    assert_eq!(log.available(at(10_000)), 0);
}
