//! SPI.

use embedded_hal::spi::{Error, ErrorKind, ErrorType, Operation, SpiDevice};
use embedded_hal_async::spi::SpiDevice as AsyncSpiDevice;
use fusebox::{Clock, Outcome, SharedGate};

use crate::{Guarded, GuardedError, Judge};

/// Every SPI error is a failure, except an overrun: then the controller was too slow. A device that is not there is no
/// error on SPI: it reads as all ones or zeros, and only its driver can tell.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SpiKinds;

impl<E: Error> Judge<E> for SpiKinds {
    fn judge(&self, error: &E) -> Outcome {
        if error.kind() == ErrorKind::Overrun { Outcome::Ignored } else { Outcome::Failure }
    }
}

impl<D, G, C> Guarded<D, G, C, SpiKinds> {
    /// A device on an SPI bus behind `gate`.
    pub const fn spi(device: D, gate: G, clock: C) -> Self {
        Self::new(device, gate, clock, SpiKinds)
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

impl<W: Copy + 'static, D, G, C, J> SpiDevice<W> for Guarded<D, G, C, J>
where
    D: SpiDevice<W>,
    G: SharedGate,
    C: Clock,
    J: Judge<D::Error>,
{
    fn transaction(&mut self, operations: &mut [Operation<'_, W>]) -> Result<(), Self::Error> {
        self.run(|device| device.transaction(operations))
    }

    fn read(&mut self, words: &mut [W]) -> Result<(), Self::Error> {
        self.run(|device| device.read(words))
    }

    fn write(&mut self, words: &[W]) -> Result<(), Self::Error> {
        self.run(|device| device.write(words))
    }

    fn transfer(&mut self, read: &mut [W], write: &[W]) -> Result<(), Self::Error> {
        self.run(|device| device.transfer(read, write))
    }

    fn transfer_in_place(&mut self, words: &mut [W]) -> Result<(), Self::Error> {
        self.run(|device| device.transfer_in_place(words))
    }
}

impl<W: Copy + 'static, D, G, C, J> AsyncSpiDevice<W> for Guarded<D, G, C, J>
where
    D: AsyncSpiDevice<W>,
    G: SharedGate,
    C: Clock,
    J: Judge<D::Error>,
{
    async fn transaction(&mut self, operations: &mut [Operation<'_, W>]) -> Result<(), Self::Error> {
        self.attend(async |device| device.transaction(operations).await).await
    }

    async fn read(&mut self, words: &mut [W]) -> Result<(), Self::Error> {
        self.attend(async |device| device.read(words).await).await
    }

    async fn write(&mut self, words: &[W]) -> Result<(), Self::Error> {
        self.attend(async |device| device.write(words).await).await
    }

    async fn transfer(&mut self, read: &mut [W], write: &[W]) -> Result<(), Self::Error> {
        self.attend(async |device| device.transfer(read, write).await).await
    }

    async fn transfer_in_place(&mut self, words: &mut [W]) -> Result<(), Self::Error> {
        self.attend(async |device| device.transfer_in_place(words).await).await
    }
}
