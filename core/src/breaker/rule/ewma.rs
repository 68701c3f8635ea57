//! A weighted rate: the newer a call, the more it counts.

use core::time::Duration;

use super::{Counts, Rate, Sample, TripRule};
use crate::entropy::scale;
use crate::{ConfigError, Instant, nanos};

/// Trips when the exponentially weighted moving average of failures reaches a share; 1000 permille less that share is
/// the success rate below which it trips. It needs no window, only 32 bytes per breaker, and never forgets at once.
///
/// By calls, each call weighs `exp(-1/n)` times as much as the next. By time, the average moves towards each call's
/// outcome by `1 - exp(-t/span)`, `t` being the time since the call before: calls at the same instant as another weigh
/// nothing, and one call after a long silence nearly all.
///
/// The average starts from the first outcome, which so weighs more than its share for a while; that is why neither is
/// judged early: set `minimum_calls` near `n`, and by time no call counts against the callee before a `span` has passed
/// since the first one. (All this is Finagle's success-rate failure accrual, `Ema` and `WindowedEma`.) It is held as a
/// fraction of 2^64, without floats or division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ewma {
    by: By,
    threshold: u64,
    minimum_calls: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum By {
    Calls(Part),
    Time(Span),
}

/// What an [`Ewma`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EwmaMemory {
    /// The average share of failures, of 2^64.
    failed: u64,
    /// When the first call ended, and the last one.
    ended: Option<(Instant, Instant)>,
    calls: u32,
}

impl Ewma {
    /// Trips when at least `permille` of the calls failed, each weighing `exp(-1/n)` times as much as the next, where
    /// `n` is `calls`; from `minimum_calls` on.
    ///
    /// # Errors
    /// When a number is zero, `permille` is over 999 (an average never quite gets to all), or `calls` is over a million.
    pub const fn by_calls(permille: u16, calls: u32, minimum_calls: u32) -> Result<Self, ConfigError> {
        if calls == 0 || calls > 1_000_000 {
            return Err(ConfigError::new("calls", "from 1 to 1000000"));
        }
        let part = if calls == 1 { ONE_SPAN } else { Span::new(calls as u64).part(1) };
        Self::new(By::Calls(part), permille, minimum_calls)
    }

    /// Trips when at least `permille` of the time failed: a call weighs `1 - exp(-t/span)`, where `t` is the time since
    /// the call before; from `minimum_calls` on, and not before `span` has passed since the first.
    ///
    /// # Errors
    /// When a number or the span is zero, or `permille` is over 999.
    pub const fn by_time(permille: u16, span: Duration, minimum_calls: u32) -> Result<Self, ConfigError> {
        if span.is_zero() {
            return Err(ConfigError::new("span", "only the newest call would count"));
        }
        Self::new(By::Time(Span::new(nanos(span))), permille, minimum_calls)
    }

    #[expect(clippy::integer_division, reason = "configuration, not a decision")]
    const fn new(by: By, permille: u16, minimum_calls: u32) -> Result<Self, ConfigError> {
        if permille == 0 || permille > 999 {
            return Err(ConfigError::new("permille", "from 1 to 999"));
        }
        if minimum_calls == 0 {
            return Err(ConfigError::new("minimum_calls", "a rate needs at least one call"));
        }
        Ok(Self { by, threshold: (u64::MAX / 1_000) * permille as u64, minimum_calls })
    }

    fn average(&self, memory: &EwmaMemory, failed: bool, now: Instant) -> u64 {
        let Some((_, last)) = memory.ended else { return if failed { u64::MAX } else { 0 } };
        match &self.by {
            By::Calls(part) => moved(memory.failed, failed, *part),
            By::Time(span) => span.moved(memory.failed, failed, now.nanos_since(last)),
        }
    }

    /// Whether the average has been fed for long enough to mean something.
    const fn has_grown(&self, memory: &EwmaMemory) -> bool {
        let long_enough = match (&self.by, memory.ended) {
            (By::Time(span), Some((first, last))) => last.nanos_since(first) >= span.nanos,
            _ => true,
        };
        memory.calls >= self.minimum_calls && long_enough
    }
}

impl TripRule for Ewma {
    type Memory = EwmaMemory;
    const EMPTY: EwmaMemory = EwmaMemory { failed: 0, ended: None, calls: 0 };

    fn record(&self, memory: &mut EwmaMemory, sample: Sample, now: Instant) -> bool {
        memory.failed = self.average(memory, sample.failed, now);
        // A clock that stepped back must not put judging off by more than the span.
        memory.ended = Some((memory.ended.map_or(now, |(first, _)| first.min(now)), now));
        memory.calls = memory.calls.saturating_add(1);
        self.has_grown(memory) && memory.failed >= self.threshold
    }

    /// `bad` is the share of `calls` that the average stands for.
    #[expect(clippy::cast_possible_truncation, reason = "products of a share below one")]
    fn counts(&self, memory: &EwmaMemory, _now: Instant) -> Counts {
        let share = |of: u32| (u64::from(of) * (memory.failed >> 32) + u64::from(u32::MAX)) >> 32;
        let permille = (1_000 * (memory.failed >> 32)) >> 32;
        Counts::of_failed(Rate {
            calls: memory.calls,
            bad: share(memory.calls) as u32,
            permille: (memory.calls > 0).then_some(permille as u16),
        })
    }

