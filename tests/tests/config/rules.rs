//! A breaker from a file does what the one built by hand does, whatever its rule and its number of trials.

use std::time::Duration;

use fusebox::breaker::{Either, TripRule};
use fusebox::{
    Backoff, BreakerConfig, Consecutive, CountWindow, Entropy, Ewma, FailureCount, FailureRate, Instant, Jitter,
    Outcome, SharedGate, SlowRate, State, TimeWindow, sync,
};
use fusebox_drive::config::{AnyBreaker, PipelineConfig};

const SECOND: Duration = Duration::from_secs(1);

fn from_file(text: &str) -> AnyBreaker {
    let config: PipelineConfig = crate::toml(text);
    config.breaker.unwrap().build(&Entropy::new(7)).unwrap()
}

/// The seed that [`from_file`] draws.
fn seed() -> u32 {
    Entropy::new(7).draw()
}

macro_rules! both {
    ($name:ident($now:ident)) => {
        |file: &AnyBreaker, hand: &sync::Breaker<R, N>, $now| {
            file.$name($now);
            hand.$name($now);
        }
    };
}

/// Random traffic, with a hand on the switches now and then.
#[track_caller]
fn same<R: TripRule, const N: usize>(text: &str, config: BreakerConfig<R, N>) {
    let chance = Entropy::new(3);
    let mut opened = 0;
    for round in 0..40 {
        let (file, hand) = (from_file(text), sync::Breaker::new(config));
        let mut now = Instant::from_secs(100);
        let (mut out, bad) = (vec![], 1 + round % 10);
        let switches: [fn(&AnyBreaker, &sync::Breaker<R, N>, Instant); 7] = [
            both!(trip(now)),
            both!(half_open(now)),
            both!(force_open(now)),
            both!(force_closed(now)),
            both!(dry_run(now)),
            both!(reset(now)),
            both!(handle_timeout(now)),
        ];
        for _ in 0..300 {
            let draw = chance.draw();
            let pick = |n: usize| (draw >> 16) as usize % n;
            match draw % 16 {
                0..6 => {
                    let (a, b) = (file.try_acquire(now), hand.try_acquire(now));
                    assert_eq!(a.as_ref().err(), b.as_ref().err(), "{text}");
                    out.extend(a.ok().zip(b.ok()));
                }
                6..11 if !out.is_empty() => {
                    let (a, b) = out.swap_remove(pick(out.len()));
                    let outcome = match pick(10) {
                        kind if kind < bad => Outcome::Failure,
                        9 => Outcome::Unavailable { retry_at: now.saturating_add(5 * SECOND) },
                        8 => Outcome::Ignored,
                        _ => Outcome::Success,
                    };
                    file.release(a, outcome, now);
                    hand.release(b, outcome, now);
                }
                11 if !out.is_empty() => {
                    let (a, b) = out.swap_remove(pick(out.len()));
                    file.cancel(a, now);
                    hand.cancel(b, now);
                }
                12 if pick(20) == 0 => switches[pick(switches.len())](&file, &hand, now),
                _ => now = now.saturating_add(Duration::from_millis((pick(8) * pick(300)) as u64)),
            }
            assert_eq!((file.state(), file.snapshot(now)), (hand.state(), hand.snapshot(now)), "{text}");
            assert_eq!((file.poll_timeout(), file.poll_event()), (hand.poll_timeout(), hand.poll_event()), "{text}");
            opened += u32::from(file.state() == State::Open);
        }
    }
    assert!(opened > 100, "{text}: it was open {opened} times");
}

fn short<R: TripRule>(rule: R) -> BreakerConfig<R, 1> {
    BreakerConfig::builder(rule).seed(seed()).open_for(SECOND).slow_after(SECOND / 2).build().unwrap()
}

