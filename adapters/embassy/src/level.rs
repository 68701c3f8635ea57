//! A queue that a task drains.

use core::fmt;
use core::future::Future;

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::signal::Signal;
use fusebox_drive::fusebox::{LevelConfig, LevelingQueue};
use fusebox_drive::{Bell, Drainer};

use crate::{EmbassyLock, EmbassyTimer};

/// Wakes the task that drains a queue. One at a time: two would wake each other without end.
pub struct SignalBell<M: RawMutex>(Signal<M, ()>);

impl<M: RawMutex> SignalBell<M> {
    /// A bell that has not rung.
    #[must_use]
    pub const fn new() -> Self {
        Self(Signal::new())
    }
}

impl<M: RawMutex> fmt::Debug for SignalBell<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalBell").finish_non_exhaustive()
    }
}

impl<M: RawMutex> Default for SignalBell<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: RawMutex> Bell for SignalBell<M> {
    fn ring(&self) {
        self.0.signal(());
    }

    fn heard(&self) -> impl Future<Output = ()> {
        self.0.wait()
    }
}

/// A queue with `N` places for items of `C` classes, pushed to by tasks and interrupts and drained by one task. `M`
/// says who shares it: `CriticalSectionRawMutex` if an interrupt pushes.
pub type Leveler<M, I, const N: usize, const C: usize = 1> =
    Drainer<EmbassyTimer, EmbassyLock<M, LevelingQueue<I, N, C>>, SignalBell<M>>;

/// An empty queue, for a `static`.
///
/// ```
/// use core::time::Duration;
///
/// use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
/// use fusebox_embassy::fusebox::queue::{LevelConfig, Overflow, Terms};
/// use fusebox_embassy::fusebox::{Quota, checked};
/// use fusebox_embassy::{Leveler, leveler};
///
/// /// Samples for a radio that may send two a second; the newest matter most.
/// static SAMPLES: Leveler<CriticalSectionRawMutex, u16, 8> = leveler(checked!(
///     LevelConfig::builder()
///         .rate(checked!(checked!(Quota::per_second(2)).with_burst(1)))
///         .max_wait(Duration::from_secs(30))
///         .overflow(Overflow::DropOldest)
///         .build()
/// ));
///
/// fn adc_interrupt(sample: u16) {
///     // What had to give way to it is of no use any more.
///     let _displaced = SAMPLES.try_push(sample, Terms::NONE);
/// }
///
/// async fn radio_task() {
///     SAMPLES.run(|sample| send(sample.item), |_too_old| {}).await;
/// }
/// # async fn send(_: u16) {}
/// # adc_interrupt(1);
/// # assert_eq!(SAMPLES.snapshot().len, 1);
/// ```
#[must_use]
pub const fn leveler<M: RawMutex, I, const N: usize, const C: usize>(config: LevelConfig) -> Leveler<M, I, N, C> {
    Drainer::new(EmbassyTimer, EmbassyLock::new(LevelingQueue::new(config)), SignalBell::new())
}
