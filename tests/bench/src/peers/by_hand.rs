//! What is written by hand where no pipeline is at hand: the leanest peers, one inside the other.

use ::backon::{ExponentialBuilder, Retryable};
use ::failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use ::failsafe::futures::CircuitBreaker;
use ::failsafe::{Config, StateMachine, backoff};
use ::governor::{DefaultDirectRateLimiter, RateLimiter};
use ::tokio::sync::Semaphore;
use ::tokio::time::timeout;

use super::{HOUR, IN_A_ROW, PLACES, SECOND, awaited, sure};
use crate::floor::ready;
use crate::{Entry, Work};

struct ByHand {
    delays: ExponentialBuilder,
    breaker: StateMachine<ConsecutiveFailures<backoff::Constant>, ()>,
    limiter: Option<DefaultDirectRateLimiter>,
    places: Semaphore,
}

impl ByHand {
    fn new(limiter: Option<DefaultDirectRateLimiter>) -> Self {
        let policy = consecutive_failures(IN_A_ROW, backoff::constant(HOUR));
        let breaker = Config::new().failure_policy(policy).build();
        Self { delays: super::backon::delays(), breaker, limiter, places: Semaphore::new(PLACES) }
    }

    async fn guarded(&self) -> Result<u32, u32> {
        if self.limiter.as_ref().is_some_and(|limiter| limiter.check().is_err()) {
            return Err(0);
        }
        let _place = self.places.acquire().await.map_err(|_| 0u32)?;
        timeout(SECOND, ready()).await.unwrap_or(Err(0))
    }

    async fn call(&self) -> bool {
        (async || self.breaker.call(self.guarded()).await).retry(&self.delays).await.is_ok()
    }
}

pub(super) fn entries() -> Vec<Entry> {
    let limiter = RateLimiter::direct(super::governor::QUOTA);
    vec![
        awaited(Work::Pipeline, "backon, failsafe, tokio by hand", ByHand::new(None), async |by_hand, _| {
            sure(by_hand.call().await);
        }),
        awaited(
            Work::LimitedPipeline,
            "backon, failsafe, governor, tokio by hand",
            ByHand::new(Some(limiter)),
            async |by_hand, _| sure(by_hand.call().await),
        ),
    ]
}
