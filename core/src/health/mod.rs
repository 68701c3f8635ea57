//! Health: what is well, what is not, and what that means for the service as a whole.
//!
//! # Why
//! A balancer wants to know whether to send calls here, a supervisor whether to restart this, a watchdog whether to
//! reset it. These are different questions. A service whose database is down should get no calls, and restarting it
//! helps nobody; one that merely lost its cache should get its calls; one whose main loop hangs should be restarted,
//! however well its dependencies are. And answers must neither flap with each lost packet nor stay good because nobody
//! looks any more.
//!
//! # State picture
//! Of one component:
//! ```text
//!               reading, but not an unhealthy one in the grace
//!   Starting ------------------------------------------------> Reading <--+ reading: see below
//!      | grace over                                            ^     |  --+
//!      v                      reading: counts as the first one |     | no reading for `stale_after`
//!   Silent <---------------------------------------------------+-----+
//!
//!   from anywhere: `pause` ---> Paused --- reading ---> Reading       `restart` ---> Starting
//! ```
//!
//! | it is | status | of a task |
//! | --- | --- | --- |
//! | starting | unknown | unknown |
//! | reading | by its readings, below | the same |
//! | silent | unknown | unhealthy |
//! | paused | unknown, and counts for nothing | the same |
//!
//! Of the whole, the worst of those that count, in the order healthy, degraded, unknown, unhealthy:
//!
//! | role | counts as | if it is silent, the service |
//! | --- | --- | --- |
//! | task | it is | is unhealthy and no longer live |
//! | critical | it is | is unknown: not ready |
//! | optional | it is, at worst degraded | is degraded: still ready |
//! | informational | nothing | does not care |
//!
//! # Contract
//! - The first reading of a row decides at once. After it, a component is degraded, or worse, from when the last
//!   `failures` readings were degraded or worse, until the last `successes` were better; and unhealthy from when the last
//!   `failures` were unhealthy, until the last `successes` were better than that.
//! - A row of readings ends when one is as old as `stale_after`, with a pause and with a restart. Time alone makes
//!   nothing healthy.
//! - If nothing counts, as in an empty set, the status is [`Unknown`](Status::Unknown).
//! - Ready is healthy or degraded. Live is that no task is unhealthy: dependencies never matter to it, and neither do
//!   tasks that are still starting or paused.
//! - An open breaker reads as degraded, so it never takes away readiness: see [`Reading`].
//! - The grace starts with the first call that has a time and may change something.
//! - Timers are optional: what is asked with a time is answered as of then. Polling makes changes that time brings
//!   visible as events, stamped with when they happened.
//! - A clock that steps back: readings from the future are taken to be of now. So what hangs looks well for no longer
//!   than its `stale_after` after the step. A clock that jumped ahead and came back has done no harm.
//!
//! # Defaults
//! 3 failures and 2 successes, as `HAProxy` has it; one of each for a task, which is late or is not. A reading goes stale
//! after 30 s, three times the default period of probes; see [`probed`](ComponentBuilder::probed). No grace; for a task,
//! as long as it may be silent. Probes every 10 s with a timeout of 1 s as in Kubernetes, the first one at random within
//! the first period.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::health::{Component, Health, Reading, Status};
//! use fusebox::{Instant, State, checked};
//!
//! const LOOP: usize = 0;
//! const DATABASE: usize = 1;
//! const CACHE: usize = 2;
//! let mut health = const {
//!     Health::new([
//!         checked!(Component::task("main loop", Duration::from_secs(2)).build()),
//!         checked!(Component::critical("database").failures(2).stale_after(Duration::from_secs(30)).build()),
//!         checked!(Component::optional("cache").build()),
//!     ])
//! };
//! let at = Instant::from_secs;
//! health.check_in(LOOP, at(0));
//! health.record(CACHE, Reading::Healthy, at(0));
//! assert_eq!(health.snapshot(at(1)).status, Status::Unknown); // what of the database?
//! health.record(DATABASE, Reading::Healthy, at(1));
//! assert_eq!(health.snapshot(at(1)).status, Status::Healthy);
//!
//! health.record(CACHE, State::Open, at(1)); // one of three failures
//! health.record(DATABASE, Reading::Unhealthy, at(1)); // one of two
//! assert_eq!(health.snapshot(at(1)).status, Status::Healthy);
//! health.record(DATABASE, Reading::Unhealthy, at(1));
//! let seen = health.snapshot(at(1));
//! assert_eq!((seen.status, seen.is_ready(), seen.cause), (Status::Unhealthy, false, Some(DATABASE)));
//!
//! // The database has nothing to do with the watchdog, a loop that hangs has.
//! assert!(health.may_feed(at(1)).is_ok());
//! let held = health.may_feed(at(2)).unwrap_err();
//! assert_eq!((held.name, held.since), ("main loop", at(2)));
//! ```
//!
//! # When not
//! To decide call by call whether to call a dependency, use a breaker: health is for those outside. Do not make a
//! dependency that all instances share critical without need: its outage takes all of them out of the balancer at once.

