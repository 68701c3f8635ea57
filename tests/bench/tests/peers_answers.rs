//! What the notes beside the numbers say about the peers' answers, as it was seen; and that all of them give the
//! answer that is measured.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test may panic")]

use core::num::NonZeroU32;
use core::task::{Context, Waker};
use core::time::Duration;
use std::sync::Mutex;
use std::thread::{scope, sleep};
use std::time::Instant;

use backon::{BackoffBuilder, ExponentialBuilder};
use failsafe::CircuitBreaker as _;
use fusebox_bench::entries;
use layered::{Execute, Service as _, Stack};
use recloser::Recloser;
use reliakit::backoff::{Backoff as Delays, full_jitter};
use reliakit::circuit::RollingBreaker;
use seatbelt::breaker::Breaker;
use seatbelt::{RecoveryInfo, ResilienceContext};
use tick::Clock;
use tokio::runtime::{Builder, Runtime};
use tokio_retry2::strategy::{ExponentialFactorBackoff, jitter_with_bounds};
use tower::retry::backoff::{Backoff as _, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff as _};
use tower::util::rng::HasherRng;
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, CircuitState};
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_retry::{ExponentialRandomBackoff, IntervalFunction as _};

const HOUR: Duration = Duration::from_hours(1);
/// How often each of two threads asks or reports.
const EACH: u32 = 10_000;
/// Where threads have to meet by chance, for how long they may try.
const PATIENCE: Duration = Duration::from_mins(1);

const FIRST: Duration = Duration::from_millis(50);
const CAP: Duration = Duration::from_secs(5);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
}

/// Two threads do it so often at once: how often it was true.
fn both(times: u32, once: impl Fn() -> bool + Sync) -> u32 {
    let count = || (0..times).map(|_| u32::from(once())).sum::<u32>();
    scope(|scope| {
        let other = scope.spawn(count);
        count() + other.join().unwrap()
    })
}

#[test]
fn each_gives_the_answer_that_is_measured() {
    for entry in entries() {
        for &threads in entry.threads {
            let _ = entry.time(1_000, threads);
        }
    }
}

mod breakers {
    use super::*;

    /// The first failure too many is the one that opens it: none of those before, reported at once by two threads, was
    /// lost or counted twice.
    #[test]
    fn two_threads_lose_no_outcome_of_failsafe() {
        let policy = failsafe::failure_policy::consecutive_failures(2 * EACH + 1, failsafe::backoff::constant(HOUR));
        let breaker = failsafe::Config::new().failure_policy(policy).build();
        let fail = || matches!(breaker.call(|| Err::<(), _>(())), Err(failsafe::Error::Inner(())));
        assert_eq!(both(EACH, fail), 2 * EACH);
        assert!(breaker.is_call_permitted());
        assert!(fail());
        assert!(!breaker.is_call_permitted());
    }

    #[test]
    fn two_threads_lose_no_outcome_of_recloser() {
        let breaker = Recloser::custom().error_rate(1.0).closed_len(2 * EACH as usize).open_wait(HOUR).build();
        let fail = || matches!(breaker.call(|| Err::<(), _>(())), Err(recloser::Error::Inner(())));
        assert_eq!(both(EACH, fail), 2 * EACH);
        assert!(fail());
        assert!(!fail());
    }

    #[test]
    fn two_threads_lose_no_outcome_of_seatbelt() {
        let runtime = runtime();
        let context = ResilienceContext::<bool, Result<(), bool>>::new(&{
            let _context = runtime.enter();
            Clock::new_tokio()
        });
        let breaker = Breaker::layer("breaker", &context)
            .recovery_with(|_, _| RecoveryInfo::retry())
            .rejected_input_error(|_, _| false)
            .failure_threshold(0.5)
            .min_throughput(2 * EACH + 1)
            .break_duration(HOUR);
        let service = (breaker, Execute::new(async |_| Err(true))).into_service();
        let ran = || runtime.block_on(service.execute(true)) == Err(true);
        assert_eq!(both(EACH, ran), 2 * EACH);
        assert!(ran());
        assert!(!ran());
    }

    #[test]
    fn two_threads_lose_no_outcome_of_tower_resilience() {
        let runtime = runtime();
        let layer = CircuitBreakerLayer::builder().consecutive_failures(2 * EACH as usize + 1).build().unwrap();
        let breaker = layer.layer(service_fn(async |()| Err::<(), _>(())));
        let fail = || runtime.block_on(breaker.clone().oneshot(())).is_err() && !breaker.is_open();
        assert_eq!(both(EACH, fail), 2 * EACH);
        assert!(!fail());
        assert!(breaker.is_open());
    }

