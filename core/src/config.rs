//! Configurations that make no sense do not construct; in a `const` or `static` they do not compile.

/// Why a configuration was refused. It names the setting and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConfigError {
    /// The setting, as its builder method is called.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl ConfigError {
    pub(crate) const fn new(setting: &'static str, problem: &'static str) -> Self {
        Self { setting, problem }
    }

    /// What is wrong, without the setting's name; usable in a `const` panic.
    #[must_use]
    pub const fn problem(&self) -> &'static str {
        self.problem
    }
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl core::error::Error for ConfigError {}

/// Unwraps a configuration while compiling: a bad one is a compile error, so nothing is left to fail at run time.
///
/// ```
/// use core::time::Duration;
/// use fusebox::{Quota, checked};
///
/// const QUOTA: Quota = checked!(Quota::new(10, Duration::from_secs(1)));
/// ```
///
/// ```compile_fail
/// use core::time::Duration;
/// use fusebox::{Quota, checked};
///
/// const QUOTA: Quota = checked!(Quota::new(0, Duration::from_secs(1))); // no tokens at all
/// ```
#[macro_export]
macro_rules! checked {
    ($config:expr) => {
        const {
            match $config {
                Ok(config) => config,
                Err(error) => panic!("{}", error.problem()),
            }
        }
    };
}
