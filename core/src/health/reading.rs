//! What a look at a component says, and how looks at gates and queues are taken for that.

use super::Status;
use crate::ConfigError;
use crate::adaptive::AdaptiveSnapshot;
use crate::breaker::{Snapshot, State};
use crate::bulkhead::BulkheadSnapshot;
use crate::outlier::OutlierSnapshot;
use crate::queue::LevelSnapshot;
use crate::throttle::ThrottleSnapshot;

/// What one look at a component says.
///
/// | made from | it is |
/// | --- | --- |
/// | `Ok(())`, `true` | healthy |
/// | `Err(_)`, `false` | unhealthy |
/// | `Ok(reading)` | that |
/// | a breaker that is closed, or forced closed | healthy |
/// | a breaker in any other state | degraded: calls that it stops may still have a fallback |
/// | what is used up of a gate or a queue | see [`Thresholds`] |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reading {
    /// It works.
    Healthy,
    /// It works, though not as it should.
    Degraded,
    /// It does not work, or did not answer in time.
    Unhealthy,
}

impl From<Reading> for Status {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Healthy => Self::Healthy,
            Reading::Degraded => Self::Degraded,
            Reading::Unhealthy => Self::Unhealthy,
        }
    }
}

impl core::fmt::Display for Reading {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        Status::from(*self).fmt(f)
    }
}

impl From<bool> for Reading {
    fn from(works: bool) -> Self {
        if works { Self::Healthy } else { Self::Unhealthy }
    }
}

impl<E> From<Result<(), E>> for Reading {
    fn from(result: Result<(), E>) -> Self {
        result.is_ok().into()
    }
}

impl<E> From<Result<Self, E>> for Reading {
    fn from(result: Result<Self, E>) -> Self {
        result.unwrap_or(Self::Unhealthy)
    }
}

impl From<State> for Reading {
    fn from(state: State) -> Self {
        match state {
            State::Closed | State::ForcedClosed => Self::Healthy,
            State::Open | State::HalfOpen | State::ForcedOpen => Self::Degraded,
        }
    }
}

impl From<&Snapshot> for Reading {
    fn from(snapshot: &Snapshot) -> Self {
        snapshot.state.into()
    }
}

/// From which share on, in permille, something that is used up makes a component degraded, or unhealthy.
///
/// ```
/// use fusebox::health::{Reading, Thresholds};
/// use fusebox::checked;
///
/// const USED: Thresholds = checked!(checked!(Thresholds::degraded_from(800)).unhealthy_from(950));
/// assert_eq!(USED.read(79, 100), Reading::Healthy);
/// assert_eq!(USED.read(80, 100), Reading::Degraded);
/// assert_eq!(USED.read(95, 100), Reading::Unhealthy);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Thresholds {
    degraded: u16,
    unhealthy: Option<u16>,
}

