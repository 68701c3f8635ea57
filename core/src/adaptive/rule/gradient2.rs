//! The trend of the times.

use super::{LimitRule, NoLoad, Sample};
use crate::ConfigError;
use crate::adaptive::fixed::{Estimate, Factor, Share, mean};
use crate::entropy::scale;

/// Lowers the limit by as much as calls take longer than they used to, and adds room for a short queue. As Netflix'
/// `Gradient2Limit`, with each call:
/// ```text
///   gradient = tolerance x baseline / time      held within 0.5 and 1
///   limit    = limit + smoothing x (gradient x limit + queue - limit)
/// ```
/// Published, the baseline is the moving average of the last calls' times. Under lasting overload it follows the queue
/// up, the gradient goes to 1, and the limit climbs to its greatest (Netflix' issues 88, 134 and 137 are about that).
/// Here the average starts anew from each [measurement](crate::adaptive::AdaptiveBuilder::probe_every) of the time
/// without load, and the baseline is never above that; [`unguarded`](Self::unguarded) gives the published rule. A
/// dropped call has a gradient of 0.5, and is kept out of the average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Gradient2 {
    queue: u16,
    tolerance: Factor,
    smoothing: Share,
    /// How far the average moves with each call, of 2^32.
    newest: u32,
    guarded: bool,
}

/// Calls whose plain mean the average starts from.
const WARM_UP: u8 = 10;

/// A twentieth of 2^32: what the average loses when calls have become much faster.
const TWENTIETH: u32 = 214_748_365;

/// What a [`Gradient2`] remembers: the average, in 2^-8 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Gradient2Memory {
    average: u64,
    /// Of the first calls.
    sum: u64,
    calls: u8,
    /// The measurement it started from.
    no_load: Option<u64>,
}

impl Gradient2Memory {
    /// Starts anew from a new measurement.
    fn measured(&mut self, no_load: Option<u64>) {
        if let (true, Some(time)) = (self.no_load != no_load, no_load) {
            *self = Self { average: fine(time), sum: 0, calls: WARM_UP, no_load };
        }
    }

    fn add(&mut self, time: u64, newest: u32) {
        if self.calls < WARM_UP {
            (self.calls, self.sum) = (self.calls + 1, self.sum + time);
            self.average = mean(self.sum, self.calls);
        } else if time >= self.average {
            self.average += scale(time - self.average, newest);
        } else {
            self.average -= scale(self.average - time, newest);
        }
    }
}

impl Gradient2 {
    /// As published, and guarded: a queue of 4, a tolerance of 1.5, a smoothing of 0.2, an average over 600 calls.
    pub const DEFAULT: Self = Self {
        queue: 4,
        tolerance: Factor::of_permille(1_500),
        smoothing: Share::of_permille(200),
        newest: newest_of(600),
        guarded: true,
    };

    /// How many may wait at the callee: what the limit grows by, times `smoothing`. Default 4.
    ///
    /// # Errors
    /// When it is zero.
    pub const fn queue(mut self, calls: u16) -> Result<Self, ConfigError> {
        if calls == 0 {
            return Err(ConfigError::new("queue", "the limit could never rise"));
        }
        self.queue = calls;
        Ok(self)
    }

    /// How much longer a call may take before the limit falls: 1000 for not at all. Default 1500.
    ///
    /// # Errors
    /// When it is below 1000 or above 100000.
    pub const fn tolerance(mut self, permille: u32) -> Result<Self, ConfigError> {
        if permille < 1_000 || permille > 100_000 {
            return Err(ConfigError::new("tolerance", "from 1000 to 100000"));
        }
        self.tolerance = Factor::of_permille(permille);
        Ok(self)
    }

    /// Goes `permille` of each step. Default 200.
    ///
    /// # Errors
    /// When it is zero or above 1000.
    pub const fn smoothing(mut self, permille: u16) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 1_000 {
            return Err(ConfigError::new("smoothing", "from 1 to 1000"));
        }
        self.smoothing = Share::of_permille(permille);
        Ok(self)
    }

    /// The average moves by 2/(`calls` + 1) of the way to each call's time. Default 600.
    ///
    /// # Errors
    /// When it is below 2.
    pub const fn average_over(mut self, calls: u32) -> Result<Self, ConfigError> {
        if calls < 2 {
            return Err(ConfigError::new("average_over", "an average is of at least 2 calls"));
        }
        self.newest = newest_of(calls);
        Ok(self)
    }

    /// As published: the baseline is the average alone. It follows a lasting queue up: not for callees that are ever
    /// overloaded for long.
    #[must_use]
    pub const fn unguarded(mut self) -> Self {
        self.guarded = false;
        self
    }

    fn measured(&self, sample: &Sample) -> Option<u64> {
        sample.no_load.filter(|_| self.guarded)
    }

    /// The baseline and the call's time give the gradient.
    fn gradient(&self, average: u64, sample: &Sample) -> Share {
        let no_load = self.measured(sample).map_or(u64::MAX, fine);
        Share::ratio(self.tolerance.of(average.min(no_load)), fine(sample.rtt)).max(Share::HALF)
    }
}

/// In 2^-8 ns; times are below 2^48 ns.
const fn fine(nanos: u64) -> u64 {
    nanos.saturating_mul(256)
}

