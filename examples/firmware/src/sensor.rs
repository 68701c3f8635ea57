//! A thermometer on a bad cable.

use core::cell::Cell;
use core::future::pending;
use core::ops::Range;

use embassy_time::{Instant, Timer};

/// What its driver reports.
#[derive(Clone, Copy, Debug)]
pub enum BusError {
    /// Nobody acknowledged the address.
    Nack,
}

/// While the cable is loose, the bus hangs: nothing ever comes back.
const LOOSE_MS: Range<u64> = 1_000..2_000;

/// Stands for an asynchronous driver of an I2C thermometer.
pub struct Sensor {
    conversions: Cell<u32>,
}

impl Sensor {
    /// A sensor that works, for now.
    pub const fn new() -> Self {
        Self { conversions: Cell::new(0) }
    }

    /// Takes 4 ms; every fourth conversion is not acknowledged.
    ///
    /// # Errors
    /// [`BusError`]. Or it never returns.
    pub async fn read(&self) -> Result<u32, BusError> {
        let nth = self.conversions.get() + 1;
        self.conversions.set(nth);
        if LOOSE_MS.contains(&Instant::now().as_millis()) {
            return pending().await;
        }
        Timer::after_millis(4).await;
        if nth.is_multiple_of(4) { Err(BusError::Nack) } else { Ok(20 + nth % 5) }
    }
}
