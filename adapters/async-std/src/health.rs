//! Health that tasks report to.

use std::sync::Mutex;

use fusebox_drive::Monitor;
use fusebox_drive::fusebox::Health;
use fusebox_drive::fusebox::health::Component;

use crate::{AsyncIoTimer, NotifyBell};

/// The health of `N` components, reported to from anywhere.
pub type HealthMonitor<const N: usize> = Monitor<AsyncIoTimer, Mutex<Health<N>>, NotifyBell>;

/// Nothing is known yet. Put it in an `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use fusebox_async_std::fusebox::checked;
/// use fusebox_async_std::fusebox::health::{Component, ProbeConfig, Status};
/// use fusebox_async_std::{HealthMonitor, entropy, monitor};
///
/// const PROBES: ProbeConfig = checked!(ProbeConfig::builder().stagger(Duration::from_millis(10)).build());
/// let health: Arc<HealthMonitor<1>> =
///     Arc::new(monitor([checked!(Component::critical("database").probed(&PROBES).build())]));
/// async_std::task::spawn({
///     let health = Arc::clone(&health);
///     async move { health.probe(0, PROBES, entropy().draw(), ping).await }
/// });
/// let change = async_std::task::block_on(health.changed());
/// assert_eq!(change.to.status, Status::Healthy);
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// ```
#[must_use]
pub fn monitor<const N: usize>(components: [Component; N]) -> HealthMonitor<N> {
    Monitor::new(AsyncIoTimer::new(), Mutex::new(Health::new(components)), NotifyBell::default())
}