#[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "configuration; at most 2/3 of 2^32")]
const fn newest_of(calls: u32) -> u32 {
    ((2_u64 << 32) / (calls as u64 + 1)) as u32
}

impl LimitRule for Gradient2 {
    type Memory = Gradient2Memory;
    const EMPTY: Gradient2Memory = Gradient2Memory { average: 0, sum: 0, calls: 0, no_load: None };

    fn update(&self, memory: &mut Gradient2Memory, limit: Estimate, sample: &Sample) -> Estimate {
        let gradient = if sample.dropped {
            Share::HALF
        } else {
            let time = fine(sample.rtt);
            memory.measured(self.measured(sample));
            memory.add(time, self.newest);
            let average = memory.average;
            if average > 2 * time {
                memory.average -= scale(average, TWENTIETH);
            }
            self.gradient(average, sample)
        };
        limit.toward(limit.times(gradient).plus(self.queue), self.smoothing)
    }

    fn no_load(&self) -> NoLoad {
        if self.guarded { NoLoad::Mean } else { NoLoad::Unused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn sample(rtt: u64, no_load: Option<u64>) -> Sample {
        Sample { rtt, in_flight: 50, dropped: false, no_load }
    }

    /// What becomes of 100, in tenths.
    fn after(rule: Gradient2, memory: &mut Gradient2Memory, sample: Sample) -> u32 {
        (rule.update(memory, Estimate::of(100), &sample).to_bits() * 10 + (1 << 15)) >> 16
    }

    #[test]
    fn the_average_starts_as_a_mean_and_then_moves_slowly() {
        let mut memory = Gradient2::EMPTY;
        for n in 1..=10 {
            memory.add(n * 256, newest_of(3));
            assert!(memory.average.abs_diff((n + 1) * 128) <= 1, "{n}: {}", memory.average);
        }
        memory.add(256, newest_of(3)); // half of the way
        assert!(memory.average.abs_diff(832) <= 2, "{}", memory.average);
        memory.add(2_000, newest_of(3));
        assert!(memory.average.abs_diff(1_416) <= 2, "{}", memory.average);
    }

    #[test]
    fn the_gradient_is_held_at_both_ends() {
        let rule = Gradient2::DEFAULT;
        let memory = Gradient2Memory { average: fine(100 * MS), sum: 0, calls: 10, no_load: None };
        let told = [50, 150, 200, 300, 900].map(|ms| after(rule, &mut memory.clone(), sample(ms * MS, None)));
        // 100 + 0.2 (g 100 + 4 - 100): g is 1, 1, 0.752, 0.503, 0.5
        assert_eq!(told, [1_008, 1_008, 958, 909, 908]);
    }

    #[test]
    fn the_time_without_load_is_a_cap_on_the_baseline() {
        let mut memory = Gradient2Memory { average: fine(400 * MS), sum: 0, calls: 10, no_load: None };
        let queued = sample(400 * MS, Some(100 * MS));
        assert_eq!(after(Gradient2::DEFAULT.unguarded(), &mut memory, queued), 1_008);
        for _ in 0..1_000 {
            assert_eq!(after(Gradient2::DEFAULT, &mut memory, queued), 908);
        }
        assert!(memory.average > fine(350 * MS));
        assert_eq!(after(Gradient2::DEFAULT, &mut memory, sample(400 * MS, Some(240 * MS))), 988);
        assert!(memory.average.abs_diff(fine(240 * MS)) < fine(MS));
    }

    #[test]
    fn a_drop_halves_and_does_not_touch_the_average() {
        let mut memory = Gradient2Memory { average: fine(100 * MS), sum: 0, calls: 10, no_load: None };
        let dropped = Sample { dropped: true, ..sample(5_000 * MS, None) };
        assert_eq!(after(Gradient2::DEFAULT, &mut memory, dropped), 908);
        assert_eq!(memory.average, fine(100 * MS));
    }

    #[test]
    fn much_faster_calls_pull_the_average_down() {
        let rule = Gradient2::DEFAULT.average_over(u32::MAX).unwrap();
        let mut memory = Gradient2Memory { average: fine(1_000 * MS), sum: 0, calls: 10, no_load: None };
        after(rule, &mut memory, sample(499 * MS, None));
        assert!(memory.average.abs_diff(fine(950 * MS)) < fine(MS));
        after(rule, &mut memory, sample(499 * MS, None));
        assert!(memory.average.abs_diff(fine(950 * MS)) < fine(MS));
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let longest = (1 << 48) - 1;
        let mut memory = Gradient2::EMPTY;
        let rule = Gradient2::DEFAULT.tolerance(100_000).unwrap();
        for _ in 0..30 {
            after(rule, &mut memory, sample(longest, Some(longest)));
        }
        assert!(memory.average.abs_diff(fine(longest)) < fine(longest) >> 30);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let rule = Gradient2::DEFAULT;
        assert_eq!(rule.queue(0).unwrap_err().setting, "queue");
        assert_eq!(rule.tolerance(999).unwrap_err().setting, "tolerance");
        assert_eq!(rule.tolerance(100_001).unwrap_err().setting, "tolerance");
        assert_eq!(rule.smoothing(0).unwrap_err().setting, "smoothing");
        assert_eq!(rule.smoothing(1_001).unwrap_err().setting, "smoothing");
        assert_eq!(rule.average_over(1).unwrap_err().setting, "average_over");
    }
}
