//! How a backoff reads in a report.

use core::fmt::{Debug, Display, Formatter, Result};
use core::time::Duration;

use super::growth::Growth;
use super::{Backoff, Jitter, NO_CAP};
use crate::entropy::scale;

/// For instance `exponential from 50ms, x2, up to 20s, full jitter`.
impl Display for Backoff {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let first = Duration::from_nanos(self.first);
        match self.growth {
            Growth::Constant if self.first == 0 => f.write_str("at once")?,
            Growth::Constant => write!(f, "constant {first:?}")?,
            Growth::Linear { step } => write!(f, "linear from {first:?} by {:?}", Duration::from_nanos(step))?,
            Growth::Exponential { whole, fraction: 0 } => write!(f, "exponential from {first:?}, x{whole}")?,
            Growth::Exponential { whole, fraction } => {
                write!(f, "exponential from {first:?}, x{whole}.{:03}", scale(1_000, fraction))?;
            }
            Growth::Fibonacci => write!(f, "fibonacci from {first:?}")?,
            Growth::Table(delays) => write!(f, "table {delays:?}")?,
            Growth::Polly(_) => write!(f, "polly exponential from {first:?}")?,
        }
        if self.cap != NO_CAP {
            write!(f, ", up to {:?}", Duration::from_nanos(self.cap))?;
        }
        if self.floor > 0 {
            write!(f, ", at least {:?}", Duration::from_nanos(self.floor))?;
        }
        match self.jitter {
            Jitter::None => Ok(()),
            Jitter::Full => f.write_str(", full jitter"),
            Jitter::Equal => f.write_str(", equal jitter"),
            Jitter::Around { part } => write!(f, ", give or take {} permille", (scale(2_000, part) + 1) >> 1),
            Jitter::Decorrelated => f.write_str(", decorrelated jitter"),
        }
    }
}

impl Debug for Backoff {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "Backoff({self})")
    }
}
