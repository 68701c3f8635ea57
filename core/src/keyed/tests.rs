use core::cell::{Cell, RefCell};

use super::*;
use crate::{Lock, Shared, SharedGate};

/// Refuses for 10 after each failure; an ignored outcome leaves a mark that only a new state is rid of.
#[derive(Debug)]
struct Toy;

#[derive(Clone, Debug, PartialEq)]
struct Memory {
    until: Instant,
    marked: bool,
    held: bool,
}

impl GateKind for Toy {
    type State = Memory;
    type Permit = ();
    const FRESH: Memory = Memory { until: Instant::EPOCH, marked: false, held: false };

    fn try_acquire(&self, state: &mut Memory, now: Instant) -> Result<(), Rejected> {
        if state.held {
            return Err(Rejected { reason: Reason::ForcedOpen, retry_at: None });
        }
        if now < state.until { Err(Rejected { reason: Reason::Open, retry_at: Some(state.until) }) } else { Ok(()) }
    }
    fn release(&self, state: &mut Memory, (): (), outcome: Outcome, now: Instant) {
        if outcome == Outcome::Failure {
            state.until = now.after(10);
        }
        state.marked |= outcome == Outcome::Ignored;
    }
    fn cancel(&self, _state: &mut Memory, (): (), _now: Instant) {}
    fn poll_timeout(&self, state: &Memory) -> Option<Instant> {
        (state.until > Instant::EPOCH).then_some(state.until)
    }
    fn handle_timeout(&self, state: &mut Memory, now: Instant) {
        if now >= state.until {
            state.until = Instant::EPOCH;
        }
    }
    fn rests_at(&self, state: &Memory) -> Option<Instant> {
        if state.marked { None } else { Some(state.until) }
    }
    fn is_held(&self, state: &Memory) -> bool {
        state.held
    }
    fn longest_refusal(&self) -> u64 {
        10
    }
}

type Table<const N: usize> = Keyed<u8, Toy, N>;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// Keys that are idle after 10.
const fn table<const N: usize>() -> Table<N> {
    Keyed::new(Toy).with_idle(Duration::ZERO)
}

/// Asks and tells.
fn call<const N: usize>(table: &mut Table<N>, key: u8, outcome: Outcome, now: u64) {
    let permit = table.try_acquire(&key, at(now)).unwrap();
    table.release(permit, outcome, at(now));
}

fn full(retry_at: Option<u64>) -> Rejected {
    Rejected { reason: Reason::KeysFull, retry_at: retry_at.map(at) }
}

fn keys<const N: usize>(table: &Table<N>) -> Vec<u8, N> {
    table.iter().map(|(key, _)| *key).collect()
}

#[test]
fn a_sick_key_stops_no_other() {
    let mut t = table::<2>();
    call(&mut t, 1, Outcome::Failure, 0);
    assert_eq!(t.try_acquire(&1, at(9)).unwrap_err().retry_at, Some(at(10)));
    assert!(t.try_acquire(&2, at(9)).is_ok());
    assert!(t.try_acquire(&1, at(10)).is_ok());
}

#[test]
fn a_key_that_refuses_is_kept_and_the_refusal_is_honest() {
    let mut t = table::<2>();
    call(&mut t, 1, Outcome::Failure, 0);
    call(&mut t, 2, Outcome::Failure, 3);
    for now in 3..10 {
        assert_eq!(t.try_acquire(&3, at(now)).unwrap_err(), full(Some(10)), "{now}");
    }
    assert!(t.try_acquire(&3, at(10)).is_ok());
    assert_eq!(keys(&t), [3, 2]);
    assert_eq!(t.snapshot(), KeyedSnapshot { len: 2, capacity: 2, evicted: 1, full: 7 });
}

#[test]
fn an_unused_key_rests_after_the_idle_time_and_every_use_counts() {
    let mut t = table::<1>().with_idle(Duration::from_nanos(20));
    call(&mut t, 1, Outcome::Ignored, 0);
    assert_eq!(t.try_acquire(&2, at(5)).unwrap_err(), full(Some(20)));
    let permit = t.try_acquire(&1, at(6)).unwrap();
    assert_eq!(t.try_acquire(&2, at(7)).unwrap_err(), full(Some(26)));
    t.release(permit, Outcome::Success, at(8));
    assert_eq!(t.try_acquire(&2, at(9)).unwrap_err(), full(Some(28)));
    let permit = t.try_acquire(&1, at(10)).unwrap();
    t.cancel(permit, at(11));
    assert_eq!(t.try_acquire(&2, at(11)).unwrap_err(), full(Some(31)));
    t.with(&1, at(12), |_, _| ()).unwrap();
    // Looking is no use.
    assert!(t.get(&1).unwrap().marked);
    t.for_each(|_, _, _| ());
    t.handle_timeout(at(13));
    assert_eq!(t.try_acquire(&2, at(31)).unwrap_err(), full(Some(32)));
    assert!(t.try_acquire(&2, at(32)).is_ok());
}

