//! What a caller gets when no good answer came.

use core::fmt;
use core::time::Duration;

use fusebox::Cause;

/// No good answer came. Says why, keeps the operation's last error, and tells what was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallError<E> {
    /// Why the call was given up: stopped, attempts used up, out of time, the retry budget exhausted, or refused by which
    /// gate.
    pub cause: Cause,
    /// The operation's last error; `None` if no attempt ever ended with one (all timed out, or none was let through).
    pub last: Option<E>,
    /// Attempts started.
    pub attempts: u16,
    /// Attempts that ran into their deadline.
    pub timed_out: u16,
    /// Time from the start of the call, waits included.
    pub elapsed: Duration,
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "{} after {} attempt{plural} in {:?}", self.cause, self.attempts, self.elapsed)?;
        if self.timed_out > 0 {
            write!(f, ", {} timed out", self.timed_out)?;
        }
        match &self.last {
            Some(last) => write!(f, "; last error: {last}"),
            None => Ok(()),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.last.as_ref().map(|last| last as _)
    }
}
