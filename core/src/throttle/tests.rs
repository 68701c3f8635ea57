use super::*;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// Four pieces of a second.
fn builder() -> ThrottleBuilder<4> {
    ThrottleConfig::builder().window(Duration::from_secs(4)).minimum(1)
}

fn of(builder: ThrottleBuilder<4>) -> Throttle<4> {
    Throttle::new(builder.build().unwrap(), 1)
}

/// One call that is let through in any case.
fn call(throttle: &mut Throttle<4>, outcome: Outcome, now: Instant) {
    let request = throttle.try_acquire_with(u32::MAX, now).unwrap();
    throttle.release(request, outcome, now);
}

fn seen(throttle: &Throttle<4>, now: Instant) -> (u32, u32) {
    let snapshot = throttle.snapshot(now);
    (snapshot.requests, snapshot.accepts)
}

#[test]
fn nothing_is_refused_while_one_in_k_is_accepted() {
    let mut throttle = of(builder());
    for _ in 0..50 {
        call(&mut throttle, Outcome::Success, at(0));
        call(&mut throttle, Outcome::Failure, at(0));
    }
    assert_eq!((seen(&throttle, at(0)), throttle.chance_permille(at(0))), ((100, 50), 0));
    let request = throttle.try_acquire_with(0, at(0)).unwrap();
    throttle.release(request, Outcome::Failure, at(0));
    // 101 requests, 50 accepted: 1 of 102.
    assert_eq!(throttle.chance_permille(at(0)), 9);
    let limit = 42_107_522; // 2^32 / 102, rounded down
    assert!(throttle.clone().try_acquire_with(limit, at(0)).is_err());
    assert!(throttle.clone().try_acquire_with(limit + 1, at(0)).is_ok());
}

#[test]
fn a_refusal_is_a_request_and_an_outcome_is_what_it_says() {
    let mut throttle = of(builder());
    call(&mut throttle, Outcome::Unavailable { retry_at: at(9) }, at(0));
    let refused = throttle.try_acquire_with(0, at(0)).unwrap_err();
    assert_eq!(refused, Rejected { reason: Reason::Throttled, retry_at: Some(at(4_000)) });
    assert_eq!(throttle.snapshot(at(0)), ThrottleSnapshot { requests: 2, accepts: 0, refused: 1 });
    call(&mut throttle, Outcome::Ignored, at(0));
    let request = throttle.try_acquire_with(u32::MAX, at(0)).unwrap();
    throttle.cancel(request, at(0));
    assert_eq!(seen(&throttle, at(0)), (2, 0));
    call(&mut throttle, Outcome::Success, at(0));
    assert_eq!(seen(&throttle, at(0)), (3, 1));
}

#[test]
fn calls_in_flight_say_nothing_yet() {
    let mut throttle = of(builder());
    let requests = [(); 100].map(|()| throttle.try_acquire_with(0, at(0)).unwrap());
    assert_eq!(seen(&throttle, at(0)), (0, 0));
    for request in requests {
        throttle.release(request, Outcome::Success, at(9_000)); // longer than the window
    }
    assert_eq!(seen(&throttle, at(9_000)), (100, 100));
}

#[test]
fn the_maximum_and_the_minimum_hold() {
    let mut throttle = of(builder().minimum(3).at_most_permille(500));
    for _ in 0..2 {
        let request = throttle.try_acquire_with(0, at(0)).unwrap();
        throttle.release(request, Outcome::Failure, at(0));
    }
    assert_eq!(throttle.chance_permille(at(0)), 0);
    call(&mut throttle, Outcome::Failure, at(0));
    assert_eq!(throttle.chance_permille(at(0)), 500);
    assert!(throttle.clone().try_acquire_with((1 << 31) - 1, at(0)).is_err());
    assert!(throttle.clone().try_acquire_with(1 << 31, at(0)).is_ok());
}

#[test]
fn a_threshold_is_exact_where_its_inverse_is_not() {
    let mut throttle = of(builder().accept_permille(900));
    for n in 0..120 {
        call(&mut throttle, if n < 90 { Outcome::Success } else { Outcome::Failure }, at(0));
        if n == 99 {
            assert_eq!(throttle.chance_permille(at(0)), 0, "90 of 100");
            assert!(throttle.clone().try_acquire_with(0, at(0)).is_ok());
        }
    }
    assert_eq!(throttle.chance_permille(at(0)), 165); // 20 of 121
    let limit = 709_911_949; // 20 / 121 of 2^32, rounded down
    assert!(throttle.clone().try_acquire_with(limit, at(0)).is_err());
    assert!(throttle.clone().try_acquire_with(limit + 1, at(0)).is_ok());
}