#[test]
fn idle_is_never_shorter_than_a_refusal() {
    let mut t = table::<1>().with_idle(Duration::from_nanos(3));
    call(&mut t, 1, Outcome::Ignored, 0);
    assert_eq!(t.try_acquire(&2, at(4)).unwrap_err(), full(Some(10)));
    let t = Table::<1>::new(Toy);
    assert_eq!(t.kind().longest_refusal(), 10);
}

#[test]
fn what_is_held_by_hand_stays() {
    let mut t = table::<2>();
    t.with(&1, at(0), |_, state| state.held = true).unwrap();
    t.with(&2, at(0), |_, state| state.held = true).unwrap();
    assert_eq!(t.try_acquire(&3, at(1_000)).unwrap_err(), full(None));
    t.with(&1, at(1_000), |_, state| state.held = false).unwrap();
    assert!(t.try_acquire(&3, at(1_000)).is_ok());
    assert_eq!(keys(&t), [3, 2]);
}

#[test]
fn outcomes_of_a_forgotten_key_are_dropped() {
    let mut t = table::<1>();
    let (one, other) = (t.try_acquire(&1, at(0)).unwrap(), t.try_acquire(&1, at(0)).unwrap());
    call(&mut t, 2, Outcome::Success, 1);
    t.release(one, Outcome::Failure, at(2));
    assert!(t.try_acquire(&2, at(2)).is_ok());
    call(&mut t, 1, Outcome::Success, 3); // back in its old place
    t.release(other, Outcome::Failure, at(4));
    assert_eq!(t.get(&1), Some(&Toy::FRESH));
}

#[test]
fn keys_with_permits_out_go_last() {
    let mut t = table::<3>();
    let permit = t.try_acquire(&1, at(0)).unwrap();
    let _lost = t.try_acquire(&2, at(0)).unwrap();
    call(&mut t, 3, Outcome::Success, 0);
    let _lost = t.try_acquire(&4, at(0)).unwrap();
    assert_eq!(keys(&t), [1, 2, 4]);
    t.release(permit, Outcome::Success, at(0));
    let _lost = t.try_acquire(&5, at(0)).unwrap();
    assert_eq!(keys(&t), [5, 2, 4]);
    let _lost = t.try_acquire(&6, at(0)).unwrap(); // all are out: one goes nevertheless
    assert_eq!(keys(&t), [5, 6, 4]);
}

#[test]
fn the_search_goes_round() {
    let mut t = table::<3>();
    for key in 0..7 {
        call(&mut t, key, Outcome::Success, 0);
    }
    assert_eq!(keys(&t), [6, 4, 5]);
}

#[test]
fn a_clock_that_steps_back_keeps_no_key_longer_than_idle() {
    let mut t = table::<1>();
    call(&mut t, 1, Outcome::Ignored, 1_000);
    assert_eq!(t.try_acquire(&2, at(100)).unwrap_err(), full(Some(110)));
    assert_eq!(t.try_acquire(&2, at(109)).unwrap_err(), full(Some(110)));
    assert!(t.try_acquire(&2, at(110)).is_ok());
}

#[test]
fn the_end_of_time_is_no_panic() {
    let mut t = table::<1>().with_idle(Duration::MAX);
    let permit = t.try_acquire(&1, Instant::MAX).unwrap();
    t.release(permit, Outcome::Failure, Instant::MAX);
    assert!(t.try_acquire(&2, Instant::EPOCH).is_err());
    let _permit = t.try_acquire(&2, Instant::MAX);
}

#[test]
fn a_short_search_moves_on_and_keeps_its_word() {
    let mut eviction = Eviction::new(Duration::ZERO);
    // The later the place, the earlier it is free.
    let mut slots = [0, 1, 2, 3, 4].map(|key| Slot::new(key, Memory { until: at(10 - key), ..Toy::FRESH }, at(5)));
    let mut search = |now| eviction.victim(&Toy, &mut slots, 2, at(now));
    assert_eq!(search(0), Err(full(Some(9)))); // looked at 0 and 1
    assert_eq!(search(0), Err(full(Some(7)))); // 1, 2 and 3
    assert_eq!(search(0), Err(full(Some(6)))); // 3, 4 and 0
    assert_eq!(search(5), Err(full(Some(6)))); // 4, 1 and 2
    assert_eq!(search(6), Ok(4)); // 4, though it is the turn of 3
    assert_eq!(search(8), Err(full(Some(9)))); // 0 and 1: what was announced is done with
    assert_eq!((eviction.evicted(), eviction.full()), (1, 5));
}

