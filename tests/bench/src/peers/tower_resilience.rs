//! tower-resilience: everything as a layer of tower, with boxed futures.

use ::tower::{Layer, ServiceBuilder, service_fn};
use ::tower_resilience_bulkhead::BulkheadLayer;
use ::tower_resilience_circuitbreaker::{CircuitBreakerError, CircuitBreakerLayer, DefaultClassifier};
use ::tower_resilience_ratelimiter::RateLimiterLayer;
use ::tower_resilience_retry::{ExponentialRandomBackoff, IntervalFunction, RetryLayer};
use ::tower_resilience_timelimiter::{FixedTimeout, TimeLimiterLayer};
use core::time::Duration;
use std::hint::black_box;

use super::{
    ATTEMPTS, DELAYS, HOUR, IN_A_ROW, MINIMUM, OVER_CAP, PLACES, RETRY_DELAYS, SCHEDULE, SECOND, TOKENS, WINDOW,
    answered, fails, served, valid,
};
use crate::floor::ready;
use crate::{Entry, Work};

const SERVICE: &str = "tower-resilience, in a service";

pub(super) fn entries() -> Vec<Entry> {
    let answer = service_fn(|()| ready());
    vec![
        served(Work::ClosedBreaker, SERVICE, consecutive().layer(answer)),
        window(),
        open(),
        served(Work::Token, SERVICE, limiter().layer(answer)),
        served(Work::Bulkhead, SERVICE, bulkhead().layer(answer)),
        delay(),
        served(Work::Retry, "tower-resilience", retry().layer(answer)),
        served(Work::Timeout, "tower-resilience", time_limiter().layer(answer)),
        pipeline(),
        limited(),
    ]
}

pub(super) fn consecutive() -> CircuitBreakerLayer<DefaultClassifier> {
    valid(CircuitBreakerLayer::builder().consecutive_failures(IN_A_ROW as usize).wait_duration_in_open(HOUR).build())
}

/// A token bucket: what it has besides are windows.
pub(super) fn limiter() -> RateLimiterLayer {
    valid(RateLimiterLayer::burst(TOKENS as usize, 0).build())
}

fn bulkhead() -> BulkheadLayer {
    valid(BulkheadLayer::builder().max_concurrent_calls(PLACES).build())
}

fn backoff([first, cap]: [Duration; 2]) -> ExponentialRandomBackoff {
    valid(ExponentialRandomBackoff::new(first, 1.0)).max_interval(cap)
}

fn retry<E>() -> RetryLayer<(), u32, E> {
    RetryLayer::builder().max_attempts(ATTEMPTS as usize).backoff(backoff(RETRY_DELAYS)).build()
}

fn time_limiter() -> TimeLimiterLayer<FixedTimeout> {
    TimeLimiterLayer::builder().timeout_duration(SECOND).build()
}

fn window() -> Entry {
    let breaker = CircuitBreakerLayer::builder()
        .sliding_window_size(WINDOW)
        .failure_rate_threshold(0.5)
        .minimum_number_of_calls(MINIMUM as usize)
        .wait_duration_in_open(HOUR)
        .build();
    let service = valid(breaker).layer(service_fn(async |failing| if failing { Err(0) } else { ready().await }));
    answered(Work::WindowBreaker, SERVICE, service, fails, |answer| {
        !matches!(answer, Err(CircuitBreakerError::OpenCircuit))
    })
    .with_note("no window: counts from the last change of state on, so old successes outvote new failures")
}

fn open() -> Entry {
    let (breaker, handle) = valid(
        CircuitBreakerLayer::builder()
            .consecutive_failures(IN_A_ROW as usize)
            .wait_duration_in_open(HOUR)
            .build_with_handle(),
    );
    super::background().block_on(handle.force_open());
    let service = breaker.layer(service_fn(|()| ready()));
    answered(
        Work::OpenBreaker,
        SERVICE,
        service,
        |_| (),
        |answer| matches!(answer, Err(CircuitBreakerError::OpenCircuit)),
    )
    .with_note("of two that are refused at once, one sleeps for 1 ms first")
}

fn delay() -> Entry {
    let backoff = backoff(DELAYS);
    Entry::looped(Work::Delay, "tower-resilience", move |times| {
        let mut attempt = 0;
        for call in 0..times {
            if call % SCHEDULE == 0 {
                attempt = 0;
            }
            black_box(backoff.next_interval(attempt));
            attempt += 1;
        }
    })
    .with_note(OVER_CAP)
}

fn pipeline() -> Entry {
    let service = ServiceBuilder::new()
        .layer(retry())
        .layer(consecutive())
        .layer(bulkhead())
        .layer(time_limiter())
        .service_fn(|()| ready());
    served(Work::Pipeline, "tower-resilience", service)
}

fn limited() -> Entry {
    let service = ServiceBuilder::new()
        .layer(retry())
        .layer(consecutive())
        .layer(limiter())
        .layer(bulkhead())
        .layer(time_limiter())
        .service_fn(|()| ready());
    served(Work::LimitedPipeline, "tower-resilience", service)
}
