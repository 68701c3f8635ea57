//! Oracles of the adaptive limit: each rule's step against floats, the whole machine against a model with lists, and
//! what must hold whatever happens.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    clippy::integer_division,
    clippy::missing_const_for_fn,
    reason = "a test may round, and needs no const"
)]

mod model;
mod rules;

use std::time::Duration;

use fusebox::adaptive::{AdaptiveBuilder, Headroom, LimitRule, Permit};
use fusebox::{AdaptiveConfig, AdaptiveLimit, Aimd, Gate, Gradient2, Instant, Outcome, Reason, Rejected, Vegas};
use fusebox_tests::Dice;
use model::{Call, Config, Model, Rule};

const MS: u64 = 1_000_000;

/// An odd number of nanoseconds, so that hardly ever two sides of a comparison are equal.
fn some_time(dice: &mut Dice, about: u64) -> u64 {
    dice.below(about) + 1
}

fn some_outcome(dice: &mut Dice, drops: u64) -> Outcome {
    match dice.below(100) {
        n if n < drops => Outcome::Unavailable { retry_at: Instant::MAX },
        n if n < 2 * drops => Outcome::Failure,
        n if n < 2 * drops + 4 => Outcome::Ignored,
        _ => Outcome::Success,
    }
}

fn with<A: LimitRule>(config: &Config, rule: A) -> AdaptiveLimit<A> {
    let [least, initial, greatest] = config.limits;
    let mut builder: AdaptiveBuilder<A> = AdaptiveConfig::builder(rule).limits(least, initial, greatest).never_probe();
    let nanos = Duration::from_nanos;
    if let Some(timeout) = config.timeout {
        builder = builder.timeout(nanos(timeout));
    }
    if let Some(time) = config.no_load {
        builder = builder.no_load(nanos(time));
    }
    if let Some(interval) = config.interval {
        builder = builder.probe_every(nanos(interval));
    }
    if let Some(idle) = config.forget_after {
        builder = builder.forget_after(nanos(idle));
    }
    if config.every_call {
        builder = builder.on_every_call();
    }
    if config.strict {
        builder = builder.headroom(Headroom::new(1_000).unwrap().lowers());
    }
    AdaptiveLimit::new(builder.build().unwrap())
}

/// The limit and its model side by side.
struct Pair<A: LimitRule> {
    limit: AdaptiveLimit<A>,
    model: Model,
    out: Vec<(Permit, Call)>,
    now: u64,
    probes: u32,
}

impl<A: LimitRule> Pair<A> {
    fn start(&mut self) {
        let told = self.limit.try_acquire(Instant::from_nanos(self.now));
        let call = self.model.acquire(self.now);
        match (told, call) {
            (Ok(permit), Some(call)) => self.out.push((permit, call)),
            (Err(refused), None) => {
                assert_eq!(refused, Rejected { reason: Reason::LimitReached, retry_at: None });
            }
            (told, call) => panic!("{told:?}, not {call:?}"),
        }
    }

    fn end(&mut self, dice: &mut Dice, drops: u64) {
        if self.out.is_empty() {
            return;
        }
        // Mostly one of the oldest.
        let which = dice.below(self.out.len()).min(dice.below(self.out.len()));
        let (permit, call) = self.out.remove(which);
        let now = Instant::from_nanos(self.now);
        if dice.below(50) == 0 {
            self.limit.cancel(permit, now);
            self.model.cancel(self.now);
        } else {
            let outcome = some_outcome(dice, drops);
            self.limit.release(permit, outcome, now);
            self.model.release(call, outcome, self.now);
        }
    }

    fn compare(&mut self, step: u32) {
        let (told, model) = (self.limit.snapshot(), &self.model);
        assert_eq!(
            (told.limit, told.in_flight, told.probing, told.dropped, told.refused),
            (model.limit(), model.in_flight, model.probing, model.dropped, model.refused),
            "step {step}"
        );
        match (told.no_load_nanos, model.no_load()) {
            (Some(told), Some(model)) => {
                assert!((told as f64 - model).abs() < 40.0 + model * 1e-8, "step {step}: {told}, not {model}");
            }
            (told, model) => assert!(told.is_none() && model.is_none(), "step {step}: {told:?}, not {model:?}"),
        }
        self.probes += u32::from(told.probing);
    }
}

/// Returns how many steps were within a probe.
fn history<A: LimitRule>(config: Config, rule: A, seed: u32) -> u32 {
    let mut dice = Dice::new(seed);
    let limit = with(&config, rule);
    let mut pair = Pair { limit, model: Model::new(config), out: vec![], now: 1_000 * MS, probes: 0 };
    // Phases of more and of less traffic, so that queues and their absence are both met.
    let (mut starts, mut drops) = (50, 1);
    for step in 0..6_000 {
        if step % 200 == 0 {
            (starts, drops) = ([20, 45, 50, 55, 80][dice.below(5)], [0, 0, 1, 10][dice.below(4)]);
        }
        match dice.below(1_000) {
            0 => pair.now = pair.now.saturating_sub(some_time(&mut dice, 3_000 * MS)),
            1 => pair.now += 20_000 * MS,
            2 => {
                while !pair.out.is_empty() {
                    pair.end(&mut dice, drops);
                }
            }
            _ => pair.now += some_time(&mut dice, 20 * MS),
        }
        if dice.below(100) < starts {
            pair.start();
        } else {
            pair.end(&mut dice, drops);
        }
        pair.compare(step);
    }
    pair.probes
}

