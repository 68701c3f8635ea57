//! The service: an HTTP server with few workers, a long queue, and a script of what goes wrong.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fusebox_tokio::fusebox::Instant as Moment;
use fusebox_tokio::fusebox::fault::End;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::script::Script;

/// Workers for three times the healthy load (of 20 ms a request), and two at least.
const WORKERS_PER_RATE: f64 = 0.06;
/// The queue takes the requests of so many seconds. Many servers know no limit at all.
const QUEUE_SECONDS: u32 = 8;

struct Service {
    script: Script,
    seed: u32,
    requests: AtomicU32,
    opened: Instant,
    workers: Semaphore,
    /// Places in the queue and at the workers.
    places: Semaphore,
}

/// A server that listens, and its address.
pub(crate) struct Server {
    listener: TcpListener,
    pub(crate) url: String,
}

impl Server {
    /// Takes `port` on loopback; 0 is any free one.
    pub(crate) async fn bind(port: u16) -> Result<Self> {
        let refused = || format!("cannot listen on 127.0.0.1:{port}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(refused)?;
        let url = format!("http://{}/", listener.local_addr().with_context(refused)?);
        Ok(Self { listener, url })
    }

    /// Serves in the background, from now until the program ends; the day begins at `opened`.
    pub(crate) fn open(self, script: Script, rate: u32, seed: u32, opened: Instant) {
        let service = Arc::new(Service {
            script,
            seed,
            requests: AtomicU32::new(0),
            opened,
            workers: Semaphore::new(workers(rate)),
            places: Semaphore::new(workers(rate) + (rate * QUEUE_SECONDS) as usize),
        });
        let router = axum::Router::new().route("/", get(answer)).with_state(service);
        tokio::spawn(async move { axum::serve(self.listener, router).await });
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few workers")]
pub(crate) fn workers(rate: u32) -> usize {
    (f64::from(rate) * WORKERS_PER_RATE).ceil().max(2.0) as usize
}

async fn answer(State(service): State<Arc<Service>>) -> Response {
    // In a task of its own: as in most servers, work goes on after its client has hung up. That is what keeps an
    // overloaded service down.
    tokio::spawn(service.work()).await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

impl Service {
    async fn work(self: Arc<Self>) -> Response {
        let Ok(_place) = self.places.try_acquire() else { return unavailable(Duration::from_secs(1)) };
        let Ok(_worker) = self.workers.acquire().await else { return unavailable(Duration::ZERO) };
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = self.script.phase(self.opened.elapsed()).faults.fault(self.seed, number, Moment::EPOCH);
        tokio::time::sleep(fault.at.saturating_since(Moment::EPOCH)).await;
        if fault.end == End::Answer { "fine\n".into_response() } else { unavailable(Duration::ZERO) }
    }
}

/// A 503, with a `Retry-After` unless the wait is zero.
fn unavailable(retry_after: Duration) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    if retry_after.is_zero() {
        return status.into_response();
    }
    (status, [(header::RETRY_AFTER, retry_after.as_secs().to_string())]).into_response()
}
