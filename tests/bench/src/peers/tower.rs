//! tower: its own layers.

use core::time::Duration;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use ::tokio::time::Sleep;
use ::tower::buffer::Buffer;
use ::tower::limit::RateLimit;
use ::tower::limit::rate::Rate;
use ::tower::retry::Policy;
use ::tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use ::tower::util::rng::HasherRng;
use ::tower::{Service, ServiceBuilder, service_fn};

use super::{
    ATTEMPTS, DELAYS, PLACES, RETRY_DELAYS, SCHEDULE, SECOND, TOKENS, awaited, background, served, sure,
    tower_resilience, valid,
};
use crate::floor::ready;
use crate::{Entry, Work};

pub(super) fn entries() -> Vec<Entry> {
    vec![locked_token(), buffered_token(), bulkhead(), delay(), retry(), timeout(), pipeline(), limited()]
}

/// An error as tower's layers want it.
#[derive(Debug)]
struct Failed;

impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("failed")
    }
}

impl core::error::Error for Failed {}

async fn answer((): ()) -> Result<u32, Failed> {
    ready().await.map_err(|_| Failed)
}

/// It has no `Clone`.
fn rate_limit() -> RateLimit<impl Service<(), Response = u32, Error = Failed, Future: Send> + Clone + Send + 'static> {
    let _context = background().enter();
    RateLimit::new(service_fn(answer), Rate::new(u64::from(TOKENS), SECOND))
}

fn locked_token() -> Entry {
    awaited(Work::Token, "tower in a std Mutex", Mutex::new(rate_limit()), async |limiter, _| {
        let call = core::future::poll_fn(|context| {
            let mut limiter = limiter.lock().unwrap_or_else(PoisonError::into_inner);
            limiter.poll_ready(context).map_ok(|()| limiter.call(()))
        });
        sure(match call.await {
            Ok(call) => call.await.is_ok(),
            Err(_) => false,
        });
    })
}

fn buffered_token() -> Entry {
    let limiter = rate_limit();
    let _context = background().enter();
    served(Work::Token, "tower in its Buffer", Buffer::new(limiter, 1_024))
        .with_note("each call goes through a task and back; that is how tower shares what has no `Clone`")
}

fn bulkhead() -> Entry {
    served(Work::Bulkhead, "tower, in a service", ServiceBuilder::new().concurrency_limit(PLACES).service_fn(answer))
}

fn backoff([first, cap]: [Duration; 2]) -> ExponentialBackoffMaker {
    valid(ExponentialBackoffMaker::new(first, cap, 0.99, HasherRng::new()))
}

fn delay() -> Entry {
    let mut backoff = backoff(DELAYS);
    let first = backoff.make_backoff();
    Entry::looped(Work::Delay, "tower, with its sleep", move |times| {
        crate::entry::block_on(async {
            let mut schedule = first.clone();
            for call in 0..times {
                if call % SCHEDULE == 0 {
                    schedule = first.clone();
                }
                drop(black_box(schedule.next_backoff()));
            }
        });
    })
    .with_note("each schedule draws the same jitter again")
}

/// The policy that its docs show, with its own backoff.
#[derive(Clone)]
struct Attempts {
    left: u32,
    backoff: ExponentialBackoff,
}

impl Attempts {
    fn new() -> Self {
        Self { left: ATTEMPTS - 1, backoff: backoff(RETRY_DELAYS).make_backoff() }
    }
}

impl<T, E> Policy<(), T, E> for Attempts {
    type Future = Sleep;

    fn retry(&mut self, (): &mut (), answer: &mut Result<T, E>) -> Option<Sleep> {
        if answer.is_ok() || self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(self.backoff.next_backoff())
    }

    fn clone_request(&mut self, (): &()) -> Option<()> {
        Some(())
    }
}

fn retry() -> Entry {
    served(Work::Retry, "tower", ServiceBuilder::new().retry(Attempts::new()).service_fn(answer))
}

fn timeout() -> Entry {
    served(Work::Timeout, "tower", ServiceBuilder::new().timeout(SECOND).service_fn(answer))
}

const COMPOSED: &str = "tower with tower-resilience's breaker";

fn pipeline() -> Entry {
    let service = ServiceBuilder::new()
        .retry(Attempts::new())
        .layer(tower_resilience::consecutive())
        .concurrency_limit(PLACES)
        .timeout(SECOND)
        .service_fn(answer);
    served(Work::Pipeline, COMPOSED, service)
}

fn limited() -> Entry {
    let service = ServiceBuilder::new()
        .retry(Attempts::new())
        .layer(tower_resilience::consecutive())
        .layer(tower_resilience::limiter())
        .concurrency_limit(PLACES)
        .timeout(SECOND)
        .service_fn(answer);
    served(Work::LimitedPipeline, "tower with tower-resilience's breaker and limiter", service)
}
