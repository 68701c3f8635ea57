//! Random histories against the model.

use fusebox::bucket::Tokens;
use fusebox::{Gate, Outcome, Reservation, TokenBucket};
use fusebox_tests::Dice;

use super::model::Model;
use super::{DAY, LATE, Numbers, QUOTAS, at, available, bucket, check_honest, quota, refill};

/// What may happen beside asking.
#[derive(Clone, Copy, Debug, PartialEq)]
struct With {
    reservations: bool,
    cancels: bool,
    settles: bool,
    steps_back: bool,
}

struct History<'a> {
    numbers: &'a Numbers,
    with: With,
    real: TokenBucket,
    model: Model,
    dice: Dice,
    now: u64,
    /// Forwards only.
    time: u128,
    held: Vec<(u32, Tokens)>,
    tally: [u32; 4],
}

impl<'a> History<'a> {
    fn new(numbers: &'a Numbers, with: With, seed: u32) -> Self {
        let quota = quota(numbers).with_max_wait(std::time::Duration::from_nanos(refill(numbers) * 3));
        let (real, model) = (TokenBucket::new(quota), Model::new(numbers));
        Self { numbers, with, real, model, dice: Dice::new(seed), now: DAY, time: 0, held: vec![], tally: [0; 4] }
    }

    fn n(&mut self) -> u32 {
        if self.dice.below(3) == 0 { self.dice.below(self.numbers.2 + 1) } else { 1 }
    }

    fn granted(&mut self, id: u32, n: u32, tokens: Tokens, wait: u64) {
        self.tally[0] += 1;
        self.model.add(id, self.time + u128::from(wait), n);
        self.held.push((id, tokens));
    }

    /// No stricter than it must be: two nanoseconds cover the rounding of cells and instants.
    fn check_needed(&self, n: u32, wait: u64) {
        if self.with.cancels || self.with.settles || self.with.steps_back || wait < 3 {
            return;
        }
        let earlier = self.time + u128::from(wait - 2);
        if self.model.last() > earlier {
            return; // nobody is let in before those who wait
        }
        let over = self.model.debt(earlier) + u128::from(n) * self.model.period + 2 * self.model.count;
        assert!(over > self.model.burst * self.model.period, "{:?}: {n} would have fitted", self.numbers);
    }

    /// Asks; how far to go on.
    fn ask(&mut self, id: u32) -> u64 {
        let n = self.n();
        match self.real.try_acquire_n(n, at(self.now)) {
            Ok(tokens) => self.granted(id, n, tokens, 0),
            Err(refused) => {
                self.tally[1] += 1;
                let longest = refill(self.numbers) * 4 + 2 * LATE;
                let retry_at = check_honest(&self.real, n, self.now, refused, longest);
                if !self.with.reservations {
                    self.check_needed(n, retry_at - self.now);
                }
                if self.dice.below(3) == 0 {
                    return retry_at - self.now;
                }
            }
        }
        0
    }

    fn reserve(&mut self, id: u32) {
        let (n, full) = (self.n(), refill(self.numbers));
        let until = at(self.now + self.dice.below(full * 4));
        let before = self.real.clone();
        // A call that comes late counts as one of the latest instant, which nothing tells, but when nothing is ready.
        let counts = before.clone().reserve(0, at(self.now)).unwrap().ready_at();
        match self.real.reserve_until(n, until, at(self.now)) {
            Ok(reserved) => {
                let ready_at = reserved.ready_at();
                assert!(ready_at <= until && ready_at >= at(self.now));
                let wait = ready_at.nanos_since(counts);
                if n > 0 {
                    self.check_needed(n, wait);
                }
                self.granted(id, n, reserved.into_permit(), wait);
            }
            Err(refused) => {
                self.tally[1] += 1;
                assert!(n > 0 || until < counts);
                assert_eq!(refused.retry_at.is_none(), until < counts, "the deadline is over");
                let Some(retry_at) = refused.retry_at else { return };
                assert_eq!(before.available(at(self.now)), self.real.available(at(self.now)));
                self.check_refused(n, until.as_nanos(), retry_at.as_nanos());
            }
        }
    }

    /// A refused reservation said when it would have succeeded.
    fn check_refused(&self, n: u32, until: u64, retry_at: u64) {
        let ask = |until, now| self.real.clone().reserve_until(n, at(until), at(now));
        let max_wait = self.real.quota().max_wait_nanos();
        if retry_at > until {
            assert!(ask(retry_at - 1, retry_at - 1).is_err());
            assert_eq!(ask(retry_at, retry_at).unwrap().ready_at(), at(retry_at));
        } else {
            assert!(ask(u64::MAX, retry_at - 1).is_err());
            assert_eq!(ask(u64::MAX, retry_at).unwrap().ready_at(), at(retry_at + max_wait));
        }
    }

    fn give_back(&mut self) {
        if self.held.is_empty() {
            return;
        }
        self.tally[2] += 1;
        let which = self.dice.below(self.held.len());
        let (id, tokens) = self.held.swap_remove(which);
        let before = available(&self.real, self.numbers.2, self.now);
        if self.with.settles && self.dice.below(2) == 0 {
            let left = self.dice.below(tokens.count() + 1);
            self.real.settle(tokens, left, at(self.now));
            self.model.reduce(id, left);
        } else {
            self.real.cancel(tokens, at(self.now));
            self.model.reduce(id, 0);
        }
        assert!(available(&self.real, self.numbers.2, self.now) >= before, "a cancel took tokens");
    }