    #[test]
    fn of_a_millisecond_failsafe_sees_the_first_outcome_only() {
        let policy = || {
            let delays = failsafe::backoff::constant(HOUR);
            failsafe::failure_policy::success_rate_over_time_window(0.5, 20, Duration::from_secs(1), delays)
        };
        let blind = failsafe::Config::new().failure_policy(policy()).build();
        let seeing = failsafe::Config::new().failure_policy(policy()).build();
        for _ in 0..1_500 {
            sleep(Duration::from_millis(1));
            blind.call(|| Ok::<_, ()>(())).unwrap();
            for _ in 0..20 {
                assert!(blind.call(|| Err::<(), _>(())).is_err());
            }
            let _ = seeing.call(|| Err::<(), _>(()));
        }
        assert!(blind.is_call_permitted(), "20 of 21 failed, for longer than the window");
        assert!(!seeing.is_call_permitted(), "where each outcome has a millisecond of its own, it opens");
    }

    #[test]
    fn recloser_judges_after_one_more_than_its_window_and_opens_on_a_success() {
        let breaker = Recloser::custom().error_rate(0.5).closed_len(100).open_wait(HOUR).build();
        for _ in 0..100 {
            assert!(matches!(breaker.call(|| Err::<(), _>(())), Err(recloser::Error::Inner(()))));
        }
        assert_eq!(breaker.call(|| Ok::<_, ()>(1)).unwrap(), 1);
        assert!(matches!(breaker.call(|| Ok::<_, ()>(1)), Err(recloser::Error::Rejected)));
    }

    #[test]
    fn the_window_of_tower_resilience_has_no_end() {
        let layer = CircuitBreakerLayer::builder()
            .sliding_window_size(100)
            .failure_rate_threshold(0.5)
            .minimum_number_of_calls(20)
            .build();
        let breaker = layer.unwrap().layer(service_fn(async |fails| if fails { Err(()) } else { Ok(()) }));
        runtime().block_on(async {
            for call in 0..11_000 {
                let _ = breaker.clone().oneshot(call >= 10_000).await;
            }
            let seen = breaker.metrics().await;
            assert_eq!((seen.state, seen.total_calls, seen.failure_count), (CircuitState::Closed, 11_000, 1_000));
        });
    }

    /// The same load opens a window of 100.
    #[test]
    fn the_window_of_reliakit_is_one() {
        let mut breaker = RollingBreaker::<100>::new(50, 1);
        (0..10_000).for_each(|_| breaker.on_success());
        (0..49).for_each(|_| breaker.on_failure(0));
        assert!(breaker.allow(0));
        breaker.on_failure(0);
        assert!(!breaker.allow(0));
    }

    #[test]
    fn seatbelt_counts_over_a_span_of_time() {
        let runtime = runtime();
        let _context = runtime.enter();
        let context = ResilienceContext::<bool, Result<(), u32>>::new(Clock::new_tokio());
        let breaker = Breaker::layer("breaker", &context)
            .recovery_with(|answer, _| if answer.is_ok() { RecoveryInfo::never() } else { RecoveryInfo::retry() })
            .rejected_input_error(|_, _| 2)
            .failure_threshold(0.5)
            .min_throughput(20)
            .sampling_duration(30 * Duration::from_secs(1));
        let service = (breaker, Execute::new(async |fails| if fails { Err(1) } else { Ok(()) })).into_service();
        runtime.block_on(async {
            for _ in 0..1_000 {
                service.execute(false).await.unwrap();
            }
            for _ in 0..200 {
                assert_eq!(service.execute(true).await, Err(1));
            }
        });
    }

    #[test]
    fn of_two_that_tower_resilience_refuses_one_sleeps() {
        let runtime = runtime();
        let (layer, handle) = CircuitBreakerLayer::builder().wait_duration_in_open(HOUR).build_with_handle().unwrap();
        runtime.block_on(handle.force_open());
        let breaker = Mutex::new(layer.layer(service_fn(async |()| Ok::<_, ()>(()))));
        let sleeps = || {
            let _context = runtime.enter();
            let mut own = breaker.lock().unwrap().clone();
            own.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending()
        };
        let began = Instant::now();
        let mut slept = 0;
        while slept == 0 && began.elapsed() < PATIENCE {
            slept = both(EACH, sleeps);
        }
        assert!(slept > 0, "it has nothing to wait for: the answer is no");
    }
}

mod limiters {
    use super::*;

    const BURST: u32 = EACH;

    /// More are asked for than there are, and none comes back within the hour.
    fn assert_exact(who: &str, once: impl Fn() -> bool + Sync) {
        assert_eq!(both(BURST, once), BURST, "{who}");
    }