mod component;
mod machine;
mod member;
mod pulse;
mod reading;
#[cfg(test)]
mod tests;

pub use component::{Component, ComponentBuilder, Role};
pub use machine::Health;
pub use pulse::{Beat, ProbeBuilder, ProbeConfig, Pulse};
pub use reading::{Reading, Thresholds};

use crate::Instant;

/// How something is, the better the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Status {
    /// All is well.
    Healthy,
    /// It works, though not as it should.
    Degraded,
    /// Nobody knows.
    Unknown,
    /// It does not work.
    Unhealthy,
}

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// What the status of a component rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Basis {
    /// Nothing yet; its grace is not over.
    Starting,
    /// Its readings.
    Reading,
    /// Nothing: it gave no reading in time.
    Silent,
    /// Nothing: it was paused.
    Paused,
}

impl core::fmt::Display for Basis {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Reading => "reading",
            Self::Silent => "silent",
            Self::Paused => "paused",
        })
    }
}

/// What is known of one component: a line of a `/health` answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ComponentReport<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it counts for.
    pub role: Role,
    /// How it is.
    pub status: Status,
    /// What that rests on.
    pub basis: Basis,
    /// Since when, status and basis together.
    pub since: Instant,
    /// For how long, in nanoseconds.
    pub nanos_in_status: u64,
    /// The last reading, stale or not; `None` before the first one, while paused and after a restart.
    pub last: Option<Reading>,
    /// How old that is, in nanoseconds.
    pub age_nanos: Option<u64>,
    /// Readings in a row that were not healthy. Stops at its maximum.
    pub failures_in_a_row: u16,
    /// Readings in a row that were healthy. Stops at its maximum.
    pub successes_in_a_row: u16,
}

/// What is known of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HealthSnapshot {
    /// The worst of those that count.
    pub status: Status,
    /// Whether no task is unhealthy: the answer to a liveness probe.
    pub live: bool,
    /// Which component made the status what it is: of those that count as the worst, the one that is so for the longest
    /// time. `None` if the status is healthy, or nothing counts.
    pub cause: Option<usize>,
}

impl HealthSnapshot {
    /// Whether it should get calls: the answer to a readiness probe.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.status, Status::Healthy | Status::Degraded)
    }
}

/// One or more changes of the whole, in status or liveness, that nobody has taken yet, made into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HealthChange {
    /// Before the first of them.
    pub from: HealthSnapshot,
    /// After the last. The same status as before if it changed and came back in between.
    pub to: HealthSnapshot,
    /// When the last one happened.
    pub at: Instant,
}

/// Why the watchdog must not be fed: a task is unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Held<'a> {
    /// Which one; of several, the one that is so for the longest time.
    pub component: usize,
    /// Its name.
    pub name: &'a str,
    /// Whether it was silent, or said so itself.
    pub basis: Basis,
    /// Since when.
    pub since: Instant,
}

impl core::fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "held back by {}: unhealthy ({}) since {}", self.name, self.basis, self.since)
    }
}

impl core::error::Error for Held<'_> {}