    /// When it is below a permille; old failures fade but never quite go.
    fn rests_at(&self, memory: &EwmaMemory) -> Option<Instant> {
        (memory.failed < u64::MAX >> 10).then_some(Instant::EPOCH)
    }
}

/// How far the average moves: `mantissa` / 2^(31 + `shift`), below one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Part {
    mantissa: u32,
    shift: u32,
}

/// `1 - exp(-1)`.
const ONE_SPAN: Part = Part { mantissa: 1_357_468_564, shift: 0 };

/// `1 - exp(-16)`, `1 - exp(-4)` and `1 - exp(-1)`, with the logarithms of 16, 4 and 1: many spans in a few steps.
const SPANS: [(u32, Part); 3] =
    [(4, Part { mantissa: 2_147_483_406, shift: 0 }), (2, Part { mantissa: 2_108_151_113, shift: 0 }), (0, ONE_SPAN)];

/// 1/2, 1/3, ... 1/13 of 2^32: the series of the exponential to below 2^-32.
const RECIPROCALS: [u32; 12] = [
    2_147_483_648,
    1_431_655_765,
    1_073_741_824,
    858_993_459,
    715_827_883,
    613_566_757,
    536_870_912,
    477_218_588,
    429_496_730,
    390_451_572,
    357_913_941,
    330_382_100,
];

/// After 2^6 spans what was before is below 2^-64.
const FORGOTTEN: u32 = 6;

/// The average after it moved by `part` towards all or nothing.
const fn moved(average: u64, towards_all: bool, part: Part) -> u64 {
    let distance = if towards_all { u64::MAX - average } else { average };
    let twice = scale(distance, part.mantissa);
    let step = match part.shift {
        0 => twice << 1, // the mantissa is below 2^31 then
        shift if shift <= 64 => twice >> (shift - 1),
        _ => 0,
    };
    if towards_all { average + step } else { average - step }
}

/// The unit of time in which old calls fade, ready for dividing by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Span {
    nanos: u64,
    /// 2^63 divided by the highest 32 bits of `nanos`.
    inverse: u32,
}

/// The highest 32 bits, the first of them set.
const fn highest(n: u64) -> u32 {
    ((n << n.leading_zeros()) >> 32) as u32
}

impl Span {
    #[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "configuration; clamped to 32 bits")]
    const fn new(nanos: u64) -> Self {
        let inverse = (1 << 63) / highest(nanos) as u64;
        Self { nanos, inverse: if inverse > u32::MAX as u64 { u32::MAX } else { inverse as u32 } }
    }

    /// The average after `since` nanoseconds.
    fn moved(&self, average: u64, towards_all: bool, mut since: u64) -> u64 {
        if since >> FORGOTTEN >= self.nanos {
            return if towards_all { u64::MAX } else { 0 };
        }
        let mut average = average;
        for (spans, part) in SPANS {
            while since >> spans >= self.nanos {
                since -= self.nanos << spans;
                average = moved(average, towards_all, part);
            }
        }
        moved(average, towards_all, self.part(since))
    }

    /// `1 - exp(-x)` for `x = since / nanos`, which must be below one: `x (1 - x/2 (1 - x/3 (...)))`.
    #[expect(clippy::cast_possible_truncation, reason = "products of fractions of 2^32")]
    const fn part(&self, since: u64) -> Part {
        if since == 0 {
            return Part { mantissa: 0, shift: 0 };
        }
        // x = mantissa / 2^(31 + shift)
        let mantissa = ((highest(since) as u64 * self.inverse as u64) >> 32) as u32;
        let shift = since.leading_zeros() - self.nanos.leading_zeros();
        let x = if shift < 32 { ((mantissa as u64) << 1 >> shift) as u32 } else { 0 };
        let mut series = u32::MAX;
        let mut reciprocals: &[u32] = &RECIPROCALS;
        while let Some((reciprocal, fewer)) = reciprocals.split_last() {
            series = u32::MAX - scale(scale(x as u64, *reciprocal), series) as u32;
            reciprocals = fewer;
        }
        Part { mantissa: scale(mantissa as u64, series) as u32, shift }
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_wrap, clippy::integer_division, reason = "a test may round")]
mod tests {
    extern crate std;
    use super::*;

    fn fail(failed: bool) -> Sample {
        Sample { failed, slow: false }
    }

