//! I2C.

use embedded_hal::i2c::{AddressMode, Error, ErrorKind, ErrorType, I2c, Operation};
use embedded_hal_async::i2c::I2c as AsyncI2c;
use fusebox::{Clock, Outcome, SharedGate};

use crate::{Guarded, GuardedError, Judge};

/// Every I2C error is a failure of the device, except an overrun: then its controller was too slow.
///
/// A lost arbitration is a failure, too: with one controller on the bus it is how a line that is stuck shows, and some
/// controllers say so of a device that is missing. With several it is a matter of course: judge it as
/// [`Outcome::Ignored`]. So is no acknowledgement of a device that says so while it is busy, as EEPROMs do.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct I2cKinds;

impl<E: Error> Judge<E> for I2cKinds {
    fn judge(&self, error: &E) -> Outcome {
        if error.kind() == ErrorKind::Overrun { Outcome::Ignored } else { Outcome::Failure }
    }
}

impl<D, G, C> Guarded<D, G, C, I2cKinds> {
    /// An I2C bus, or a device's share of one, behind `gate`.
    pub const fn i2c(bus: D, gate: G, clock: C) -> Self {
        Self::new(bus, gate, clock, I2cKinds)
    }
}

impl<E: Error> Error for GuardedError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) => ErrorKind::Other,
            Self::Device(error) => error.kind(),
        }
    }
}

impl<D: ErrorType, G, C, J> ErrorType for Guarded<D, G, C, J> {
    type Error = GuardedError<D::Error>;
}

impl<A: AddressMode, D: I2c<A>, G: SharedGate, C: Clock, J: Judge<D::Error>> I2c<A> for Guarded<D, G, C, J> {
    fn read(&mut self, address: A, read: &mut [u8]) -> Result<(), Self::Error> {
        self.run(|bus| bus.read(address, read))
    }

    fn write(&mut self, address: A, write: &[u8]) -> Result<(), Self::Error> {
        self.run(|bus| bus.write(address, write))
    }

    fn write_read(&mut self, address: A, write: &[u8], read: &mut [u8]) -> Result<(), Self::Error> {
        self.run(|bus| bus.write_read(address, write, read))
    }

    fn transaction(&mut self, address: A, operations: &mut [Operation<'_>]) -> Result<(), Self::Error> {
        self.run(|bus| bus.transaction(address, operations))
    }
}

impl<A: AddressMode, D: AsyncI2c<A>, G: SharedGate, C: Clock, J: Judge<D::Error>> AsyncI2c<A> for Guarded<D, G, C, J> {
    async fn read(&mut self, address: A, read: &mut [u8]) -> Result<(), Self::Error> {
        self.attend(async |bus| bus.read(address, read).await).await
    }

    async fn write(&mut self, address: A, write: &[u8]) -> Result<(), Self::Error> {
        self.attend(async |bus| bus.write(address, write).await).await
    }

    async fn write_read(&mut self, address: A, write: &[u8], read: &mut [u8]) -> Result<(), Self::Error> {
        self.attend(async |bus| bus.write_read(address, write, read).await).await
    }

    async fn transaction(&mut self, address: A, operations: &mut [Operation<'_>]) -> Result<(), Self::Error> {
        self.attend(async |bus| bus.transaction(address, operations).await).await
    }
}
