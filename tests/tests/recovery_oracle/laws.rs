//! What holds whatever a model says: nothing is hot, all ends in its time, and polling makes no difference.

use fusebox::recovery::{Acted, Ladder, Next, Standing};
use fusebox::{Gate, Outcome};
use fusebox_tests::Dice;

use super::{Setup, at};

/// Follows the ladder of a dead device at once, from the first failure until it gives up; says when that is.
fn climb<const N: usize>(ladder: &mut Ladder<usize, N>, setup: &Setup, dice: &mut Dice) -> u64 {
    let (mut now, mut last_trial, mut acted) = (0, None, false);
    loop {
        match ladder.next(at(now)) {
            Err(_) => break,
            Ok(Next::Wait { until }) => now = until.as_nanos(),
            Ok(Next::Act(turn)) => {
                // Takes its whole time, less a nanosecond, or fails.
                now += dice.below(setup.rungs[turn.act().action].timeout);
                let how = if dice.one_in(4) { Acted::Failed } else { Acted::Done };
                ladder.acted(turn, how, at(now));
                acted = true;
            }
            Ok(Next::Call { .. }) => {
                assert!(acted || last_trial != Some(now), "two trials in a row, and nothing in between");
                (last_trial, acted) = (Some(now), false);
                let permit = ladder.try_acquire(at(now)).unwrap();
                assert!(ladder.try_acquire(at(now)).is_err() || ladder.standing() == Standing::Working);
                now += if ladder.standing() == Standing::Working { 0 } else { dice.below(setup.call) };
                ladder.release(permit, Outcome::Failure, at(now));
            }
        }
    }
    now
}

fn climbs<const N: usize>(seed: u32) {
    let mut dice = Dice::new(seed);
    let mut setup = Setup::random(&mut dice, N);
    setup.start_after = 1;
    let mut ladder = Ladder::new(setup.config::<N>());
    let took = climb(&mut ladder, &setup, &mut dice);
    assert_eq!(ladder.standing(), Standing::GivenUp);
    let longest = ladder.config().longest_climb().as_nanos();
    assert!(u128::from(took) <= longest, "{took} of {longest}");
    for (rung, counts) in setup.rungs.iter().zip(ladder.counts()) {
        assert!(counts.recent > 0 && counts.recent <= rung.times.into(), "{counts:?}");
        assert_eq!((counts.uses, counts.cured), (counts.recent, 0));
    }
}

#[test]
fn a_dead_device_is_given_up_in_time_and_nothing_is_hot() {
    for seed in 0..5_000 {
        climbs::<1>(seed);
        climbs::<2>(seed);
        climbs::<4>(seed);
        climbs::<7>(seed);
    }
}

/// Two ladders, the same calls; one is polled at every nanosecond in between.
#[test]
fn polling_makes_no_difference() {
    for seed in 0..2_000 {
        let mut dice = Dice::new(seed);
        let setup = Setup::random(&mut dice, 3);
        let (mut lazy, mut polled) = (Ladder::new(setup.config::<3>()), Ladder::new(setup.config::<3>()));
        let (mut now, mut held, mut turns) = (0, vec![], vec![]);
        for _ in 0..60 {
            let later = now + dice.below(40);
            (now..later).for_each(|now| polled.handle_timeout(at(now)));
            now = later;
            match dice.below(4) {
                0 => match (lazy.try_acquire(at(now)), polled.try_acquire(at(now))) {
                    (Ok(lazy), Ok(polled)) => held.push((lazy, polled)),
                    (lazy, polled) => assert_eq!(lazy, polled, "seed {seed} at {now}"),
                },
                1 => match (lazy.next(at(now)), polled.next(at(now))) {
                    (Ok(Next::Act(lazy)), Ok(Next::Act(polled))) => turns.push((lazy, polled)),
                    (lazy, polled) => assert_eq!(lazy, polled, "seed {seed} at {now}"),
                },
                2 => {
                    let outcome = if dice.one_in(3) { Outcome::Success } else { Outcome::Failure };
                    if let Some((permit, of_polled)) = dice.pick(&mut held) {
                        lazy.release(permit, outcome, at(now));
                        polled.release(of_polled, outcome, at(now));
                    }
                }
                _ => {
                    if let Some((turn, of_polled)) = dice.pick(&mut turns) {
                        lazy.acted(turn, Acted::Done, at(now));
                        polled.acted(of_polled, Acted::Done, at(now));
                    }
                }
            }
            lazy.handle_timeout(at(now));
            polled.handle_timeout(at(now));
            assert_eq!((lazy.snapshot(), lazy.counts()), (polled.snapshot(), polled.counts()), "seed {seed} at {now}");
        }
    }
}
