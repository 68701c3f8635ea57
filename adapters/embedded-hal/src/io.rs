//! Streams of bytes.

use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};
use embedded_io_async::{Read as AsyncRead, Write as AsyncWrite};
use fusebox::{Clock, Outcome, SharedGate};

use crate::{Guarded, GuardedError, Judge};

/// Every error of a stream is a failure, except those that are the caller's: invalid input, unsupported, interrupted.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IoKinds;

impl<E: Error> Judge<E> for IoKinds {
    fn judge(&self, error: &E) -> Outcome {
        match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::Interrupted => Outcome::Ignored,
            _ => Outcome::Failure,
        }
    }
}

impl<D, G, C> Guarded<D, G, C, IoKinds> {
    /// A stream (a UART, a socket) behind `gate`. The end of a stream is no failure.
    pub const fn io(stream: D, gate: G, clock: C) -> Self {
        Self::new(stream, gate, clock, IoKinds)
    }
}

impl<E: Error + 'static> Error for GuardedError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) => ErrorKind::Other,
            Self::Device(error) => error.kind(),
        }
    }
}

impl<D: ErrorType<Error: 'static>, G, C, J> ErrorType for Guarded<D, G, C, J> {
    type Error = GuardedError<D::Error>;
}

impl<D: Read<Error: 'static>, G: SharedGate, C: Clock, J: Judge<D::Error>> Read for Guarded<D, G, C, J> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        self.run(|stream| stream.read(bytes))
    }
}

impl<D: Write<Error: 'static>, G: SharedGate, C: Clock, J: Judge<D::Error>> Write for Guarded<D, G, C, J> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.run(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        self.run(Write::flush)
    }
}

impl<D: AsyncRead<Error: 'static>, G: SharedGate, C: Clock, J: Judge<D::Error>> AsyncRead for Guarded<D, G, C, J> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        self.attend(async |stream| stream.read(bytes).await).await
    }
}

impl<D: AsyncWrite<Error: 'static>, G: SharedGate, C: Clock, J: Judge<D::Error>> AsyncWrite for Guarded<D, G, C, J> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.attend(async |stream| stream.write(bytes).await).await
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.attend(async |stream| stream.flush().await).await
    }
}
