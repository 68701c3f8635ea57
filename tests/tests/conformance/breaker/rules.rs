//! Trip rules chosen at run time: fusebox's rules with their types rubbed out, so that one breaker type holds any.

use std::fmt::Debug;
use std::time::Duration;

use fusebox::breaker::Sample;
use fusebox::{
    ConfigError, Consecutive, CountWindow, Counts, Either, Ewma, FailureCount, FailureRate, Instant, SlowRate,
    TimeWindow, TripRule,
};

use super::config::{Rule, Window};
use super::with_buckets;
use crate::fields::NotExpressible;

/// Any trip rule. The making of its memory is all that is known of it.
#[derive(Clone, Copy)]
pub(crate) struct AnyRule(&'static dyn Fn() -> Box<dyn Remembering>);

/// A rule with what it remembers.
trait Remembering: Debug {
    fn record(&mut self, sample: Sample, now: Instant) -> bool;
    fn counts(&self, now: Instant) -> Counts;
    fn rests_at(&self) -> Option<Instant>;
    fn copy(&self) -> Box<dyn Remembering>;
}

#[derive(Debug)]
struct With<R: TripRule> {
    rule: R,
    memory: R::Memory,
}

impl<R: TripRule + 'static> Remembering for With<R> {
    fn record(&mut self, sample: Sample, now: Instant) -> bool {
        self.rule.record(&mut self.memory, sample, now)
    }
    fn counts(&self, now: Instant) -> Counts {
        self.rule.counts(&self.memory, now)
    }
    fn rests_at(&self) -> Option<Instant> {
        self.rule.rests_at(&self.memory)
    }
    fn copy(&self) -> Box<dyn Remembering> {
        Box::new(Self { rule: self.rule, memory: self.memory.clone() })
    }
}

impl AnyRule {
    /// The rule lives as long as the process: rules are `Copy`, and the test's are few.
    fn of(rule: impl TripRule + 'static) -> Self {
        Self(Box::leak(Box::new(move || Box::new(With { rule, memory: empty(&rule) }) as Box<dyn Remembering>)))
    }
}

fn empty<R: TripRule>(_: &R) -> R::Memory {
    R::EMPTY
}

impl Debug for AnyRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", (self.0)())
    }
}

/// Made when the first call is recorded.
#[derive(Debug)]
pub(crate) struct AnyMemory(Option<Box<dyn Remembering>>);

impl Clone for AnyMemory {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(|memory| memory.copy()))
    }
}

impl TripRule for AnyRule {
    type Memory = AnyMemory;
    const EMPTY: AnyMemory = AnyMemory(None);

    fn record(&self, memory: &mut AnyMemory, sample: Sample, now: Instant) -> bool {
        memory.0.get_or_insert_with(self.0).record(sample, now)
    }
    fn counts(&self, memory: &AnyMemory, now: Instant) -> Counts {
        memory.0.as_ref().map_or_else(|| (self.0)().counts(now), |memory| memory.counts(now))
    }
    fn rests_at(&self, memory: &AnyMemory) -> Option<Instant> {
        memory.0.as_ref().map_or_else(|| (self.0)().rests_at(), |memory| memory.rests_at())
    }
}

/// Words of a count window: 1024 calls.
pub(crate) const WORDS: usize = 32;

type LastCalls = CountWindow<WORDS>;

/// One rule that is met when any of `rules` is.
pub(crate) fn any_of(rules: &[Rule]) -> Result<AnyRule, NotExpressible> {
    let mut made = Vec::new();
    for rule in rules {
        made.push(make(*rule)?);
    }
    let either = |first, second| AnyRule::of(Either(first, second));
    made.into_iter().reduce(either).map_or_else(|| make(Rule::InARow(u32::MAX)), Ok)
}

fn make(rule: Rule) -> Result<AnyRule, NotExpressible> {
    Ok(match rule {
        Rule::InARow(failures) => AnyRule::of(Consecutive::new(failures)?),
        Rule::FailureShare { window: Window::Calls(size), permille, minimum } => {
            AnyRule::of(FailureRate::<LastCalls>::of_last(size, permille, minimum)?)
        }
        Rule::SlowShare { window: Window::Calls(size), permille, minimum } => {
            AnyRule::of(SlowRate::<LastCalls>::of_last(size, permille, minimum)?)
        }
        Rule::FailureShare { window: Window::Time { span, buckets }, permille, minimum } => {
            with_buckets!(buckets, N => failure_within::<N>(span, permille, minimum)).ok_or_else(|| many(buckets))??
        }
        Rule::SlowShare { window: Window::Time { span, buckets }, permille, minimum } => {
            with_buckets!(buckets, N => slow_within::<N>(span, permille, minimum)).ok_or_else(|| many(buckets))??
        }
        Rule::FailuresOfLast { failures, calls } => {
            AnyRule::of(FailureCount::<LastCalls>::of_last(calls, failures.into())?)
        }
        Rule::WeightedByCalls { permille, calls, minimum } => AnyRule::of(Ewma::by_calls(permille, calls, minimum)?),
        Rule::WeightedByTime { permille, span, minimum } => AnyRule::of(Ewma::by_time(permille, span, minimum)?),
    })
}

fn many(buckets: usize) -> NotExpressible {
    NotExpressible::new(format!("config.window: {buckets} buckets are not among those the runner was compiled for"))
}

fn failure_within<const N: usize>(span: Duration, permille: u16, minimum: u32) -> Result<AnyRule, ConfigError> {
    FailureRate::<TimeWindow<N>>::within(span, permille, minimum).map(AnyRule::of)
}

fn slow_within<const N: usize>(span: Duration, permille: u16, minimum: u32) -> Result<AnyRule, ConfigError> {
    SlowRate::<TimeWindow<N>>::within(span, permille, minimum).map(AnyRule::of)
}
