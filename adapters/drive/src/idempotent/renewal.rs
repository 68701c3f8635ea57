//! Leases of operations that take longer than expected.

use core::time::Duration;

use fusebox::{ConfigError, nanos};

/// When the lease of an operation that runs is renewed.
///
/// A lease is short so that a runner that died is soon replaced; some operations take long all the same. This renews for
/// as long as the future of the call is alive, but not for ever: an operation that hangs must lose its key some day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    pub(super) every: u64,
    pub(super) longest: u64,
}

impl Renewal {
    /// Renews at this interval, a third of the lease for instance, and no more when the operation has run for `longest`.
    ///
    /// # Errors
    /// When there is no time between renewals, or never one.
    pub const fn new(every: Duration, longest: Duration) -> Result<Self, ConfigError> {
        let (every, longest) = (nanos(every), nanos(longest));
        if every == 0 {
            return Err(ConfigError { setting: "every", problem: "it would do nothing but renew" });
        }
        if longest < every {
            return Err(ConfigError { setting: "longest", problem: "it would be over before the first renewal" });
        }
        Ok(Self { every, longest })
    }
}
