//! What is watched, and how readings of it are judged.

use core::time::Duration;

use super::{ProbeConfig, Status};
use crate::{ConfigError, nanos};

/// What the health of a component means for the whole: its criticality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Role {
    /// A task of this process, which checks in. Nothing works without it, and liveness asks for nothing else.
    Task,
    /// The service is no better than this.
    Critical,
    /// Without it the service is degraded.
    Optional,
    /// The service does not depend on it; it is only reported.
    Informational,
}

impl Role {
    /// What the status of a component of this role counts as.
    pub(super) fn counts_as(self, status: Status) -> Option<Status> {
        match self {
            Self::Task | Self::Critical => Some(status),
            Self::Optional => Some(status.min(Status::Degraded)),
            Self::Informational => None,
        }
    }
}

/// What is watched: a name, a role, and how readings are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Component {
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) failures: u16,
    pub(super) successes: u16,
    /// `u64::MAX`: never.
    pub(super) stale_after: u64,
    pub(super) grace: u64,
}

/// Makes a [`Component`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ComponentBuilder {
    component: Component,
}

const DEFAULT_STALE_AFTER: u64 = nanos(Duration::from_secs(30));

impl Component {
    /// A task of this process, which checks in again before `silence` is over. So long it may take to start, too.
    pub const fn task(name: &'static str, silence: Duration) -> ComponentBuilder {
        let stale_after = nanos(silence);
        let component = Self { name, role: Role::Task, failures: 1, successes: 1, stale_after, grace: stale_after };
        ComponentBuilder { component }
    }

    /// What the service is of no use without.
    pub const fn critical(name: &'static str) -> ComponentBuilder {
        Self::with_role(name, Role::Critical)
    }

    /// What the service can do without, though not as well.
    pub const fn optional(name: &'static str) -> ComponentBuilder {
        Self::with_role(name, Role::Optional)
    }

    /// What is only reported.
    pub const fn informational(name: &'static str) -> ComponentBuilder {
        Self::with_role(name, Role::Informational)
    }

    const fn with_role(name: &'static str, role: Role) -> ComponentBuilder {
        let component = Self { name, role, failures: 3, successes: 2, stale_after: DEFAULT_STALE_AFTER, grace: 0 };
        ComponentBuilder { component }
    }
}

impl ComponentBuilder {
    /// So many readings in a row make it worse. Default 3; 1 for a task.
    pub const fn failures(mut self, readings: u16) -> Self {
        self.component.failures = readings;
        self
    }

    /// So many readings in a row make it better. Default 2; 1 for a task.
    pub const fn successes(mut self, readings: u16) -> Self {
        self.component.successes = readings;
        self
    }

    /// A reading as old as this says nothing any more. Default 30 s; for a task, the silence it is made with.
    pub const fn stale_after(mut self, age: Duration) -> Self {
        self.component.stale_after = nanos(age);
        self
    }

    /// The last reading holds until the next one: for what is told of changes and not asked again and again.
    pub const fn never_stale(self) -> Self {
        self.stale_after(Duration::MAX)
    }

    /// Goes stale when three probes of a schedule gave no reading.
    pub const fn probed(mut self, probes: &ProbeConfig) -> Self {
        self.component.stale_after = probes.longest_silence(3);
        self
    }

    /// For so long after the start, or a [`restart`](super::Health::restart), an unhealthy reading does not count, and a
    /// task is not missed. Any other reading ends it. Default 0; for a task, the silence it is made with.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.component.grace = nanos(grace);
        self
    }

    /// The component.
    ///
    /// # Errors
    /// When it has no name, or a number makes no sense.
    pub const fn build(self) -> Result<Component, ConfigError> {
        let component = self.component;
        if component.name.is_empty() {
            return Err(ConfigError::new("name", "nobody could tell which one is ill"));
        }
        if component.failures == 0 {
            return Err(ConfigError::new("failures", "it would be ill however well it does"));
        }
        if component.successes == 0 {
            return Err(ConfigError::new("successes", "it would be well however ill it is"));
        }
        if component.stale_after == 0 {
            return Err(ConfigError::new("stale_after", "every reading would be stale at once"));
        }
        if matches!(component.role, Role::Task) && component.stale_after == u64::MAX {
            return Err(ConfigError::new("stale_after", "a task that hangs would never be missed"));
        }
        if matches!(component.role, Role::Task) && component.grace == 0 {
            return Err(ConfigError::new("grace", "a task would be missed before it could check in"));
        }
        Ok(component)
    }
}