    #[test]
    fn parts_are_those_of_the_exponential() {
        for span in [1_u64, 2, 3, 1_000, 999_983, 1 << 32, (1 << 32) + 1, u64::MAX >> 1, u64::MAX] {
            for since in [0, 1, 2, 10, 1_000, 500_000, 1 << 31, 1 << 40, span / 3, span / 2, span - 1] {
                if since >= span {
                    continue;
                }
                let Part { mantissa, shift } = Span::new(span).part(since);
                let told = f64::from(mantissa) / 2_f64.powi(31 + shift as i32);
                let exact = -(-(since as f64) / span as f64).exp_m1();
                assert!((told - exact).abs() <= exact * 5e-9 + 1e-300, "{since}/{span}: {told}, not {exact}");
            }
        }
        let e = f64::from(ONE_SPAN.mantissa) / 2_f64.powi(31);
        assert!((e - (1.0 - (-1_f64).exp())).abs() < 1e-9);
    }

    #[test]
    fn follows_a_float_through_calls_at_any_distance() {
        let span = 1_000_000;
        let rule = Ewma::by_time(500, Duration::from_nanos(span), 1).unwrap();
        let (mut memory, mut model, mut now) = (Ewma::EMPTY, 1_f64, 5_u64);
        rule.record(&mut memory, fail(true), Instant::from_nanos(now));
        for n in 0..10_000 {
            let dice = crate::entropy::nth(7, n);
            let since = [0, 1, 50, 20_000, 999_999, 1_000_000, 3_300_000, 90_000_000][dice as usize % 8];
            now += since;
            let failed = dice >> 16 & 1 == 1;
            rule.record(&mut memory, fail(failed), Instant::from_nanos(now));
            let keep = (-(since as f64) / span as f64).exp();
            model = model * keep + f64::from(u8::from(failed)) * (1.0 - keep);
            let told = memory.failed as f64 / 2_f64.powi(64);
            assert!((told - model).abs() < 1e-7, "call {n}: {told}, not {model}");
        }
    }

    #[test]
    fn a_hundred_calls_fall_below_half_at_the_70th_failure() {
        let rule = Ewma::by_calls(500, 100, 1).unwrap();
        let mut memory = Ewma::EMPTY;
        assert!((0..100).all(|_| !rule.record(&mut memory, fail(false), Instant::EPOCH)));
        // 100 ln 2 = 69.3
        assert!((0..69).all(|_| !rule.record(&mut memory, fail(true), Instant::EPOCH)));
        assert!(rule.record(&mut memory, fail(true), Instant::EPOCH));
        assert_eq!(rule.counts(&memory, Instant::EPOCH).failed.unwrap().permille, Some(503));
    }

    #[test]
    fn from_the_first_outcome_on_but_not_judged_early() {
        // Finagle: a success rate below 20 % over 10 requests is dead at the tenth failure of ten.
        let rule = Ewma::by_calls(800, 10, 10).unwrap();
        let mut memory = Ewma::EMPTY;
        assert!((0..9).all(|_| !rule.record(&mut memory, fail(true), Instant::EPOCH)));
        assert!(rule.record(&mut memory, fail(true), Instant::EPOCH));
        // By time, one failure a second over 10 s: at the tenth second.
        let rule = Ewma::by_time(500, Duration::from_secs(10), 1).unwrap();
        let mut memory = Ewma::EMPTY;
        let met = |second| rule.record(&mut memory, fail(true), Instant::from_secs(second));
        assert_eq!((100..=110).map(met).position(|met| met), Some(10));
    }

    #[test]
    fn a_clock_that_steps_back_weighs_nothing_and_puts_judging_off_by_a_span_at_most() {
        let rule = Ewma::by_time(500, Duration::from_secs(1), 1).unwrap();
        let mut memory = Ewma::EMPTY;
        rule.record(&mut memory, fail(false), Instant::from_secs(5_000));
        assert!(!rule.record(&mut memory, fail(true), Instant::from_secs(1)));
        assert_eq!(memory.failed, 0);
        assert!(!rule.record(&mut memory, fail(true), Instant::from_millis(1_999)));
        assert!(rule.record(&mut memory, fail(true), Instant::from_millis(2_000)));
    }

    #[test]
    fn calls_stop_at_their_maximum() {
        let rule = Ewma::by_calls(999, 10, u32::MAX).unwrap();
        let mut memory = EwmaMemory { failed: u64::MAX, ended: None, calls: u32::MAX - 2 };
        let met = [(); 4].map(|()| rule.record(&mut memory, fail(true), Instant::MAX));
        assert_eq!(met, [false, true, true, true]);
        let failed = rule.counts(&memory, Instant::MAX).failed.unwrap();
        assert_eq!((failed.calls, failed.bad, failed.permille), (u32::MAX, u32::MAX, Some(999)));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(Ewma::by_calls(500, 0, 1).unwrap_err().setting, "calls");
        assert_eq!(Ewma::by_calls(500, 1_000_001, 1).unwrap_err().setting, "calls");
        assert_eq!(Ewma::by_calls(0, 10, 1).unwrap_err().setting, "permille");
        assert_eq!(Ewma::by_calls(1_000, 10, 1).unwrap_err().setting, "permille");
        assert_eq!(Ewma::by_time(1, Duration::ZERO, 1).unwrap_err().setting, "span");
        assert_eq!(Ewma::by_time(1, Duration::MAX, 0).unwrap_err().setting, "minimum_calls");
    }
}
