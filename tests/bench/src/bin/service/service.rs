//! A service with one dependency, called bare and through the full pipeline.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
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
/// The sum that was paid in tells the number of calls, because there is nothing else that pays.
const BUDGET: BudgetConfig = checked!(BudgetConfig::builder().deposit_permille(1_000).floor(0, 0).build());

/// How the dependency is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Bare,
    Guarded,
}

#[derive(Clone, Copy)]
pub(crate) enum Dependency {
    /// In the same process, and ready at once: nothing hides what the pipeline costs.
    Ready,
    /// A server on loopback, through the demo's client: connections are kept, and each guarded call arms a timer.
    Http,
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "A dependency that is ready at once",
            Self::Http => "A dependency over HTTP",
        })
    }
}

pub(crate) struct Service {
    listens: Url,
    http: Client,
    dependency: Url,
    ready: Pipeline,
    over_http: Pipeline,
}

impl Service {
    /// Serves, with its dependency, as long as the runtime runs.
    pub(crate) async fn start() -> Result<Arc<Self>, Box<dyn Error>> {
        let (dependency, listener) = (listen().await?, listen().await?);
        let service = Arc::new(Self {
            listens: url(&listener)?,
            http: http()?,
            dependency: url(&dependency)?,
            ready: pipeline(),
            over_http: pipeline(),
        });
        tokio::spawn(axum::serve(dependency, Router::new().route("/", get(async || FINE))).into_future());
        tokio::spawn(axum::serve(listener, routes(service.clone())).into_future());
        Ok(service)
    }

    pub(crate) fn url(&self, way: Way, dependency: Dependency) -> String {
        let path = match (way, dependency) {
            (Way::Bare, Dependency::Ready) => "bare/ready",
            (Way::Guarded, Dependency::Ready) => "guarded/ready",
            (Way::Bare, Dependency::Http) => "bare/http",
            (Way::Guarded, Dependency::Http) => "guarded/http",
        };
        format!("{}{path}", self.listens)
    }

    /// Asks either way once.
    pub(crate) async fn answers_alike(&self, dependency: Dependency) -> Result<(), Box<dyn Error>> {
        for way in [Way::Bare, Way::Guarded] {
            let url = self.url(way, dependency);
            let answer = self.http.get(&url).send().await?.error_for_status()?.text().await?;
            if answer != FINE {
                return Err(format!("{url} answers {answer:?}").into());
            }
        }
        Ok(())
    }

    /// How many calls the pipeline has seen.
    pub(crate) fn calls(&self, dependency: Dependency) -> u128 {
        let pipeline = match dependency {
            Dependency::Ready => &self.ready,
            Dependency::Http => &self.over_http,
        };
        pipeline.budget().with(|budget| budget.snapshot(pipeline.timer().now())).deposited.whole()
    }

    async fn request(&self) -> reqwest::Result<Bytes> {
        self.http.get(self.dependency.clone()).send().await?.error_for_status()?.bytes().await
    }
}

const FINE: &str = "fine\n";

fn ready() -> impl Future<Output = Result<Bytes, Infallible>> {
    future::ready(Ok(Bytes::from_static(FINE.as_bytes())))
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
        .with_state(service)
}

fn answer<E>(outcome: Result<Bytes, E>) -> Answer {
    outcome.map_err(|_| StatusCode::BAD_GATEWAY)
}

fn pipeline() -> Pipeline {
    let gates = (sync::Breaker::new(BREAKER), sync::TokenBucket::new(QUOTA), sync::Bulkhead::new(PLACES));
    let budget = share(RetryBudget::new(BUDGET));
    drive::Pipeline::new(TokioTimer::new(), gates, RETRY, entropy()).with_budget(budget)
}

async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

fn url(listener: &TcpListener) -> Result<Url, Box<dyn Error>> {
    Ok(Url::parse(&format!("http://{}/", listener.local_addr()?))?)
}

/// The demo's client.
fn http() -> reqwest::Result<Client> {
    // The first provider stays; there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent("fusebox-bench").build()
}
