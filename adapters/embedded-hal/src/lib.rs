//! fusebox for embedded-hal: blocking calls that wait with [`DelayNs`].
//!
//! ```
//! use core::cell::RefCell;
//! use fusebox_drive::Pipeline;
//! use fusebox_embedded_hal::DelayTimer;
//! use fusebox_embedded_hal::fusebox::{Clock, Entropy, Instant, RetryPolicy, Shared};
//!
//! # struct SysTick; impl Clock for SysTick { fn now(&self) -> Instant { Instant::EPOCH } }
//! # struct Delay; impl embedded_hal::delay::DelayNs for Delay { fn delay_ns(&mut self, _ns: u32) {} }
//! // `SysTick` is the board's clock, `Delay` its HAL's delay.
//! let sensor = Pipeline::new(DelayTimer::new(SysTick, Delay), Shared::new(RefCell::new(())), RetryPolicy::ONCE, Entropy::new(7));
//! assert_eq!(sensor.call_blocking(|_attempt| Ok::<_, ()>(21)), Ok(21));
//! ```
#![no_std]
#![forbid(unsafe_code)]

use core::cell::RefCell;
use core::time::Duration;

pub use fusebox_drive::{self as drive, fusebox};

use embedded_hal::delay::DelayNs;
use fusebox::{Clock, Instant};
use fusebox_drive::blocking::BlockingTimer;

/// A board's clock and its HAL's delay, made into what a blocking pipeline waits with.
#[derive(Debug)]
pub struct DelayTimer<C, D> {
    clock: C,
    delay: RefCell<D>,
}

impl<C: Clock, D: DelayNs> DelayTimer<C, D> {
    /// Waits with `delay` until `clock` shows the time.
    pub const fn new(clock: C, delay: D) -> Self {
        Self { clock, delay: RefCell::new(delay) }
    }
}

impl<C: Clock, D> Clock for DelayTimer<C, D> {
    #[inline]
    fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl<C: Clock, D: DelayNs> BlockingTimer for DelayTimer<C, D> {
    /// Waits in slices of at most 4 s, what a 32-bit count of nanoseconds holds.
    fn wait(&self, duration: Duration) {
        // Busy only if the delay itself came back here; then the clock decides anyway.
        if let Ok(mut delay) = self.delay.try_borrow_mut() {
            delay.delay_ns(u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX));
        }
    }
}
