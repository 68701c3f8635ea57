//! Law: a recovery ladder answers as a list of its steps would, whatever its callers and the clock do; it lets one at a
//! time act or try, never without a wait or an action in between, and it ends.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, clippy::cast_possible_truncation, missing_docs)]

mod laws;
mod model;

use std::time::Duration;

use fusebox::recovery::{Acted, Change, Ladder, LadderConfig, LadderSnapshot, Next, Permit, Rung, Turn};
use fusebox::{Gate, Instant, Outcome};
use fusebox_tests::Dice;
use model::{Model, Now};

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn ns(n: u64) -> Duration {
    Duration::from_nanos(n)
}

/// One rung, readable. Its action is its number.
#[derive(Clone, Copy, Debug)]
struct Step {
    acts: bool,
    timeout: u64,
    settle: u64,
    hold: u64,
    times: u16,
}

#[derive(Clone, Debug)]
struct Setup {
    rungs: Vec<Step>,
    call: u64,
    start_after: u16,
    step_down: u64,
    retry_after: Option<u64>,
}

impl Setup {
    fn random(dice: &mut Dice, rungs: usize) -> Self {
        let step_down = 1 + dice.below(60);
        let rung = |_| {
            let acts = !dice.one_in(3);
            Step {
                acts,
                timeout: if acts { 1 + dice.below(20) } else { 0 },
                settle: u64::from(!acts) + dice.below(15),
                hold: dice.below(step_down + 1),
                times: 1 + dice.below(3),
            }
        };
        let rungs = (0..rungs).map(rung).collect();
        Self {
            rungs,
            call: 1 + dice.below(15),
            start_after: 1 + dice.below(2),
            step_down,
            retry_after: (!dice.one_in(8)).then(|| 1 + dice.below(100)),
        }
    }

    fn config<const N: usize>(&self) -> LadderConfig<usize, N> {
        let rungs = core::array::from_fn(|n| {
            let Step { acts, timeout, settle, hold, times } = self.rungs[n];
            let rung = if acts { Rung::action(n, ns(timeout), ns(settle)) } else { Rung::retry(ns(settle)) };
            rung.times(times).hold(ns(hold))
        });
        let builder =
            LadderConfig::builder(ns(self.call), rungs).start_after(self.start_after).step_down(ns(self.step_down));
        match self.retry_after {
            Some(wait) => builder.retry_after(ns(wait)),
            None => builder.give_up_for_good(),
        }
        .build()
        .unwrap()
    }
}

/// A clock that mostly goes on, and sometimes does not.
fn tick(dice: &mut Dice, now: u64) -> u64 {
    match dice.below(300) {
        0 => now.saturating_sub(1 + dice.below(60)),
        1 => now.saturating_sub(dice.below(1 << 30)),
        2 => now + dice.below(1 << 20),
        3..=120 => now,
        _ => now + dice.below(8),
    }
}

/// A refusal is exact, if there is still time to be exact about.
fn check_refusal<const N: usize>(real: &Ladder<usize, N>, retry_at: Option<Instant>) {
    if let Some(retry_at) = retry_at {
        assert!(real.clone().try_acquire(at(retry_at.as_nanos() - 1)).is_err(), "not a nanosecond before");
        assert!(real.clone().try_acquire(retry_at).is_ok());
    }
}

fn check<const N: usize>(real: &mut Ladder<usize, N>, model: &mut Model, dice: &mut Dice) {
    let expected = LadderSnapshot {
        standing: model.standing(),
        since: at(model.since),
        rung: model.rung as u8,
        used: model.used() as u16,
        recoveries: model.recoveries,
        recovered: model.recovered,
        gave_up: model.gave_up,
        refused: model.refused,
    };
    assert_eq!(real.snapshot(), expected);
    assert_eq!(real.counts().to_vec(), model.counts);
    assert_eq!(real.poll_timeout(), model.alarm().map(at));
    if dice.one_in(8) {
        let change = match (model.untold.first(), model.untold.last()) {
            (Some((from, _)), Some((_, to))) => Some(Change { from: *from, to: *to, at: at(model.since) }),
            _ => None,
        };
        model.untold.clear();
        assert_eq!(real.poll_event(), change);
    }
}

