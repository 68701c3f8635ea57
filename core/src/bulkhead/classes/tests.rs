use super::*;
use crate::{Bulkhead, Gate, Outcome};

const NOW: Instant = Instant::EPOCH;
const ANY: Class = Class::new();

fn limit(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn bulkhead<const N: usize>(n: u32, classes: [Class; N]) -> ClassBulkhead<N> {
    ClassBulkhead::new(limit(n), classes).unwrap()
}

/// Takes all it can, and says how many that were.
fn fill<const N: usize>(b: &mut ClassBulkhead<N>, class: usize) -> usize {
    let mut granted = 0;
    while let Ok(_for_ever) = b.try_acquire(class, NOW) {
        granted += 1;
    }
    granted
}

fn why<const N: usize>(b: &mut ClassBulkhead<N>, class: usize) -> Reason {
    b.try_acquire(class, NOW).unwrap_err().reason
}

#[test]
fn what_is_kept_is_there_for_its_class_alone() {
    let mut b = bulkhead(10, [ANY.reserve(200), ANY]);
    assert_eq!((fill(&mut b, 1), why(&mut b, 1)), (8, Reason::Shed));
    assert_eq!((fill(&mut b, 0), why(&mut b, 0)), (2, Reason::InFlight));
    assert_eq!(why(&mut b, 1), Reason::InFlight);
    let mut b = bulkhead(10, [ANY.reserve(200), ANY]);
    assert_eq!((fill(&mut b, 0), fill(&mut b, 1)), (10, 0)); // not only what is kept for it
    let mut b = bulkhead(10, [ANY.reserve(200), ANY]);
    let _used = [(); 5].map(|()| b.try_acquire(0, NOW).unwrap());
    assert_eq!(fill(&mut b, 1), 5); // what is kept is in use, so the rest is free
}

#[test]
fn shares_of_all_are_partitions() {
    let mut b = bulkhead(10, [ANY.reserve(300), ANY.reserve(700)]);
    assert_eq!((fill(&mut b, 0), why(&mut b, 0), fill(&mut b, 1)), (3, Reason::Shed, 7));
    let mut b = bulkhead(10, [ANY.reserve(500), ANY.reserve(300)]);
    assert_eq!((fill(&mut b, 1), fill(&mut b, 0)), (5, 5)); // its three, and the two that are for all
}

#[test]
fn the_fuller_the_more_classes_are_shed() {
    let mut b = bulkhead(10, [ANY, ANY.shed_above(850), ANY.shed_above(500)]);
    assert_eq!((fill(&mut b, 2), why(&mut b, 2)), (5, Reason::Shed));
    assert_eq!((fill(&mut b, 1), why(&mut b, 1)), (3, Reason::Shed));
    assert_eq!((fill(&mut b, 0), why(&mut b, 0)), (2, Reason::InFlight));
    // What is kept for a class is its own, however full it is.
    let mut b = bulkhead(10, [ANY, ANY.reserve(200).shed_above(500)]);
    assert_eq!((fill(&mut b, 0), fill(&mut b, 1)), (8, 2));
}

#[test]
fn shares_round_up_while_places_are_left_and_marks_down() {
    let reserved = |n, permille: [u16; 3]| {
        let b = bulkhead(n, permille.map(|permille| ANY.reserve(permille)));
        let mut shares = b.classes().map(|class| class.reserved);
        [(); 3].map(|()| shares.next().unwrap())
    };
    assert_eq!(reserved(4, [500, 250, 250]), [2, 1, 1]);
    assert_eq!(reserved(4, [1, 0, 1]), [1, 0, 1]);
    assert_eq!(reserved(7, [300, 300, 400]), [3, 3, 1]);
    assert_eq!(reserved(u32::MAX, [333, 333, 334]), [1_430_224_110, 1_430_224_110, 1_434_519_075]);
    let b = bulkhead(u32::MAX, [ANY, ANY.shed_above(999)]);
    assert_eq!(b.classes().last().unwrap().shed_above, 4_290_672_327);
}

#[test]
fn weights_and_returns() {
    let mut b = bulkhead(10, [ANY.reserve(200), ANY, ANY.shed_above(300)]);
    assert_eq!(b.try_acquire_n(1, 9, NOW).unwrap_err().reason, Reason::OverLimit);
    assert_eq!(b.try_acquire_n(2, 4, NOW).unwrap_err().reason, Reason::OverLimit);
    let heavy = b.try_acquire_n(1, 8, NOW).unwrap();
    assert_eq!(b.try_acquire_n(9, 0, NOW).map(|none| b.cancel(none, NOW)), Ok(()));
    assert_eq!(b.try_acquire_n(0, 3, NOW).unwrap_err().reason, Reason::InFlight);
    b.release(heavy, Outcome::Success, NOW);
    let last = b.try_acquire_n(usize::MAX, 3, NOW).unwrap(); // counts as the last class
    let told: [ClassSnapshot; 3] = core::array::from_fn(|class| b.classes().nth(class).unwrap());
    assert_eq!(told.map(|class| class.in_flight), [0, 0, 3]);
    assert_eq!(told.map(|class| class.highest), [0, 8, 3]);
    assert_eq!(told.map(|class| class.refused), [1, 1, 1]);
    assert_eq!(b.snapshot(), BulkheadSnapshot { in_flight: 3, limit: 10, highest: 8, refused: 3 });
    b.release(last, Outcome::Success, NOW);
    assert_eq!(b.snapshot().available(), 10);
}

#[test]
fn lowered_it_takes_nothing_away_and_divides_anew() {
    let mut b = bulkhead(10, [ANY.reserve(200), ANY]);
    let held = [(); 8].map(|()| b.try_acquire(1, NOW).unwrap());
    b.resize(limit(5), NOW);
    assert_eq!(why(&mut b, 0), Reason::InFlight);
    for (back, permit) in held.into_iter().enumerate() {
        assert!(b.try_acquire(1, NOW).is_err(), "{back} are back");
        if back >= 4 {
            break;
        }
        b.release(permit, Outcome::Success, NOW);
    }
    assert_eq!((b.snapshot().in_flight, why(&mut b, 1)), (4, Reason::Shed));
    assert_eq!(fill(&mut b, 0), 1);
    b.resize(limit(1), NOW);
    assert_eq!(b.try_acquire_n(1, 1, NOW).unwrap_err().reason, Reason::OverLimit); // the one place is kept
    b.resize(limit(20), NOW);
    assert_eq!((b.limit(), fill(&mut b, 1)), (limit(20), 12));
}

#[test]
fn a_class_is_a_gate_among_others() {
    let mut b = bulkhead(2, [ANY.reserve(500), ANY]);
    let mut one = Bulkhead::new(limit(1));
    let mut gates = (b.class(1), &mut one);
    let permit = gates.try_acquire(NOW).unwrap();
    assert_eq!(gates.try_acquire(NOW).unwrap_err().reason, Reason::Shed);
    assert_eq!(gates.poll_timeout(), None);
    gates.handle_timeout(NOW);
    gates.release(permit, Outcome::Success, NOW);
    let permit = gates.try_acquire(NOW).unwrap();
    gates.cancel(permit, NOW);
    let _other = one.try_acquire(NOW).unwrap();
    let mut gates = (b.class(1), &mut one);
    assert_eq!(gates.try_acquire(NOW).unwrap_err().reason, Reason::InFlight);
    assert_eq!(b.snapshot().in_flight, 0); // the outer one was cancelled
}

#[test]
fn nonsense_is_refused_by_name() {
    fn setting<const N: usize>(n: u32, classes: [Class; N]) -> &'static str {
        ClassBulkhead::new(limit(n), classes).unwrap_err().setting
    }
    assert_eq!(setting(1, []), "classes");
    assert_eq!(setting(9, [ANY.reserve(1_001)]), "reserve");
    assert_eq!(setting(9, [ANY.reserve(u16::MAX), ANY.reserve(u16::MAX)]), "reserve");
    assert_eq!(setting(9, [ANY.reserve(600), ANY.reserve(401)]), "reserve");
    assert_eq!(setting(9, [ANY.shed_above(0)]), "shed_above");
    assert_eq!(setting(9, [ANY.shed_above(1_001)]), "shed_above");
    assert_eq!(setting(1, [ANY.reserve(200), ANY]), "limit"); // the one place is kept
    assert_eq!(setting(3, [ANY, ANY.shed_above(300)]), "limit");
    assert_eq!(setting(9, [ANY, ANY.reserve(1_000)]), "limit");
    assert_eq!(Class::default(), ANY);
}