#[test]
fn the_machine_is_its_model() {
    let mut probed = [0; 4];
    for seed in 0..160 {
        let mut dice = Dice::after(seed, 1 << 30);
        let mut maybe = |value: u64| (dice.draw() & 1 == 0).then_some(value);
        let config = Config {
            rule: Rule::Aimd(0.9, false),
            limits: [[1, 20, 200], [2, 2, 30], [3, 40, 40], [1, 150, 2_000]][seed as usize / 4 % 4],
            timeout: maybe(300 * MS + 1),
            no_load: maybe(90 * MS + 1).filter(|_| seed % 3 == 0),
            interval: maybe(2_000 * MS),
            forget_after: maybe(10_000 * MS),
            every_call: maybe(0).is_some(),
            strict: maybe(0).is_some(),
        };
        let which = seed as usize % 4;
        probed[which] += match which {
            0 => {
                let timeout = config.timeout.or(Some(200 * MS));
                history(Config { timeout, ..config }, Aimd::DEFAULT, seed)
            }
            1 => {
                let (rule, timeout) = (Rule::Aimd(0.5, true), config.timeout.or(Some(200 * MS)));
                history(Config { rule, timeout, ..config }, Aimd::new(500).unwrap().of_limit(), seed)
            }
            2 => history(Config { rule: Rule::Vegas { shortest: false }, ..config }, Vegas::DEFAULT, seed),
            _ => history(
                Config { rule: Rule::Vegas { shortest: true }, ..config },
                Vegas::DEFAULT.against_shortest(),
                seed,
            ),
        };
    }
    assert!(probed[0] == 0 && probed[1] == 0 && probed[2] > 1_000 && probed[3] > 1_000, "{probed:?}");
}

/// What must hold whatever the rule says.
fn laws<A: LimitRule>(config: AdaptiveConfig<A>, [least, greatest]: [u16; 2], seed: u32) {
    let mut dice = Dice::new(seed);
    let mut limit = AdaptiveLimit::new(config);
    let (mut out, mut now, mut refused) = (vec![], 1_000 * MS, 0);
    for step in 0..20_000 {
        now += some_time(&mut dice, 9 * MS);
        let before = limit.snapshot();
        assert!((least..=greatest).contains(&before.limit), "{before:?}");
        assert_eq!((usize::from(before.in_flight), before.refused), (out.len(), refused));
        if dice.below(100) < [40, 52, 90][step / 1_000 % 3] {
            let told = limit.try_acquire(Instant::from_nanos(now));
            assert_eq!(told.is_ok(), before.in_flight < before.limit);
            refused += u32::from(told.is_err());
            out.extend(told.ok());
            continue;
        }
        if out.is_empty() {
            continue;
        }
        let permit = out.remove(dice.below(out.len()));
        let outcome = some_outcome(&mut dice, 3);
        limit.release(permit, outcome, Instant::from_nanos(now));
        let after = limit.snapshot();
        if outcome == Outcome::Ignored {
            let place_back = fusebox::adaptive::AdaptiveSnapshot { in_flight: before.in_flight - 1, ..before };
            assert_eq!(after, place_back);
        }
        let probe = before.probing != after.probing;
        if outcome != Outcome::Success || before.probing {
            assert!(after.limit <= before.limit || probe, "{outcome:?}: {before:?}, {after:?}");
        }
    }
}

#[test]
fn laws_hold_for_every_rule() {
    for seed in 0..12 {
        for limits in [[1, 7, 50], [4, 4, 9], [1, 60_000, u16::MAX]] {
            let [least, initial, greatest] = limits;
            let ends = [least, greatest];
            let timeout = Duration::from_millis(150);
            let aimd = AdaptiveConfig::builder(Aimd::DEFAULT).timeout(timeout);
            laws(aimd.limits(least, initial, greatest).build().unwrap(), ends, seed);
            let vegas = AdaptiveConfig::builder(Vegas::DEFAULT).probe_every(Duration::from_secs(1));
            laws(vegas.limits(least, initial, greatest).build().unwrap(), ends, seed);
            let gradient = AdaptiveConfig::builder(Gradient2::DEFAULT).probe_every(Duration::from_secs(1));
            laws(gradient.limits(least, initial, greatest).build().unwrap(), ends, seed);
            let published = AdaptiveConfig::builder(Gradient2::DEFAULT.unguarded()).on_every_call().never_probe();
            laws(published.limits(least, initial, greatest).build().unwrap(), ends, seed);
        }
    }
}
