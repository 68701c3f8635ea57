//! seatbelt: layers over services, with a failure rate over a span of time.

use std::sync::Arc;

use ::governor::{DefaultDirectRateLimiter, RateLimiter};
use ::layered::{Execute, Service, Stack};
use ::seatbelt::breaker::{Breaker, BreakerLayer};
use ::seatbelt::retry::{Backoff, Retry, RetryLayer};
use ::seatbelt::timeout::{Timeout, TimeoutLayer};
use ::seatbelt::typestates::Set;
use ::seatbelt::{RecoveryInfo, ResilienceContext};
use ::tick::Clock;
use ::tokio::sync::Semaphore;

use super::{ATTEMPTS, HOUR, MINIMUM, PLACES, RETRY_DELAYS, SECOND, awaited, background, fails, sure};
use crate::floor::ready;
use crate::{Entry, Work};

type Answer = Result<u32, u32>;
/// What it answers instead of the operation.
const REFUSED: u32 = 2;

const SERVICE: &str = "seatbelt, in a service";
const COARSE: &str = "seatbelt, in a service, by its coarse clock";
const SPAN: &str = "counts over a span of time, not the last 100 calls";

pub(super) fn entries() -> Vec<Entry> {
    let coarse = || clock().with_fast_instant(true);
    vec![
        closed(SERVICE, &clock()),
        closed(COARSE, &coarse()),
        window(SERVICE, &clock()),
        window(COARSE, &coarse()),
        open(SERVICE, &clock()),
        open(COARSE, &coarse()),
        retry(),
        timeout(),
        pipeline(None),
        pipeline(Some(RateLimiter::direct(super::governor::QUOTA))),
    ]
}

fn clock() -> Clock {
    let _context = background().enter();
    Clock::new_tokio()
}

const fn recovery(answer: Answer) -> RecoveryInfo {
    if answer.is_ok() { RecoveryInfo::never() } else { RecoveryInfo::retry() }
}

fn breaking<In>(context: &ResilienceContext<In, Answer>) -> BreakerLayer<In, Answer, Set, Set> {
    Breaker::layer("breaker", context)
        .recovery_with(|answer, _| recovery(*answer))
        .rejected_input_error(|_, _| REFUSED)
        .failure_threshold(0.5)
        .min_throughput(MINIMUM)
        .sampling_duration(30 * SECOND)
        .break_duration(HOUR)
}

fn retrying(context: &ResilienceContext<(), Answer>) -> RetryLayer<(), Answer, Set, Set> {
    let [first, cap] = RETRY_DELAYS;
    Retry::layer("retry", context)
        .clone_input()
        .recovery_with(|answer, _| recovery(*answer))
        .max_retry_attempts(ATTEMPTS - 1)
        .backoff(Backoff::Exponential)
        .base_delay(first)
        .max_delay(cap)
}

fn timing(context: &ResilienceContext<(), Answer>) -> TimeoutLayer<(), Answer, Set, Set> {
    Timeout::layer("timeout", context).timeout(SECOND).timeout_error(|_| REFUSED)
}

fn breaker(clock: &Clock) -> impl Service<bool, Out = Answer> + 'static {
    let operation = Execute::new(async |failing| if failing { Err(0) } else { ready().await });
    (breaking(&ResilienceContext::new(clock)), operation).into_service()
}

fn closed(who: &'static str, clock: &Clock) -> Entry {
    awaited(Work::ClosedBreaker, who, breaker(clock), async |breaker, _| sure(breaker.execute(false).await.is_ok()))
}

fn window(who: &'static str, clock: &Clock) -> Entry {
    awaited(Work::WindowBreaker, who, breaker(clock), async |breaker, call| {
        sure(breaker.execute(fails(call)).await != Err(REFUSED));
    })
    .with_note(SPAN)
}

fn open(who: &'static str, clock: &Clock) -> Entry {
    let breaker = breaker(clock);
    background().block_on(async {
        for _ in 0..MINIMUM {
            sure(breaker.execute(true).await == Err(0));
        }
    });
    awaited(Work::OpenBreaker, who, breaker, async |breaker, _| sure(breaker.execute(false).await == Err(REFUSED)))
}

fn retry() -> Entry {
    let service = (retrying(&ResilienceContext::new(clock())), Execute::new(|()| ready())).into_service();
    awaited(Work::Retry, "seatbelt", service, async |service, _| sure(service.execute(()).await.is_ok()))
}

fn timeout() -> Entry {
    let service = (timing(&ResilienceContext::new(clock())), Execute::new(|()| ready())).into_service();
    awaited(Work::Timeout, "seatbelt", service, async |service, _| sure(service.execute(()).await.is_ok()))
}

/// What it does not have, in the operation that it guards.
struct Gates {
    limiter: Option<DefaultDirectRateLimiter>,
    places: Semaphore,
}

impl Gates {
    async fn call(self: Arc<Self>) -> Answer {
        if self.limiter.as_ref().is_some_and(|limiter| limiter.check().is_err()) {
            return Err(REFUSED);
        }
        let _place = self.places.acquire().await.map_err(|_| REFUSED)?;
        ready().await
    }
}

fn pipeline(limiter: Option<DefaultDirectRateLimiter>) -> Entry {
    let (work, who) = if limiter.is_some() {
        (Work::LimitedPipeline, "seatbelt with governor and tokio's Semaphore")
    } else {
        (Work::Pipeline, "seatbelt with tokio's Semaphore")
    };
    let gates = Arc::new(Gates { limiter, places: Semaphore::new(PLACES) });
    let operation = Execute::new(move |()| Arc::clone(&gates).call());
    let context = ResilienceContext::new(clock());
    let service = (retrying(&context), breaking(&context), timing(&context), operation).into_service();
    awaited(work, who, service, async |service, _| sure(service.execute(()).await.is_ok()))
}