#[test]
fn the_window_expires_on_read() {
    let mut throttle = of(builder());
    call(&mut throttle, Outcome::Failure, at(1_000));
    call(&mut throttle, Outcome::Success, at(2_500));
    assert_eq!(seen(&throttle, Instant::from_nanos(4_999_999_999)), (2, 1));
    assert_eq!(seen(&throttle, at(5_000)), (1, 1));
    assert_eq!(seen(&throttle, at(60_000)), (0, 0));
}

#[test]
fn retry_at_is_when_enough_is_gone() {
    let mut throttle = of(builder());
    for _ in 0..9 {
        call(&mut throttle, Outcome::Failure, at(500));
    }
    for _ in 0..2 {
        call(&mut throttle, Outcome::Success, at(2_000));
    }
    let refused = throttle.try_acquire_with(0, at(2_000)).unwrap_err();
    assert_eq!(refused.retry_at, Some(at(4_500)), "then 3 requests and 2 accepts are left");
    assert!(throttle.clone().try_acquire_with(0, Instant::from_nanos(4_499_999_999)).is_err());
    assert!(throttle.try_acquire_with(0, at(4_500)).is_ok());
}

#[test]
fn a_clock_that_steps_back_keeps_nothing_longer_than_the_window() {
    let mut throttle = of(builder());
    call(&mut throttle, Outcome::Failure, Instant::MAX);
    call(&mut throttle, Outcome::Failure, at(50));
    assert_eq!(seen(&throttle, at(4_049)), (2, 0));
    assert_eq!(seen(&throttle, at(4_050)), (0, 0));
}

#[test]
fn as_a_gate_it_repeats_with_its_seed() {
    let run = |seed| {
        let mut throttle = Throttle::<4>::new(builder().build().unwrap(), seed);
        call(&mut throttle, Outcome::Failure, at(0));
        core::array::from_fn::<bool, 64, _>(|_| throttle.try_acquire(at(0)).is_ok())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert!((1..40).contains(&run(1).iter().filter(|granted| **granted).count()));
}

#[test]
fn at_the_ends_of_numbers_nothing_wraps() {
    let mut throttle = of(builder().k_permille(u32::MAX));
    throttle.sum = Load { requests: u32::MAX, accepts: u32::MAX };
    *throttle.pieces.current_mut().unwrap() = throttle.sum;
    throttle.refused = u32::MAX;
    call(&mut throttle, Outcome::Success, at(0));
    assert_eq!(seen(&throttle, at(0)), (u32::MAX, u32::MAX));
    throttle.sum.accepts = 0;
    throttle.pieces.current_mut().unwrap().accepts = 0;
    assert_eq!(throttle.chance_permille(at(0)), 900);
    assert!(throttle.try_acquire_with(0, at(0)).is_err());
    assert_eq!(throttle.snapshot(at(0)).refused, u32::MAX);
    assert!(throttle.try_acquire_with(u32::MAX, Instant::MAX).is_ok());
}

#[test]
fn nonsense_is_refused_by_name() {
    let setting = |builder: ThrottleBuilder<4>| builder.build().unwrap_err().setting;
    assert_eq!(setting(builder().k_permille(999)), "k_permille");
    assert_eq!(setting(builder().accept_permille(0)), "k_permille");
    assert_eq!(setting(builder().accept_permille(1_001)), "k_permille");
    assert_eq!(setting(builder().minimum(0)), "minimum");
    assert_eq!(setting(builder().at_most_permille(0)), "at_most_permille");
    assert_eq!(setting(builder().at_most_permille(1_001)), "at_most_permille");
    assert_eq!(setting(builder().window(Duration::ZERO)), "window");
    assert_eq!(ThrottleConfig::<0>::builder().build().unwrap_err().setting, "window");
    assert_eq!(size_of::<Throttle<10>>(), 10 * 8 + 64);
}
