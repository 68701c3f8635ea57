//! Several classes under one limit.

use std::cell::RefCell;

use fusebox::bulkhead::{Class, ClassBulkhead, ClassPermit};
use fusebox::{Gate, Outcome, Reason, Shared, SharedGate};
use fusebox_tests::Dice;

use super::{at, limit, refused};

/// `reserve` and `shed_above` of each class.
type Settings<const N: usize> = [(u16, u16); N];

/// All that is in flight: class and weight.
struct Model<const N: usize> {
    settings: Settings<N>,
    limit: u32,
    out: Vec<(usize, u32)>,
    highest: [u64; N],
    refused: [u32; N],
}

impl<const N: usize> Model<N> {
    fn taken(&self, of: impl Fn(usize) -> bool) -> u64 {
        self.out.iter().filter(|(class, _)| of(*class)).map(|(_, n)| u64::from(*n)).sum()
    }

    /// Places kept for each class: rounded up, the first classes first.
    fn kept(&self) -> [u64; N] {
        let mut left = u64::from(self.limit);
        self.settings.map(|(reserve, _)| {
            let kept = (u64::from(self.limit) * u64::from(reserve)).div_ceil(1_000).min(left);
            left -= kept;
            kept
        })
    }

    fn mark(&self, class: usize) -> u64 {
        u64::from(self.limit) * u64::from(self.settings[class].1) / 1_000
    }

    /// Whether `n` for `class` would leave each other class what is kept for it.
    fn leaves_the_others_theirs(&self, class: usize, n: u64) -> bool {
        let mut all = self.taken(|_| true) + n;
        for (other, kept) in self.kept().into_iter().enumerate() {
            let mut theirs = self.taken(|class| class == other);
            while other != class && theirs < kept {
                theirs += 1;
                all += 1;
            }
        }
        all <= u64::from(self.limit)
    }

    /// Whether all that is kept and unused has room beside what is in flight.
    fn kept_fits(&self) -> bool {
        let kept = self.kept();
        let unused = |class: usize| kept[class].saturating_sub(self.taken(|other| other == class));
        self.taken(|_| true) + (0..N).map(unused).sum::<u64>() <= u64::from(self.limit)
    }

    fn could_ever(&self, class: usize, n: u64) -> bool {
        let empty = Self { out: vec![], ..*self };
        empty.may(class, n).is_ok()
    }

    fn may(&self, class: usize, n: u64) -> Result<(), Reason> {
        let all = self.taken(|_| true);
        let own = self.taken(|other| other == class);
        if all + n > u64::from(self.limit) {
            return Err(Reason::InFlight);
        }
        let is_its_own = own + n <= self.kept()[class];
        let not_shed = is_its_own || all + n <= self.mark(class);
        if not_shed && self.leaves_the_others_theirs(class, n) { Ok(()) } else { Err(Reason::Shed) }
    }

    fn ask(&mut self, class: usize, n: u32) -> Result<(), Reason> {
        let answer = match n {
            0 => Ok(()),
            n if !self.could_ever(class, n.into()) => Err(Reason::OverLimit),
            n => self.may(class, n.into()),
        };
        if answer.is_ok() {
            self.out.push((class, n));
            self.highest[class] = self.highest[class].max(self.taken(|other| other == class));
        } else {
            self.refused[class] += 1;
        }
        answer
    }
}

/// Asks in one of the ways there are.
fn ask<const N: usize>(
    shared: &Shared<RefCell<ClassBulkhead<N>>>,
    class: usize,
    n: u32,
    way: u32,
) -> Result<ClassPermit, fusebox::Rejected> {
    let now = at(5);
    match way {
        0 if n == 1 => shared.class(class).try_acquire(now),
        1 if n == 1 => shared.with(|bulkhead| bulkhead.class(class).try_acquire(now)),
        2 if n == 1 => shared.with(|bulkhead| bulkhead.try_acquire(class, now)),
        _ => shared.with(|bulkhead| bulkhead.try_acquire_n(class, n, now)),
    }
}

fn give_back<const N: usize>(shared: &Shared<RefCell<ClassBulkhead<N>>>, permit: ClassPermit, class: usize, way: u32) {
    let now = at(5);
    match way {
        0 => shared.class(class).release(permit, Outcome::Failure, now),
        1 => shared.class(class).cancel(permit, now),
        2 => shared.with(|bulkhead| bulkhead.class(class).release(permit, Outcome::Success, now)),
        3 => shared.with(|bulkhead| bulkhead.class(class).cancel(permit, now)),
        4 => shared.with(|bulkhead| bulkhead.release(permit, Outcome::Success, now)),
        _ => shared.with(|bulkhead| bulkhead.cancel(permit, now)),
    }
}

