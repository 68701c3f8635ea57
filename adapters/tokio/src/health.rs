//! Health that tasks report to.

use std::sync::Mutex;

use fusebox_drive::Monitor;
use fusebox_drive::fusebox::Health;
use fusebox_drive::fusebox::health::Component;

use crate::{NotifyBell, TokioTimer};

/// The health of `N` components, reported to from anywhere.
pub type HealthMonitor<const N: usize> = Monitor<TokioTimer, Mutex<Health<N>>, NotifyBell>;

/// Nothing is known yet. Put it in an `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use fusebox_tokio::fusebox::checked;
/// use fusebox_tokio::fusebox::health::{Component, ProbeConfig, Status};
/// use fusebox_tokio::{HealthMonitor, entropy, monitor};
///
/// const RUNTIME: usize = 0;
/// const DATABASE: usize = 1;
/// const PROBES: ProbeConfig = checked!(ProbeConfig::builder().period(Duration::from_secs(5)).build());
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let health: Arc<HealthMonitor<2>> = Arc::new(monitor([
///     checked!(Component::task("runtime", Duration::from_secs(10)).build()),
///     checked!(Component::critical("database").probed(&PROBES).build()),
/// ]));
/// tokio::spawn({
///     let health = Arc::clone(&health);
///     async move { health.heartbeat(RUNTIME, Duration::from_secs(1)).await }
/// });
/// tokio::spawn({
///     let health = Arc::clone(&health);
///     async move { health.probe(DATABASE, PROBES, entropy().draw(), ping).await }
/// });
/// let change = health.changed().await; // as soon as both have been heard of
/// assert_eq!((change.from.status, change.to.status), (Status::Unknown, Status::Healthy));
///
/// // GET /livez and GET /readyz: 200 if so, else 503.
/// assert!(health.snapshot().live && health.snapshot().is_ready());
/// // GET /health: with the feature `serde` these serialize.
/// let lines: Vec<_> = health.with(|health, now| health.components(now).collect());
/// assert_eq!((lines[DATABASE].name, lines[DATABASE].status), ("database", Status::Healthy));
/// # }
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// ```
#[must_use]
pub fn monitor<const N: usize>(components: [Component; N]) -> HealthMonitor<N> {
    Monitor::new(TokioTimer::new(), Mutex::new(Health::new(components)), NotifyBell::default())
}
