//! fusebox for embedded-hal: devices behind a gate, and blocking calls that wait with [`DelayNs`].
//!
//! [`Guarded`] is a bus or a device of the same traits as the one it guards, so that drivers take it as it is:
//!
//! ```
//! use core::cell::RefCell;
//! use core::time::Duration;
//!
//! use embedded_hal::i2c::I2c;
//! use fusebox_embedded_hal::fusebox::{Breaker, BreakerConfig, Clock, Consecutive, Instant, Reason, Shared, checked};
//! use fusebox_embedded_hal::{Guarded, GuardedError};
//!
//! # use embedded_hal::i2c::{ErrorKind, ErrorType, NoAcknowledgeSource, Operation};
//! # struct SysTick;
//! # impl Clock for SysTick { fn now(&self) -> Instant { Instant::EPOCH } }
//! # struct NothingThere;
//! # impl ErrorType for NothingThere { type Error = ErrorKind; }
//! # impl I2c for NothingThere {
//! #     fn transaction(&mut self, _: u8, _: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
//! #         Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address))
//! #     }
//! # }
//! // `SysTick` is the board's clock, `bus` its HAL's I2C.
//! # let bus = NothingThere;
//! let breaker = Breaker::new(checked!(
//!     BreakerConfig::builder(checked!(Consecutive::new(3))).open_for(Duration::from_secs(5)).build()
//! ));
//! let mut bus = Guarded::i2c(bus, Shared::new(RefCell::new(breaker)), SysTick);
//! let mut read = || bus.read(0x48, &mut [0; 2]); // as a driver does
//! for _ in 0..3 {
//!     assert!(matches!(read(), Err(GuardedError::Device(ErrorKind::NoAcknowledge(_)))));
//! }
//! assert!(matches!(read(), Err(GuardedError::Refused(rejected)) if rejected.reason == Reason::Open));
//! ```
//!
//! Where a call is to be tried again, and wait for that, put a pipeline around it:
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
//!
//! # Features
//! `defmt`: `defmt::Format` on public types, the core's too. None is on by default.
#![no_std]
#![forbid(unsafe_code)]

mod guarded;
mod i2c;
mod io;
mod spi;

use core::cell::RefCell;
use core::time::Duration;

pub use guarded::{Guarded, GuardedError, Judge};
pub use i2c::I2cKinds;
pub use io::IoKinds;
pub use spi::SpiKinds;

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