fn check<const N: usize>(bulkhead: &ClassBulkhead<N>, model: &Model<N>) {
    let (all, kept) = (model.taken(|_| true), model.kept());
    assert_eq!(u64::from(bulkhead.snapshot().in_flight), all);
    for (class, told) in bulkhead.classes().enumerate() {
        let own = model.taken(|other| other == class);
        assert_eq!((u64::from(told.in_flight), u64::from(told.reserved)), (own, kept[class]));
        assert_eq!((u64::from(told.highest), told.refused), (model.highest[class], model.refused[class]));
        assert_eq!(u64::from(told.shed_above), model.mark(class));
        // What is kept is there, whatever the others do.
        if own < kept[class] && model.kept_fits() {
            assert!(bulkhead.clone().try_acquire(class, at(0)).is_ok(), "class {class}: {bulkhead:?}");
        }
    }
    assert_eq!(bulkhead.snapshot().refused, model.refused.iter().sum::<u32>());
}

fn drive<const N: usize>(seed: u32, most: u32, settings: Settings<N>, operations: u32) -> [u32; 4] {
    let mut dice = Dice::new(seed);
    let classes = settings.map(|(reserve, above)| Class::new().reserve(reserve).shed_above(above));
    let shared = Shared::new(RefCell::new(ClassBulkhead::new(limit(most), classes).unwrap()));
    let mut model = Model { settings, limit: most, out: vec![], highest: [0; N], refused: [0; N] };
    let mut held: Vec<(usize, u32, ClassPermit)> = vec![];
    // Since the limit was changed.
    let mut unsettled = false;
    let mut answers = [0; 4];
    for number in 0..operations {
        match dice.below(100) {
            0..=54 => {
                // Now one class presses, now another.
                let class = if dice.below(3) > 0 { number as usize / 1_000 } else { dice.draw() as usize } % N;
                let n = if dice.below(4) > 0 { 1 } else { dice.below(most / 3 + 2) };
                let expected = model.ask(class, n);
                let got = ask(&shared, class, n, dice.below(4));
                assert_eq!(
                    got.as_ref().map(|_| ()).map_err(|rejected| *rejected),
                    expected.map_err(refused),
                    "{number}"
                );
                held.extend(got.map(|permit| (class, n, permit)));
                answers[match expected {
                    Ok(()) => 0,
                    Err(Reason::InFlight) => 1,
                    Err(Reason::Shed) => 2,
                    Err(_) => 3,
                }] += 1;
            }
            55..=98 => {
                if let Some((class, n, permit)) = dice.pick(&mut held) {
                    let place = model.out.iter().position(|out| *out == (class, n)).unwrap();
                    model.out.swap_remove(place);
                    give_back(&shared, permit, class, dice.below(6));
                }
            }
            _ if dice.below(10) == 0 => {
                model.limit = most / 2 + 1 + dice.below(most / 2 + 1);
                shared.with(|bulkhead| bulkhead.resize(limit(model.limit), at(5)));
                unsettled = true;
            }
            _ => {}
        }
        let fits = model.kept_fits();
        assert!(fits || unsettled, "{number}: what is kept for a class was given away");
        unsettled = !fits;
        shared.with(|bulkhead| check(bulkhead, &model));
    }
    answers
}

#[test]
fn each_class_gets_what_is_kept_for_it_and_no_more_than_is_left() {
    const EACH: u32 = 150_000;
    let all = [
        drive(1, 10, [(200, 1_000), (0, 1_000)], EACH),
        drive(2, 10, [(300, 1_000), (700, 1_000)], EACH),
        drive(3, 21, [(0, 1_000), (0, 900), (0, 500)], EACH),
        drive(4, 17, [(300, 1_000), (150, 800), (100, 600), (0, 450)], EACH),
        drive(5, 7, [(333, 1_000), (333, 1_000), (333, 1_000)], EACH),
        drive(6, 3, [(100, 700), (0, 1_000)], EACH),
    ];
    for [granted, full, shed, over] in all {
        println!("{EACH} operations: {granted} granted, {full} full, {shed} shed, {over} too heavy");
        assert!(granted > EACH / 5 && full + shed > EACH / 20 && shed > EACH / 100);
    }
}
