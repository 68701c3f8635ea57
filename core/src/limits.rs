//! What holds for a call whatever its plan is: its times, and whether it may be repeated.

use core::time::Duration;

use crate::gate::earlier;
use crate::plan::{Call, Ended};
use crate::{ConfigError, Instant};

/// All times are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Limits {
    pub(crate) attempt_timeout: Option<u64>,
    pub(crate) deadline: Option<u64>,
    pub(crate) wait_for_gates: bool,
    /// `None`: nobody said.
    pub(crate) is_idempotent: Option<bool>,
}

/// Setters of builders with a field `limits`. Takes the documentation of `wait_for_gates`, which is each plan's own.
macro_rules! limit_setters {
    ($(#[$wait_for_gates:meta])+) => {
        /// How long one attempt may take. Default: for ever.
        pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
            self.limits.attempt_timeout = Some(nanos(timeout));
            self
        }

        /// How long the whole call may take, everything included. Default: for ever.
        pub const fn deadline(mut self, timeout: Duration) -> Self {
            self.limits.deadline = Some(nanos(timeout));
            self
        }

        /// The operation may have its effect more than once, or the callee tells repeats apart. It is taken to be so
        /// anyway; said outright, a [review](crate::review) is content.
        pub const fn idempotent(mut self) -> Self {
            self.limits.is_idempotent = Some(true);
            self
        }

        /// The operation must not have its effect twice: it is started again only after an attempt that was
        /// [not sent](crate::Ended::NotSent). Default: it may be repeated.
        pub const fn not_idempotent(mut self) -> Self {
            self.limits.is_idempotent = Some(false);
            self
        }

        $(#[$wait_for_gates])+
        pub const fn wait_for_gates(mut self) -> Self {
            self.limits.wait_for_gates = true;
            self
        }
    };
}

pub(crate) use limit_setters;

impl Limits {
    pub(crate) const NONE: Self =
        Self { attempt_timeout: None, deadline: None, wait_for_gates: false, is_idempotent: None };

    /// That they make sense together.
    pub(crate) const fn check(&self) -> Result<(), ConfigError> {
        if matches!(self.attempt_timeout, Some(0)) {
            return Err(ConfigError::new("attempt_timeout", "a zero timeout ends every attempt before it starts"));
        }
        if matches!(self.deadline, Some(0)) {
            return Err(ConfigError::new("deadline", "a zero deadline ends every call before it starts"));
        }
        if let (Some(attempt), Some(total)) = (self.attempt_timeout, self.deadline) {
            if attempt >= total {
                return Err(ConfigError::new("attempt_timeout", "must be below the deadline"));
            }
        }
        if self.wait_for_gates && self.deadline.is_none() {
            return Err(ConfigError::new("wait_for_gates", "needs a deadline, else it may wait for ever"));
        }
        Ok(())
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline.map(Duration::from_nanos)
    }

    pub(crate) fn attempt_timeout(&self) -> Option<Duration> {
        self.attempt_timeout.map(Duration::from_nanos)
    }

    /// When `call` is over.
    #[inline]
    pub(crate) fn end_of(&self, call: &Call) -> Option<Instant> {
        earlier(self.deadline.map(|timeout| call.started.after(timeout)), call.deadline)
    }

    /// When an attempt of `call` that starts at `now` is over.
    #[inline]
    pub(crate) fn end_of_attempt(&self, call: &Call, now: Instant) -> Option<Instant> {
        earlier(self.attempt_timeout.map(|timeout| now.after(timeout)), self.end_of(call))
    }

    /// Whether the operation of `call` may have its effect more than once.
    pub(crate) fn may_repeat(&self, call: &Call) -> bool {
        self.is_idempotent != Some(false) && call.is_idempotent
    }

    /// Whether it may be started again after an attempt that ended so.
    pub(crate) fn may_repeat_after(&self, ended: Ended, call: &Call) -> bool {
        self.may_repeat(call) || matches!(ended, Ended::NotSent)
    }
}
