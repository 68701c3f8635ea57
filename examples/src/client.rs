//! The two clients: the same requests, bare and guarded.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use fusebox_tokio::fusebox::{
    Backoff, Breaker, BreakerConfig, Cause, Clock, CountWindow, Entropy, FailureRate, Jitter, Quota, RetryPolicy,
    Shared, Snapshot, TokenBucket, checked,
};
use fusebox_tokio::{CallError, Class, Pipeline, TokioTimer};
use reqwest::{Client, Response, StatusCode, Url, header};

use crate::stats::{Ended, Stats};

type Gates = (Breaker<FailureRate<CountWindow<2>>>, TokenBucket);

/// What naive code sets, if anything.
const BARE_TIMEOUT: Duration = Duration::from_secs(5);
const BARE_ATTEMPTS: u32 = 4;

/// Opens when 60 % of the last 40 requests failed; half a second later one trial decides.
const BREAKER: BreakerConfig<FailureRate<CountWindow<2>>> = checked!(
    BreakerConfig::builder(checked!(FailureRate::of_last(40, 600, 40))).open_for(Duration::from_millis(500)).build()
);
const RETRY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(3)
        .backoff(
            checked!(Backoff::exponential(Duration::from_millis(50), Duration::from_millis(400)))
                .with_jitter(Jitter::Full)
        )
        .attempt_timeout(Duration::from_millis(250))
        .deadline(Duration::from_secs(1))
        .build()
);

/// Sends one call after the other to one server, in one of two ways.
pub(crate) struct Caller {
    http: Client,
    url: Url,
    guard: Option<Pipeline<Gates>>,
    pub(crate) stats: Stats,
}

impl Caller {
    /// Retries at once, up to four attempts of five seconds.
    pub(crate) fn bare(http: Client, url: Url, stats: Stats) -> Arc<Self> {
        Arc::new(Self { http, url, guard: None, stats })
    }

    /// Guarded by fusebox, with half as many requests again as calls at most.
    pub(crate) fn guarded(http: Client, url: Url, stats: Stats, rate: u32, seed: u32) -> Result<Arc<Self>> {
        let quota = Quota::per_second(rate + rate.div_ceil(2)).map_err(|error| anyhow!("{error}"))?;
        let gates = Shared::new(Mutex::new((Breaker::new(BREAKER), TokenBucket::new(quota))));
        let guard = Pipeline::new(TokioTimer::new(), gates, RETRY, Entropy::new(seed));
        Ok(Arc::new(Self { http, url, guard: Some(guard), stats }))
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// What the breaker says; the bare client has none.
    pub(crate) fn breaker(&self) -> Option<Snapshot> {
        self.guard.as_ref().map(|guard| guard.gate().with(|gates| gates.0.snapshot(guard.timer().now())))
    }

    /// Makes one call and records it.
    pub(crate) async fn call(&self) {
        let began = Instant::now();
        self.stats.began(began);
        let ended = match &self.guard {
            Some(guard) => self.call_guarded(guard).await,
            None => self.call_bare().await,
        };
        self.stats.ended(began, ended);
    }

    async fn call_guarded(&self, guard: &Pipeline<Gates>) -> Ended {
        match guard.call_with(classify, |_attempt| self.request()).await {
            Ok(response) if response.error_for_status_ref().is_ok() => Ended::Good,
            Err(CallError { cause: Cause::Refused(_), attempts: 0, .. }) => Ended::Refused,
            Ok(_) | Err(_) => Ended::Bad,
        }
    }

    async fn call_bare(&self) -> Ended {
        for _ in 0..BARE_ATTEMPTS {
            let response = tokio::time::timeout(BARE_TIMEOUT, self.request()).await;
            if matches!(response, Ok(answer) if classify(&answer) == Class::Success) {
                return Ended::Good;
            }
        }
        Ended::Bad
    }

    async fn request(&self) -> reqwest::Result<Response> {
        self.stats.requested();
        self.http.get(self.url.clone()).send().await
    }
}

/// Whose fault an answer is, and whether asking again may help.
fn classify(answer: &reqwest::Result<Response>) -> Class {
    let Ok(response) = answer else { return Class::Retry };
    match response.status() {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            retry_after(response).map_or(Class::Retry, Class::RetryAfter)
        }
        status if status.is_server_error() => Class::Retry,
        status if status.is_client_error() => Class::Ignore,
        _ => Class::Success,
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The HTTP client of both sides.
pub(crate) fn http() -> Result<Client> {
    // The first provider stays; there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent("fusebox-examples").build().context("cannot set up the HTTP client")
}

/// Asks once whether anybody is there; any answer will do.
pub(crate) async fn probe(http: &Client, url: &Url) -> Result<()> {
    let request = http.get(url.clone()).timeout(BARE_TIMEOUT).send().await;
    request.map(drop).map_err(|error| anyhow!("{url} cannot be reached: {}", anyhow!(error).root_cause()))
}