impl Thresholds {
    /// Degraded from `permille` on, never unhealthy.
    ///
    /// # Errors
    /// When it is 0 or above 1000.
    pub const fn degraded_from(permille: u16) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 1_000 {
            return Err(ConfigError::new("degraded_from", "from 1 to 1000"));
        }
        Ok(Self { degraded: permille, unhealthy: None })
    }

    /// And unhealthy from `permille` on.
    ///
    /// # Errors
    /// When it is below the other one, or above 1000.
    pub const fn unhealthy_from(self, permille: u16) -> Result<Self, ConfigError> {
        if permille < self.degraded || permille > 1_000 {
            return Err(ConfigError::new("unhealthy_from", "from what makes it degraded to 1000"));
        }
        Ok(Self { unhealthy: Some(permille), ..self })
    }

    /// Of `whole`, `part` is used up. Nothing is never too much, also of nothing. Of a token bucket: what is missing to
    /// its burst.
    #[must_use]
    pub fn read(&self, part: u32, whole: u32) -> Reading {
        let is_from = |permille: u16| part > 0 && u64::from(part) * 1_000 >= u64::from(permille) * u64::from(whole);
        match self.unhealthy {
            Some(permille) if is_from(permille) => Reading::Unhealthy,
            _ if is_from(self.degraded) => Reading::Degraded,
            _ => Reading::Healthy,
        }
    }

    /// How full a queue is; one that is overloaded is at least degraded.
    #[must_use]
    pub fn queue(&self, queue: &LevelSnapshot) -> Reading {
        let full = self.read(small(queue.len), small(queue.capacity));
        if queue.overloaded { full.max(Reading::Degraded) } else { full }
    }

    /// How full a bulkhead is.
    #[must_use]
    pub fn bulkhead(&self, bulkhead: &BulkheadSnapshot) -> Reading {
        self.read(bulkhead.in_flight, bulkhead.limit)
    }

    /// How much of an adaptive limit is in flight.
    #[must_use]
    pub fn adaptive(&self, limit: &AdaptiveSnapshot) -> Reading {
        self.read(limit.in_flight.into(), limit.limit.into())
    }

    /// How many of the requests in a throttle's window were not accepted.
    #[must_use]
    pub fn throttle(&self, throttle: &ThrottleSnapshot) -> Reading {
        self.read(throttle.requests.saturating_sub(throttle.accepts), throttle.requests)
    }

    /// How many of the endpoints are out.
    #[must_use]
    pub fn outliers(&self, outliers: &OutlierSnapshot) -> Reading {
        self.read(small(outliers.out), small(outliers.endpoints))
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use Reading::{Degraded as D, Healthy as H, Unhealthy as U};

    use super::*;
    use crate::queue::{LevelConfig, LevelingQueue, Terms};
    use crate::{Breaker, BreakerConfig, Bulkhead, Consecutive, Gate, Instant, Outcome};

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn gates_and_queues_are_read() {
        let mut breaker = Breaker::new(
            BreakerConfig::builder(Consecutive::new(1).unwrap()).open_for(Duration::from_nanos(10)).build().unwrap(),
        );
        assert_eq!(Reading::from(&breaker.snapshot(at(0))), H);
        let permit = breaker.try_acquire(at(0)).unwrap();
        breaker.release(permit, Outcome::Failure, at(0));
        assert_eq!(Reading::from(&breaker.snapshot(at(0))), D);
        let states = [State::Closed, State::ForcedClosed, State::Open, State::HalfOpen, State::ForcedOpen];
        assert_eq!(states.map(Reading::from), [H, H, D, D, D]);

        let half = Thresholds::degraded_from(500).unwrap();
        let both = half.unhealthy_from(1_000).unwrap();
        let mut bulkhead = Bulkhead::new(core::num::NonZeroU32::new(2).unwrap());
        assert_eq!(both.bulkhead(&bulkhead.snapshot()), H);
        let _one = bulkhead.try_acquire(at(0)).unwrap();
        assert_eq!(both.bulkhead(&bulkhead.snapshot()), D);
        let _two = bulkhead.try_acquire(at(0)).unwrap();
        assert_eq!((both.bulkhead(&bulkhead.snapshot()), half.bulkhead(&bulkhead.snapshot())), (U, D));

        let mut queue: LevelingQueue<u8, 4> = LevelingQueue::new(LevelConfig::builder().build().unwrap());
        queue.push(1, Terms::NONE, at(0)).unwrap();
        let mut told = queue.snapshot(at(0));
        assert_eq!(both.queue(&told), H);
        told.overloaded = true;
        assert_eq!(both.queue(&told), D);
        told.len = 4;
        assert_eq!(both.queue(&told), U);

        let limit = |in_flight, limit| {
            let (no_load_nanos, last_nanos) = (None, None);
            let told = AdaptiveSnapshot {
                limit,
                in_flight,
                no_load_nanos,
                last_nanos,
                probing: false,
                dropped: 0,
                refused: 0,
            };
            both.adaptive(&told)
        };
        assert_eq!([limit(4, 10), limit(5, 10), limit(11, 10), limit(0, 0)], [H, D, U, H]);
        let throttle = |requests, accepts| both.throttle(&ThrottleSnapshot { requests, accepts, refused: 9 });
        assert_eq!(
            [throttle(0, 0), throttle(10, 6), throttle(10, 5), throttle(10, 0), throttle(1, 2)],
            [H, H, D, U, H]
        );
        let outliers = |endpoints, out| {
            let (ejections, spared, refused) = (0, 0, 0);
            both.outliers(&OutlierSnapshot { endpoints, out, sweep_at: None, ejections, spared, refused })
        };
        assert_eq!([outliers(3, 1), outliers(3, 2), outliers(3, 3)], [H, D, U]);
        assert_eq!(both.read(u32::MAX, u32::MAX), U);
        assert_eq!(both.read(u32::MAX - 1, u32::MAX), D);
    }

    #[test]
    fn readings_of_probes() {
        assert_eq!([Reading::from(true), Reading::from(false)], [H, U]);
        assert_eq!([Reading::from(Ok::<(), u8>(())), Reading::from(Err::<(), u8>(1))], [H, U]);
        assert_eq!([Ok(D), Err(1)].map(|result: Result<Reading, u8>| Reading::from(result)), [D, U]);
        assert_eq!([H, D, U].map(Status::from), [Status::Healthy, Status::Degraded, Status::Unhealthy]);
    }
}