#[test]
fn every_rule() {
    let same_rule =
        |rule: &str, or: &str| format!("[breaker]\nopen_for = '1s'\nslow_after = '500ms'\nrule = {{ {rule} }}\n{or}");
    macro_rules! check {
        ($text:expr, $rule:expr) => {
            same(&same_rule($text, ""), short($rule.unwrap()));
        };
    }
    check!("kind = 'consecutive', threshold = 3", Consecutive::new(3));
    check!("kind = 'failure_count', threshold = 3, last = 7", FailureCount::<CountWindow<1>>::of_last(7, 3));
    check!("kind = 'failure_count', threshold = 4, last = 1024", FailureCount::<CountWindow<32>>::of_last(1_024, 4));
    check!(
        "kind = 'failure_count', threshold = 3, within = '2s'",
        FailureCount::<TimeWindow<10>>::within(2 * SECOND, 3)
    );
    check!(
        "kind = 'failure_rate', permille = 300, minimum_calls = 4, last = 25",
        FailureRate::<CountWindow<1>>::of_last(25, 300, 4)
    );
    check!(
        "kind = 'failure_rate', permille = 300, minimum_calls = 5, last = 26",
        FailureRate::<CountWindow<2>>::of_last(26, 300, 5)
    );
    check!(
        "kind = 'failure_rate', permille = 300, minimum_calls = 4, within = '3s'",
        FailureRate::<TimeWindow<10>>::within(3 * SECOND, 300, 4)
    );
    check!(
        "kind = 'slow_rate', permille = 400, minimum_calls = 3, last = 20",
        SlowRate::<CountWindow<1>>::of_last(20, 400, 3)
    );
    check!(
        "kind = 'slow_rate', permille = 400, minimum_calls = 3, within = '3s'",
        SlowRate::<TimeWindow<10>>::within(3 * SECOND, 400, 3)
    );
    check!("kind = 'ewma', permille = 400, minimum_calls = 4, last = 6", Ewma::by_calls(400, 6, 4));
    check!("kind = 'ewma', permille = 400, minimum_calls = 4, within = '2s'", Ewma::by_time(400, 2 * SECOND, 4));
    same(
        &same_rule(
            "kind = 'consecutive', threshold = 4",
            "or_rule = { kind = 'slow_rate', permille = 400, minimum_calls = 3, last = 9 }",
        ),
        short(Either(Consecutive::new(4).unwrap(), SlowRate::<CountWindow<1>>::of_last(9, 400, 3).unwrap())),
    );
    same(
        &same_rule(
            "kind = 'slow_rate', permille = 900, minimum_calls = 9, within = '9s'",
            "or_rule = { kind = 'failure_rate', permille = 500, minimum_calls = 3, within = '9s' }",
        ),
        short(Either(
            SlowRate::<TimeWindow<10>>::within(9 * SECOND, 900, 9).unwrap(),
            FailureRate::<TimeWindow<10>>::within(9 * SECOND, 500, 3).unwrap(),
        )),
    );
}

#[test]
fn every_number_of_trials() {
    fn trials<const N: usize>(needed: u16) {
        let text = format!(
            "[breaker]\nrule = {{ kind = 'consecutive', threshold = 2 }}\nopen_for = '1s'\ntrial_ttl = '3s'\n\
             trials = {N}\nsuccesses_to_close = {needed}"
        );
        let builder = BreakerConfig::builder(Consecutive::new(2).unwrap()).open_for(SECOND).trial_ttl(3 * SECOND);
        same(&text, builder.seed(seed()).successes_to_close(needed).trials::<N>().build().unwrap());
    }
    trials::<1>(1);
    trials::<2>(1);
    trials::<3>(2);
    trials::<4>(3);
    trials::<5>(5);
    trials::<6>(2);
    trials::<7>(3);
    trials::<8>(8);
    trials::<9>(12);
    trials::<10>(4);
}

#[test]
fn every_other_setting() {
    let rule = "[breaker]\nrule = { kind = 'consecutive', threshold = 2 }\nsuccesses_to_close = 2\n";
    let builder = BreakerConfig::builder(Consecutive::new(2).unwrap()).seed(seed()).successes_to_close(2);
    let same_setting = |settings: &str, config| same(&format!("{rule}{settings}"), config);
    same_setting(
        "max_hint = '3s'\nhalf_open_for = '2s'\nslow_after = '100ms'\nopen_for = '1s'",
        builder
            .max_hint(3 * SECOND)
            .half_open_for(2 * SECOND)
            .slow_after(SECOND / 10)
            .open_for(SECOND)
            .build()
            .unwrap(),
    );
    same_setting(
        "slow_start = { from_permille = 200, over = '5s' }\nopen_for = '500ms'",
        builder.slow_start(200, 5 * SECOND).open_for(SECOND / 2).build().unwrap(),
    );
    let interval = Backoff::exponential(SECOND / 4, 4 * SECOND).unwrap().with_jitter(Jitter::Full);
    same_setting(
        "open_interval = { kind = 'exponential', first = '250ms', cap = '4s', jitter = 'full' }",
        builder.open_interval(interval).build().unwrap(),
    );
}

#[test]
fn every_default() {
    let rule = "[breaker]\nrule = { kind = 'failure_count', threshold = 2, within = '60s' }\n";
    let config = BreakerConfig::builder(FailureCount::<TimeWindow<10>>::within(60 * SECOND, 2).unwrap());
    same(rule, config.build().unwrap());
}

#[test]
fn fleets_that_read_one_file_do_not_come_back_together() {
    let text = "[breaker]\nrule = { kind = 'consecutive', threshold = 1 }\n\
                open_interval = { kind = 'constant', first = '1h', jitter = 'full' }";
    let opens_until = |seed| {
        let breaker = crate::toml(text).breaker.unwrap().build(&Entropy::new(seed)).unwrap();
        breaker.trip(Instant::EPOCH);
        breaker.try_acquire(Instant::EPOCH).unwrap_err().retry_at.unwrap()
    };
    assert_ne!(opens_until(1), opens_until(2));
}
