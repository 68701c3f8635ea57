//! Law: a leveling queue answers as a naive list of items would, every item comes out exactly once, and nothing comes
//! out too late, too fast or out of order; whatever the clock does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, clippy::cast_possible_truncation, missing_docs)]

mod burst;
mod laws;
mod model;

use std::num::NonZeroU16;
use std::time::Duration;

use fusebox::queue::{Codel, LevelConfig, LevelingQueue, Order, Overflow, Popped, Terms};
use fusebox::{Instant, Quota};
use fusebox_tests::Dice;
use model::{Model, Out};

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn ns(n: u64) -> Duration {
    Duration::from_nanos(n)
}

/// With its target and interval.
fn codel(dice: &mut Dice) -> (Codel, u64, u64) {
    let target = 1 + dice.below(8);
    let interval = target + 1 + dice.below(40);
    (Codel::new(ns(target), ns(interval)).unwrap(), target, interval)
}

/// What was configured, readable.
#[derive(Clone, Copy, Debug)]
struct Setup {
    rate: Option<Quota>,
    max_wait: Option<u64>,
    codel: Option<(Codel, u64, u64)>,
    order: Order,
    overflow: Overflow,
    refuse_late: bool,
}

impl Setup {
    fn random(dice: &mut Dice) -> Self {
        let refuse_late = dice.one_in(3);
        let count = 1 + dice.below(3);
        // For early refusals whole nanoseconds, so that the model need not know how fractions are rounded.
        let period =
            if refuse_late { u64::from(count) * (1 + dice.below(9)) } else { u64::from(count) + dice.below(30) };
        let quota = Quota::new(count, ns(period)).unwrap().with_burst(1 + dice.below(4)).unwrap();
        let codel = (!dice.one_in(3)).then(|| codel(dice));
        let order = match dice.below(3) {
            0 if codel.is_some() => Order::LifoOverloaded,
            1 => Order::LifoFrom(NonZeroU16::new(1 + dice.below(6)).unwrap()),
            _ => Order::Fifo,
        };
        let overflow = [Overflow::RefuseNewest, Overflow::DropOldest, Overflow::DropLowest][dice.below(3)];
        Self {
            rate: (refuse_late || !dice.one_in(3)).then_some(quota),
            max_wait: dice.one_in(2).then(|| 1 + dice.below(60)),
            codel,
            order,
            overflow,
            refuse_late,
        }
    }

    fn config(&self) -> LevelConfig {
        let mut builder = LevelConfig::builder().order(self.order).overflow(self.overflow);
        if let Some(rate) = self.rate {
            builder = builder.rate(rate);
        }
        if let Some(max_wait) = self.max_wait {
            builder = builder.max_wait(ns(max_wait));
        }
        if let Some((codel, _, _)) = self.codel {
            builder = builder.codel(codel);
        }
        if self.refuse_late {
            builder = builder.refuse_late();
        }
        builder.build().unwrap()
    }
}

/// A clock that mostly goes on, and sometimes does not.
fn tick(dice: &mut Dice, now: u64) -> u64 {
    let next = match dice.below(400) {
        0 => now.saturating_sub(1 + dice.below(100)),
        1 => now.saturating_sub(dice.below(1 << 30)),
        2 => now.saturating_add(dice.below(1 << 30)),
        3 if dice.one_in(20) => u64::MAX - dice.below(50),
        4 if dice.one_in(20) => dice.below(50),
        5..=199 => now,
        _ => now.saturating_add(dice.below(6)),
    };
    next.min(Instant::MAX.as_nanos())
}

fn compare<const N: usize, const C: usize>(seed: u32, steps: u32) {
    let mut dice = Dice::new(seed);
    let setup = Setup::random(&mut dice);
    let context = |step: u32| format!("seed {seed}, {N} places, {C} classes, step {step}, {setup:?}");
    let mut queue: LevelingQueue<u32, N, C> = LevelingQueue::new(setup.config());
    let mut model = Model::new(setup, N, C);
    let (mut now, mut times_out) = (1_000 * u64::from(dice.one_in(2)), vec![0_u8; steps as usize]);
    let pushes = 2 + dice.below(4);
    for step in 0..steps {
        now = tick(&mut dice, now);
        if setup.refuse_late {
            // At the end of time turns run into each other, in the model in another way.
            now = now.min(u64::MAX >> 1);
        }
        let out = match dice.below(8) {
            _ if dice.one_in(500) => queue.take().map(|queued| Out { item: queued.item, how: "handed back" }),
            _ if dice.one_in(500) => {
                let new = dice.one_in(2).then(|| codel(&mut dice));
                // LIFO under overload needs it, but may do without for a while.
                queue.set_codel(new.map(|(codel, _, _)| codel));
                model.set_codel(new);
                None
            }
            n if n < pushes => {
                let deadline = dice.one_in(2).then(|| at(now.saturating_add(dice.below(60)).saturating_sub(2)));
                let terms = Terms { class: dice.below(C as u32 + 1) as u8, deadline };
                let (got, expected) = (queue.push(step, terms, at(now)), model.push(step, terms, now));
                let got = got.map(|gone| gone.map(Out::unserved)).map_err(|refused| (refused.item, refused.rejected));
                assert_eq!(got, expected, "{terms:?} at {:?}: {}", at(now), context(step));
                match got {
                    Ok(gone) => gone,
                    Err((item, _)) => Some(Out { item, how: "refused" }),
                }
            }
            _ => {
                let due = queue.due(at(now));
                let (got, expected) = (queue.pop(at(now)), model.pop(now));
                let last = model.last_step_was_back;
                // What is due does not follow a step of the clock by itself.
                let told = match &got {
                    Popped::Wait { until } => Some(*until),
                    Popped::Empty => None,
                    _ => Some(at(now)),
                };
                assert!(last || due == told, "due {due:?}, got {told:?}: {}", context(step));
                let got = match got {
                    Popped::Serve(queued) => Ok(Out { item: queued.item, how: "served" }),
                    Popped::Unserved(unserved) => Ok(Out::unserved(unserved)),
                    Popped::Wait { until } => Err(Some(until)),
                    Popped::Empty => Err(None),
                };
                assert_eq!(got, expected, "{}", context(step));
                got.ok()
            }
        };
        if let Some(out) = out {
            if out.how == "handed back" {
                assert_eq!(Some(out.item), model.take(), "{}", context(step));
            }
            times_out[out.item as usize] += 1;
            model.count(out.how);
        }
        model.check(&mut queue, now, &|| context(step));
    }
    queue.close();
    assert!(queue.push(0, Terms::NONE, at(now)).is_err());
    for queued in queue.drain() {
        times_out[queued.item as usize] += 1;
    }
    assert!(queue.is_empty());
    assert_eq!(
        model.pushed,
        times_out.iter().map(|n| u32::from(*n)).sum::<u32>(),
        "lost or doubled: {}",
        context(steps)
    );
    assert!(times_out.iter().all(|n| *n <= 1), "came out twice: {}", context(steps));
}

#[test]
fn a_queue_is_a_list() {
    for seed in 0..280 {
        compare::<1, 1>(seed, 1_000);
        compare::<2, 2>(seed, 1_000);
        compare::<5, 1>(seed, 1_500);
        compare::<8, 3>(seed, 2_000);
        compare::<64, 4>(seed, 2_000);
    }
}
