//! Health that tasks and interrupts report to.

use embassy_sync::blocking_mutex::raw::RawMutex;
use fusebox_drive::Monitor;
use fusebox_drive::fusebox::Health;
use fusebox_drive::fusebox::health::Component;

use crate::{EmbassyLock, EmbassyTimer, SignalBell};

/// The health of `N` components, reported to by tasks and interrupts; one task listens for changes. `M` says who shares
/// it: `CriticalSectionRawMutex` if an interrupt reports.
pub type HealthMonitor<M, const N: usize> = Monitor<EmbassyTimer, EmbassyLock<M, Health<N>>, SignalBell<M>>;

/// Nothing is known yet; for a `static`.
///
/// ```
/// use core::time::Duration;
///
/// use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
/// use fusebox_embassy::fusebox::checked;
/// use fusebox_embassy::fusebox::health::{Component, Held, ProbeConfig, Status};
/// use fusebox_embassy::{HealthMonitor, monitor};
///
/// const SAMPLING: usize = 0;
/// const MODEM: usize = 1;
/// const PROBES: ProbeConfig = checked!(ProbeConfig::builder().period(Duration::from_secs(30)).build());
/// static HEALTH: HealthMonitor<CriticalSectionRawMutex, 2> = monitor([
///     checked!(Component::task("sampling", Duration::from_secs(2)).grace(Duration::from_secs(10)).build()),
///     checked!(Component::optional("modem").probed(&PROBES).build()),
/// ]);
///
/// async fn sampling_task() {
///     loop {
///         sample().await;
///         HEALTH.check_in(SAMPLING);
///     }
/// }
///
/// async fn modem_task(entropy: u32) {
///     HEALTH.probe(MODEM, PROBES, entropy, at_ok).await;
/// }
///
/// async fn watchdog_task() {
///     let feed = |may_feed: Result<(), Held<'static>>| match may_feed {
///         Ok(()) => feed_the_dog(),
///         Err(held) => note_for_after_the_reset(held.component),
///     };
///     HEALTH.guard_watchdog(Duration::from_millis(500), feed).await;
/// }
/// # async fn sample() {}
/// # async fn at_ok() -> Result<(), ()> { Ok(()) }
/// # fn feed_the_dog() {}
/// # fn note_for_after_the_reset(_: usize) {}
/// # assert_eq!(HEALTH.check_in(SAMPLING), Some(Status::Healthy));
/// ```
#[must_use]
pub const fn monitor<M: RawMutex, const N: usize>(components: [Component; N]) -> HealthMonitor<M, N> {
    Monitor::new(EmbassyTimer, EmbassyLock::new(Health::new(components)), SignalBell::new())
}