    #[test]
    fn two_threads_get_what_there_is_and_no_more() {
        let quota = governor::Quota::with_period(HOUR).unwrap().allow_burst(NonZeroU32::new(BURST).unwrap());
        let limiter = governor::RateLimiter::direct(quota);
        assert_exact("governor", || limiter.check().is_ok());

        let burst = u64::from(BURST);
        let limiter = ratelimit::Ratelimiter::builder(1).period(HOUR).max_tokens(burst).initial_available(burst);
        let limiter = limiter.build().unwrap();
        assert_exact("ratelimit", || limiter.try_wait().is_ok());

        let limiter = leaky_bucket(BURST as usize, 1, HOUR, true);
        assert_exact("leaky-bucket", || limiter.try_acquire(1));

        let limiter = Mutex::new(reliakit::ratelimit::RateLimiter::new(burst, 1, HOUR.as_secs()));
        assert_exact("reliakit", || limiter.lock().unwrap().try_acquire_one(0));
    }

    #[test]
    fn clones_of_the_limiter_of_tower_resilience_share_its_tokens() {
        let runtime = runtime();
        let layer = RateLimiterLayer::builder()
            .limit_for_period(1)
            .refresh_period(HOUR)
            .burst_size(BURST as usize - 1)
            .timeout_duration(Duration::ZERO)
            .build();
        let limiter = layer.unwrap().layer(service_fn(async |()| Ok::<_, ()>(())));
        assert_exact("tower-resilience", || {
            drop(limiter.clone().call(())); // never polled, so it takes none
            runtime.block_on(limiter.clone().oneshot(())).is_ok()
        });
    }

    fn leaky_bucket(burst: usize, refill: usize, interval: Duration, fair: bool) -> leaky_bucket::RateLimiter {
        leaky_bucket::RateLimiter::builder()
            .max(burst)
            .initial(burst)
            .refill(refill)
            .interval(interval)
            .fair(fair)
            .build()
    }

    /// Fills up once a millisecond; once two threads have got in each other's way, never again.
    #[test]
    fn two_threads_stop_a_leaky_bucket_that_is_not_fair() {
        let stops = |fair| {
            let limiter = leaky_bucket(1_000, 1_000, Duration::from_millis(1), fair);
            let began = Instant::now();
            let mut granted = true;
            while granted && began.elapsed() < if fair { Duration::from_secs(2) } else { PATIENCE } {
                both(2 * EACH, || limiter.try_acquire(1));
                sleep(Duration::from_millis(100));
                granted = limiter.try_acquire(1);
            }
            !granted
        };
        assert!(stops(false));
        assert!(!stops(true));
    }
}

mod delays {
    use super::*;

    fn longest(schedule: impl Fn() -> Vec<Duration>) -> Duration {
        (0..1_000).flat_map(|_| schedule()).max().unwrap()
    }

    #[test]
    fn two_jitter_after_the_cap() {
        let backon =
            ExponentialBuilder::new().with_min_delay(FIRST).with_max_delay(CAP).with_max_times(10).with_jitter();
        let tower_resilience = ExponentialRandomBackoff::new(FIRST, 1.0).unwrap().max_interval(CAP);
        let over = 3 * CAP / 2..=2 * CAP;
        assert!(over.contains(&longest(|| backon.build().collect())));
        assert!(over.contains(&longest(|| (0..10).map(|attempt| tower_resilience.next_interval(attempt)).collect())));
    }

    #[test]
    fn the_others_keep_the_cap() {
        let tokio_retry2 = ExponentialFactorBackoff::from_millis(50, 2.0).max_delay(CAP);
        let jittered = || tokio_retry2.clone().map(jitter_with_bounds(0.0, 1.0)).take(10).collect();
        let reliakit = Delays::exponential(FIRST, 2).with_max_delay(CAP).with_max_retries(10);
        let within = CAP / 2..=CAP;
        assert!(within.contains(&longest(jittered)));
        assert!(
            within.contains(&longest(|| {
                reliakit.delays().map(|delay| full_jitter(delay, fastrand::u32(..))).collect()
            }))
        );
    }

    /// Its retry clones the policy per request, and with it the random numbers to come.
    #[test]
    fn each_request_of_tower_draws_the_same_jitter() {
        let runtime = runtime();
        let _context = runtime.enter();
        let policy = || ExponentialBackoffMaker::new(FIRST, CAP, 0.99, HasherRng::new()).unwrap().make_backoff();
        let request =
            |mut own: ExponentialBackoff| [(); 6].map(|()| own.next_backoff().deadline() - tokio::time::Instant::now());
        let alike = |one: [Duration; 6], other: [Duration; 6]| {
            one.iter().zip(&other).all(|(one, other)| one.abs_diff(*other) < FIRST / 10)
        };
        let one = policy();
        assert!(alike(request(one.clone()), request(one.clone())));
        assert!(!alike(request(one), request(policy())), "only another policy has other numbers");
    }
}
