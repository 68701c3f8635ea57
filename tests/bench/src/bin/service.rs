//! A service with one dependency, called bare and through the full pipeline: what `service.sh` puts under wrk.
//!
//! `/bare/ready` and `/guarded/ready` call a dependency in the same process, which answers at once: nothing hides what the
//! pipeline costs. `/bare/http` and `/guarded/http` call one over HTTP on loopback, through the demo's client: connections
//! are kept, and each guarded call arms a timer. `/snapshot` tells what the pipelines have seen.

use std::convert::Infallible;
use std::error::Error;
use std::future::{self, Future, IntoFuture};
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use fusebox_tokio::fusebox::budget::Credit;
use fusebox_tokio::fusebox::{
    Backoff, BreakerConfig, BudgetConfig, Clock, FailureRate, Jitter, Quota, RetryBudget, RetryPolicy, Shared,
    TimeWindow, checked, sync,
};
use fusebox_tokio::{NoTurns, TokioTimer, drive, entropy, share};
use reqwest::{Client, Url};
use tokio::net::TcpListener;

type Rate = FailureRate<TimeWindow<10>>;
type Gates = (sync::Breaker<Rate>, sync::TokenBucket, sync::Bulkhead);
type Pipeline = drive::Pipeline<TokioTimer, Gates, NoTurns, Arc<Shared<Mutex<RetryBudget>>>>;
type Answer = Result<Bytes, StatusCode>;

/// Opens when half of the calls of the last 10 s failed.
const BREAKER: BreakerConfig<Rate> =
    checked!(BreakerConfig::builder(checked!(Rate::within(Duration::from_secs(10), 500, 20))).build());
/// Neither is ever reached: a refusal costs less than a call.
const QUOTA: Quota = checked!(Quota::per_second(10_000_000));
const PLACES: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
/// The demo's.
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
/// What a call pays into the budget, and what is there before the first.
const DEPOSIT_PERMILLE: u32 = 200;
const FLOOR: u32 = 100;
const BUDGET: BudgetConfig =
    checked!(BudgetConfig::builder().deposit_permille(DEPOSIT_PERMILLE).floor(10, FLOOR).build());

struct Service {
    http: Client,
    dependency: Url,
    ready: Pipeline,
    over_http: Pipeline,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dependency = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", listener.local_addr()?);
    let service = Arc::new(Service {
        http: http()?,
        dependency: Url::parse(&format!("http://{}/", dependency.local_addr()?))?,
        ready: pipeline(),
        over_http: pipeline(),
    });
    tokio::spawn(axum::serve(dependency, Router::new().route("/", get(async || FINE))).into_future());
    Ok(axum::serve(listener, routes(service)).await?)
}

fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/bare/ready", get(async |State(_): State<Arc<Service>>| answer(ready().await)))
        .route("/guarded/ready", get(async |State(s): State<Arc<Service>>| answer(s.ready.call(|_| ready()).await)))
        .route("/bare/http", get(async |State(s): State<Arc<Service>>| answer(s.request().await)))
        .route(
            "/guarded/http",
            get(async |State(s): State<Arc<Service>>| answer(s.over_http.call(|_| s.request()).await)),
        )
        .route("/snapshot", get(async |State(s): State<Arc<Service>>| s.snapshot()))
        .with_state(service)
}

fn answer<E>(outcome: Result<Bytes, E>) -> Answer {
    outcome.map_err(|_| StatusCode::BAD_GATEWAY)
}

const FINE: &str = "fine\n";

fn ready() -> impl Future<Output = Result<Bytes, Infallible>> {
    future::ready(Ok(Bytes::from_static(FINE.as_bytes())))
}

impl Service {
    async fn request(&self) -> reqwest::Result<Bytes> {
        self.http.get(self.dependency.clone()).send().await?.error_for_status()?.bytes().await
    }

    fn snapshot(&self) -> String {
        format!("ready: {}\nhttp: {}\n", told(&self.ready), told(&self.over_http))
    }
}

/// What a pipeline has seen. The budget knows the number of all calls, as long as no retry has used up its floor.
fn told(pipeline: &Pipeline) -> String {
    let now = pipeline.timer().now();
    let (breaker, bucket, bulkhead) = pipeline.gate();
    let breaker = breaker.snapshot(now);
    let (failed, recent) = breaker.counts.failed.map_or((0, 0), |rate| (rate.bad, rate.calls));
    let budget = pipeline.budget().with(|budget| budget.snapshot(now));
    let paid = budget.deposited.billionths() - Credit::from_permille(u64::from(FLOOR) * 1_000).billionths();
    let calls = paid.checked_div(Credit::from_permille(DEPOSIT_PERMILLE.into()).billionths()).unwrap_or(0);
    format!(
        "{calls} calls; breaker {}, {} trips, {} refused, {failed} of the last {recent} failed; {} tokens; {} in flight; \
         {} spent on retries",
        breaker.state,
        breaker.trips,
        breaker.refused,
        bucket.available(now),
        bulkhead.in_flight(),
        budget.spent,
    )
}

fn pipeline() -> Pipeline {
    let gates = (sync::Breaker::new(BREAKER), sync::TokenBucket::new(QUOTA), sync::Bulkhead::new(PLACES));
    let budget = share(RetryBudget::new(BUDGET));
    drive::Pipeline::new(TokioTimer::new(), gates, RETRY, entropy()).with_budget(budget)
}

/// The demo's client.
fn http() -> reqwest::Result<Client> {
    // The first provider stays; there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent("fusebox-bench").build()
}