    fn step_back(&mut self) {
        self.tally[3] += 1;
        let before = available(&self.real, self.numbers.2, self.now);
        let most = match self.dice.below(4) {
            0 => refill(self.numbers) * 2,
            1 => self.now + 1,
            2 => LATE + 1,
            _ => LATE * 3,
        };
        self.now = self.now.saturating_sub(self.dice.below(most));
        assert!(available(&self.real, self.numbers.2, self.now) <= before, "{:?}: tokens for free", self.numbers);
    }

    fn step(&mut self, id: u32) {
        let (full, burst) = (refill(self.numbers), u64::from(self.numbers.2));
        let mut forward = 0;
        match self.dice.below(20) {
            0..=8 => forward = self.ask(id),
            10..=12 if self.with.cancels => self.give_back(),
            9 | 13 if self.with.reservations => self.reserve(id),
            14 => forward = self.dice.below(full * 2),
            15..=18 => forward = self.dice.below(full / burst * 2 + 2),
            19 if self.with.steps_back => self.step_back(),
            _ => {}
        }
        self.now += forward;
        self.time += u128::from(forward);
        if self.held.len() > 6 {
            let (_, tokens) = self.held.remove(0);
            self.real.release(tokens, Outcome::Success, at(self.now));
        }
        self.model.check_some(&format!("{:?} {:?}, operation {id}", self.numbers, self.with));
    }
}

fn run_all(operations: u32, with: With) {
    let mut total = [0; 4];
    for (n, numbers) in (1..).zip(QUOTAS) {
        for seed in 0..4 {
            let mut history = History::new(numbers, with, n * 8 + seed);
            (0..operations).for_each(|id| history.step(id));
            history.model.check(&format!("{numbers:?} {with:?}"));
            total.iter_mut().zip(history.tally).for_each(|(sum, x)| *sum += x);
        }
    }
    println!("{with:?}: [granted, refused, given back, stepped back] = {total:?}");
    let [granted, refused, back, stepped] = total;
    assert!(granted > 3 * operations && refused > 3 * operations);
    assert!((back > 3 * operations || !with.cancels) && (stepped > operations || !with.steps_back));
}

const ONLY_ASKED: With = With { reservations: false, cancels: false, settles: false, steps_back: false };

#[test]
fn never_more_and_hardly_less_than_the_quota() {
    run_all(4_000, ONLY_ASKED);
    run_all(3_000, With { reservations: true, ..ONLY_ASKED });
}

#[test]
fn never_more_than_the_quota_net_of_what_came_back() {
    run_all(3_000, With { cancels: true, ..ONLY_ASKED });
    run_all(3_000, With { cancels: true, settles: true, ..ONLY_ASKED });
    run_all(4_000, With { cancels: true, settles: true, reservations: true, ..ONLY_ASKED });
}

#[test]
fn a_clock_that_steps_back_gives_nothing() {
    run_all(3_000, With { steps_back: true, ..ONLY_ASKED });
    run_all(3_000, With { steps_back: true, cancels: true, settles: true, ..ONLY_ASKED });
    run_all(4_000, With { steps_back: true, cancels: true, settles: true, reservations: true });
}

/// Threads that share a bucket read the clock before they ask, so their calls come in late; whatever the order, no
/// interval has more than its bound, the time being the latest that anybody has read.
#[test]
fn calls_that_come_late_give_nothing() {
    for (n, numbers) in (1..).zip(QUOTAS) {
        let (mut real, mut model, mut dice) = (bucket(numbers), Model::new(numbers), Dice::after(n, 5));
        let (mut now, cell) = (DAY, refill(numbers) / u64::from(numbers.2));
        let (mut granted, mut latest) = (0, 0);
        for id in 0..4_000 {
            now += dice.below(cell + 2);
            // Up to a second, and by how much the bucket knows less than the latest instant.
            let most = [1, (cell + 1).min(LATE), LATE][dice.below(3)];
            let late = dice.below(most);
            latest = latest.max(now - late);
            if real.try_acquire(at(now - late)).is_ok() {
                granted += 1;
                model.add(id, latest.into(), 1);
            }
            model.check_some(&format!("{numbers:?}"));
        }
        model.check(&format!("{numbers:?}"));
        assert!(granted > 1_000, "{numbers:?}: only {granted}");
    }
}

/// What is reserved is taken: with nothing else, the first use of what is left is where the reservation ends.
#[test]
fn a_reservation_is_a_promise() {
    for (n, numbers) in (1..).zip(QUOTAS) {
        let (mut dice, burst) = (Dice::after(n, 9), numbers.2);
        for _ in 0..200 {
            let mut real = bucket(numbers);
            drop(real.try_acquire_n(burst, at(DAY)).unwrap());
            let n = dice.below(burst) + 1;
            let Ok(reserved) = real.clone().reserve(n, at(DAY)) else { continue };
            let ready_at = reserved.ready_at();
            assert_eq!(real.try_acquire_n(n, at(DAY)).unwrap_err().retry_at, Some(ready_at));
            let Reservation { .. } = real.reserve(n, at(DAY)).unwrap();
            let then = real.clone().try_acquire_n(n, ready_at);
            assert!(then.is_err(), "{numbers:?}: {n} tokens were given out twice");
        }
    }
}
