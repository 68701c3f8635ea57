//! What an operation is told about its attempt.

use core::fmt;
use core::time::Duration;

use fusebox::{Clock, Instant};

/// What an operation is told about its attempt. All instants are of the pipeline's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u16,
    /// When the call started.
    pub called: Instant,
    /// When the attempt started.
    pub started: Instant,
    /// When it will be dropped if it has not ended: the nearest of all deadlines there are.
    pub deadline: Option<Instant>,
    /// Whether it is no news to a retry budget: its call has paid in, or it is a retry, or within one. A pipeline inside
    /// the operation is told by [`Pipeline::within`](crate::Pipeline::within).
    pub counted: bool,
}

impl Attempt {
    /// How long the call had taken when the attempt started.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.started.saturating_since(self.called)
    }

    /// How long the attempt may take, from its start. Pass it on to the callee: see [`GrpcTimeout`]. `None`: for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_since(self.started))
    }

    /// How much of that is left by `clock`, the pipeline's timer.
    #[must_use]
    pub fn remaining(&self, clock: &impl Clock) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_since(clock.now()))
    }
}

/// A timeout as the `grpc-timeout` header has it: at most eight digits and a unit, rounded down, so that the callee never
/// believes to have longer than it has ("gRPC over HTTP/2", `Timeout`). Never zero, which the header does not know.
///
/// ```
/// use core::time::Duration;
/// use fusebox_drive::GrpcTimeout;
///
/// assert_eq!(GrpcTimeout(Duration::from_millis(250)).to_string(), "250000u");
/// assert_eq!(GrpcTimeout(Duration::from_secs(200)).to_string(), "200000m");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcTimeout(pub Duration);

impl fmt::Display for GrpcTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: u128 = 99_999_999;
        const SECOND: u128 = 1_000_000_000;
        let nanos = self.0.as_nanos().max(1);
        let units =
            [(1, 'n'), (1_000, 'u'), (1_000_000, 'm'), (SECOND, 'S'), (60 * SECOND, 'M'), (3_600 * SECOND, 'H')];
        let fits = |(size, unit): (u128, char)| {
            let count = nanos.checked_div(size)?;
            (count <= DIGITS).then_some((count, unit))
        };
        let (count, unit) = units.into_iter().find_map(fits).unwrap_or((DIGITS, 'H'));
        write!(f, "{count}{unit}")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_grpc_timeout_is_the_finest_that_fits() {
        let header = |duration| GrpcTimeout(duration).to_string();
        assert_eq!(header(Duration::ZERO), "1n");
        assert_eq!(header(Duration::from_nanos(99_999_999)), "99999999n");
        assert_eq!(header(Duration::from_nanos(100_000_999)), "100000u");
        assert_eq!(header(Duration::from_secs(99_999)), "99999000m");
        assert_eq!(header(Duration::from_secs(100_000)), "100000S");
        assert_eq!(header(Duration::from_secs(100_000_059)), "1666667M");
        assert_eq!(header(Duration::from_secs(60 * 100_000_000)), "1666666H");
        assert_eq!(header(Duration::MAX), "99999999H");
    }

    #[test]
    fn an_attempt_knows_its_times() {
        let at = Instant::from_secs;
        let attempt = Attempt { number: 2, called: at(1), started: at(4), deadline: Some(at(9)), counted: true };
        assert_eq!((attempt.elapsed(), attempt.timeout()), (Duration::from_secs(3), Some(Duration::from_secs(5))));
    }
}