/// A permit goes back; the model hears of it if it is not of an earlier epoch.
fn report<const N: usize>(
    real: &mut Ladder<usize, N>,
    model: &mut Model,
    permit: Permit,
    epoch: u32,
    dice: &mut Dice,
    now: u64,
) {
    let way = dice.below(8);
    match way {
        0 => real.release(permit, Outcome::Failure, at(now)),
        1 => real.release(permit, Outcome::Unavailable { retry_at: at(now + 99) }, at(now)),
        2 => real.release(permit, Outcome::Ignored, at(now)),
        3 => real.cancel(permit, at(now)),
        _ => real.release(permit, Outcome::Success, at(now)),
    }
    match way {
        _ if epoch != model.epoch => {}
        0 | 1 => model.bad(now),
        2 | 3 => model.neither(now),
        _ => model.good(now),
    }
}

fn compare<const N: usize>(seed: u32, steps: u32) -> LadderSnapshot {
    let mut dice = Dice::new(seed);
    let setup = Setup::random(&mut dice, N);
    let mut real = Ladder::new(setup.config::<N>());
    let mut model = Model::new(setup);
    let mut permits: Vec<(u32, Permit)> = vec![];
    let mut turns: Vec<(u32, Turn<usize>)> = vec![];
    let mut now = 1_000_000;
    for step in 0..steps {
        let context = || format!("seed {seed}, {N} rungs, step {step} at {now}");
        model.at(now);
        match dice.below(100) {
            0..=29 => {
                let expected = model.ask(now);
                let got = real.try_acquire(at(now));
                assert_eq!(got.as_ref().err(), expected.as_ref().err(), "{}", context());
                match (expected, got) {
                    (Ok(epoch), Ok(permit)) => permits.push((epoch, permit)),
                    (Err(rejected), _) => check_refusal(&real, rejected.retry_at),
                    _ => {}
                }
            }
            30..=59 => match (real.next(at(now)), model.now) {
                (Ok(Next::Call { deadline }), Now::Works { .. } | Now::TrialDue) => {
                    assert_eq!(deadline, at(now + model.setup.call));
                }
                (Ok(Next::Wait { until }), Now::Settles(expected)) => assert_eq!(until, at(expected)),
                (Ok(Next::Act(turn)), Now::ActionDue) => {
                    let (act, timeout) = (turn.act(), model.setup.rungs[model.rung].timeout);
                    assert_eq!((act.action, usize::from(act.rung)), (model.rung, model.rung));
                    assert_eq!((usize::from(act.number), act.deadline), (model.used(), at(now + timeout)));
                    turns.push((model.take_turn(now), turn));
                }
                (Err(rejected), Now::Acts(_) | Now::Tries(_) | Now::Gone(_)) => {
                    assert_eq!(rejected, model.refuse(), "{}", context());
                }
                (got, model) => panic!("{got:?} for {model:?}: {}", context()),
            },
            60..=79 => {
                if let Some((epoch, permit)) = dice.pick(&mut permits) {
                    report(&mut real, &mut model, permit, epoch, &mut dice, now);
                } else {
                    real.handle_timeout(at(now));
                }
            }
            80..=94 => {
                if let Some((epoch, turn)) = dice.pick(&mut turns) {
                    let acted = [Acted::Done, Acted::Done, Acted::Failed, Acted::Abandoned][dice.below(4)];
                    real.acted(turn, acted, at(now));
                    match acted {
                        _ if epoch != model.epoch => {}
                        Acted::Done => model.done(now),
                        Acted::Failed => model.action_failed(now),
                        Acted::Abandoned => model.abandoned(now),
                    }
                } else {
                    real.handle_timeout(at(now));
                }
            }
            95..=96 => {
                real.handle_timeout(at(now));
                real.start(at(now));
                model.start(now);
            }
            97 if dice.one_in(5) => {
                real.handle_timeout(at(now));
                real.reset(at(now));
                model.reset(now);
            }
            // Lost without a word.
            98 => _ = dice.pick(&mut permits),
            _ => _ = dice.pick(&mut turns),
        }
        // A step that only lost something did not look at the clock.
        real.handle_timeout(at(now));
        model.at(now);
        check(&mut real, &mut model, &mut dice);
        now = tick(&mut dice, now);
    }
    real.snapshot()
}

#[test]
fn a_ladder_is_a_list_of_its_steps() {
    let mut sums = [0; 4];
    for seed in 0..300 {
        for told in
            [compare::<1>(seed, 1_500), compare::<2>(seed, 1_500), compare::<3>(seed, 2_000), compare::<5>(seed, 3_000)]
        {
            for (sum, n) in sums.iter_mut().zip([told.recoveries, told.recovered, told.gave_up, told.refused]) {
                *sum += n;
            }
        }
    }
    println!("recoveries, recovered, gave up, refused: {sums:?}");
    assert!(sums.iter().all(|sum| *sum > 10_000), "{sums:?}");
}