#[test]
fn a_renewed_slot_is_as_good_as_new() {
    let marked = Memory { marked: true, ..Toy::FRESH };
    let mut slots = [Slot::new(1, Toy::FRESH, at(0))];
    let lost = slots[0].try_acquire(&Toy, 0, at(0)).unwrap();
    slots[0].renew(2, marked.clone(), at(5));
    slots[0].release(&Toy, lost, Outcome::Failure, at(6));
    assert_eq!((slots[0].key(), slots[0].state()), (&2, &marked));
    assert_eq!(Eviction::new(Duration::ZERO).victim(&Toy, &mut slots, 1, at(6)), Err(full(Some(15))));
}

#[test]
fn a_table_without_slots_refuses() {
    let mut eviction = Eviction::new(Duration::ZERO);
    assert_eq!(eviction.victim::<u8, _>(&Toy, &mut [], 64, at(0)), Err(full(None)));
}

#[test]
fn timers_of_all_keys() {
    let mut t = table::<3>();
    assert_eq!(t.poll_timeout(), None);
    call(&mut t, 1, Outcome::Failure, 5);
    call(&mut t, 2, Outcome::Failure, 0);
    call(&mut t, 3, Outcome::Success, 0);
    assert_eq!(t.poll_timeout(), Some(at(10)));
    t.handle_timeout(at(10));
    assert_eq!(t.poll_timeout(), Some(at(15)));
    t.handle_timeout(at(15));
    assert_eq!(t.poll_timeout(), None);
}

#[test]
fn asking_for_a_place_is_all_that_makes_one() {
    let mut t = table::<2>();
    assert!(t.is_empty() && t.get(&1).is_none());
    t.with(&1, at(0), |_, state| state.until = at(7)).unwrap();
    assert_eq!((t.len(), t.get(&1).unwrap().until), (1, at(7)));
    t.for_each(|key, _, state| state.until = at(u64::from(*key)));
    assert_eq!(t.get(&1).unwrap().until, at(1));
}

#[test]
fn a_key_is_cloned_only_for_a_place() {
    #[derive(Debug)]
    struct Counted<'a>(u8, &'a Cell<u32>);
    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Counted<'_> {}
    impl Clone for Counted<'_> {
        fn clone(&self) -> Self {
            self.1.set(self.1.get() + 1);
            Self(self.0, self.1)
        }
    }
    let clones = Cell::new(0);
    let mut t = Keyed::<_, _, 1>::new(Toy);
    for _ in 0..3 {
        let permit = t.try_acquire(&Counted(1, &clones), at(0)).unwrap();
        t.release(permit, Outcome::Failure, at(0));
        let _refused = t.try_acquire(&Counted(1, &clones), at(5)).unwrap_err();
        let _full = t.try_acquire(&Counted(2, &clones), at(5)).unwrap_err();
        t.handle_timeout(at(10));
        assert_eq!(clones.get(), 1);
    }
    let _permit = t.try_acquire(&Counted(2, &clones), at(10)).unwrap();
    assert_eq!(clones.get(), 2);
}

#[test]
fn views_of_a_table_in_a_static() {
    struct Hands(RefCell<Table<2>>);
    impl Lock for Hands {
        type Value = Table<2>;
        fn with<R>(&self, f: impl FnOnce(&mut Table<2>) -> R) -> R {
            self.0.with(f)
        }
    }
    const EMPTY: Table<2> = table::<2>();
    let shared = Shared::new(Hands(RefCell::new(EMPTY)));
    let (sick, well) = (shared.gate(&1), shared.gate(&2));
    assert_eq!(shared.with(|table| table.len()), 0);
    let (one, other) = (sick.try_acquire(at(0)).unwrap(), well.try_acquire(at(0)).unwrap());
    sick.release(one, Outcome::Failure, at(0));
    well.cancel(other, at(0));
    assert!(sick.try_acquire(at(9)).is_err());
    assert!(well.try_acquire(at(9)).is_ok());
}

#[test]
fn sizes() {
    assert_eq!(size_of::<KeyedPermit<crate::breaker::Permit>>(), 24);
    assert_eq!(size_of::<Slot<u8, ()>>(), 24);
    assert_eq!(size_of::<Eviction>(), if cfg!(target_pointer_width = "64") { 40 } else { 32 });
}
