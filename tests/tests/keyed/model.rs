//! The model is a list of keys with what the rule needs to know in plain words. It does not say which key at rest goes,
//! only that one at rest does, and that none is refused a place while one is at rest. Both tables run side by side.

use std::collections::HashMap;
use std::time::Duration;

use fusebox::{GateKind, Instant, Keyed, KeyedPermit, Outcome, Reason, Rejected};
use fusebox_tests::Dice;
use fusebox_tokio::ShardedKeyed;

use crate::at;

/// How long a gate refuses after a failure.
const REFUSAL: u64 = 10;

/// Refuses for a while after each failure; an ignored outcome leaves a mark that only a new state is rid of.
#[derive(Clone, Copy, Debug)]
struct Toy;

#[derive(Clone, Copy, Debug, PartialEq)]
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
        // A step back shortens.
        state.until = state.until.min(now.after(REFUSAL));
        if now < state.until { Err(Rejected { reason: Reason::Open, retry_at: Some(state.until) }) } else { Ok(()) }
    }
    fn release(&self, state: &mut Memory, (): (), outcome: Outcome, now: Instant) {
        if outcome == Outcome::Failure {
            state.until = now.after(REFUSAL);
        }
        state.marked |= outcome == Outcome::Ignored;
    }
    fn cancel(&self, _state: &mut Memory, (): (), _now: Instant) {}
    fn poll_timeout(&self, _state: &Memory) -> Option<Instant> {
        None
    }
    fn handle_timeout(&self, _state: &mut Memory, _now: Instant) {}
    fn rests_at(&self, state: &Memory) -> Option<Instant> {
        if state.marked { None } else { Some(state.until) }
    }
    fn is_held(&self, state: &Memory) -> bool {
        state.held
    }
    fn longest_refusal(&self) -> u64 {
        REFUSAL
    }
}

/// What the rule needs to know of a key. A search clamps the last use of those it looks at to its time, and which it
/// looks at is its own business: so the last use lies between two bounds, which differ only after a step back.
struct Known {
    memory: Memory,
    used: (Instant, Instant),
    out: Vec<u32>,
}

struct Model {
    capacity: usize,
    idle: u64,
    keys: HashMap<u8, Known>,
    evicted: u32,
    full: u32,
}

impl Model {
    /// From when on a key is at rest: at the earliest, and for sure.
    fn rest(&self, known: &Known) -> Option<(Instant, Instant)> {
        let gate = if known.memory.marked { Instant::MAX } else { known.memory.until };
        let rest = |used: Instant| gate.min(used.after(self.idle.max(REFUSAL)));
        (!known.memory.held).then(|| (rest(known.used.0), rest(known.used.1)))
    }

    /// Checks how the table dealt with a key that needed a place, and takes it over.
    fn place(&mut self, key: u8, now: Instant, refused: Option<Rejected>, kept: &HashMap<u8, Memory>) -> bool {
        if !self.keys.contains_key(&key) && self.keys.len() == self.capacity {
            self.keys.values_mut().for_each(|known| known.used.0 = known.used.0.min(now));
            let rests: Vec<_> = self.keys.values().filter_map(|known| self.rest(known)).collect();
            if let Some(refused) = refused.filter(|refused| refused.reason == Reason::KeysFull) {
                assert!(rests.iter().all(|rest| rest.1.min(now.after(self.idle.max(REFUSAL))) > now), "one is at rest");
                self.keys.values_mut().for_each(|known| known.used.1 = known.used.1.min(now)); // looked at all
                let rests = self.keys.values().filter_map(|known| self.rest(known));
                let (low, high) = rests.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1))).unzip();
                assert!(low <= refused.retry_at && refused.retry_at <= high, "{low:?} {refused:?} {high:?}");
                self.full += 1;
                return false;
            }
            self.forget(now, kept);
        }
        assert_ne!(refused.map(|refused| refused.reason), Some(Reason::KeysFull));
        let new = Known { memory: Toy::FRESH, used: (now, now), out: vec![] };
        self.keys.entry(key).or_insert(new).used = (now, now);
        true
    }

    fn forget(&mut self, now: Instant, kept: &HashMap<u8, Memory>) {
        let gone: Vec<u8> = self.keys.keys().copied().filter(|key| !kept.contains_key(key)).collect();
        assert_eq!(gone.len(), 1);
        let known = self.keys.remove(&gone[0]).unwrap();
        assert!(self.rest(&known).is_some_and(|rest| rest.0 <= now), "forgot one that is not at rest");
        let spare = |other: &Known| other.out.is_empty() && self.rest(other).is_some_and(|rest| rest.1 <= now);
        assert!(known.out.is_empty() || !self.keys.values().any(spare), "one without permits out was at rest");
        self.evicted += 1;
    }
}

/// Both tables, asked the same.
struct Both<const N: usize> {
    core: Keyed<u8, Toy, N>,
    sharded: ShardedKeyed<u8, Toy>,
}

type Two<T> = (T, T);

impl<const N: usize> Both<N> {
    fn new(idle: u64) -> Self {
        let idle = Duration::from_nanos(idle);
        let sharded = ShardedKeyed::builder(Toy, N).idle(idle).shards(1).build().unwrap();
        Self { core: Keyed::new(Toy).with_idle(idle), sharded }
    }

    fn ask(&mut self, key: u8, now: Instant) -> Result<Two<KeyedPermit<()>>, Rejected> {
        let two = (self.core.try_acquire(&key, now), self.sharded.try_acquire(&key, now));
        assert_eq!(two.0, two.1);
        Ok((two.0?, two.1?))
    }

    fn hold(&mut self, key: u8, held: bool, now: Instant) -> Option<Rejected> {
        let core = self.core.with(&key, now, |_, state| state.held = held).err();
        assert_eq!(core, self.sharded.with(&key, now, |_, state| state.held = held).err());
        core
    }

    fn contents(&self) -> HashMap<u8, Memory> {
        let core: HashMap<_, _> = self.core.iter().map(|(key, state)| (*key, *state)).collect();
        let mut sharded = HashMap::new();
        self.sharded.for_each(|key, _, state| assert!(sharded.insert(*key, *state).is_none()));
        assert_eq!((&core, self.core.snapshot()), (&sharded, self.sharded.snapshot()));
        core
    }
}

/// Random operations; `back` in 100 steps the clock goes back.
fn follow<const N: usize>(seed: u32, idle: u64, back: u32) -> (u32, u32) {
    let mut dice = Dice::new(seed);
    let mut both = Both::<N>::new(idle);
    let mut model = Model { capacity: N, idle, keys: HashMap::new(), evicted: 0, full: 0 };
    let mut permits = vec![];
    let mut now = at(0);
    for id in 0..400 {
        let key = dice.below(N as u32 + 4) as u8;
        match dice.below(20) {
            0..10 => {
                let answer = both.ask(key, now);
                let contents = both.contents();
                if model.place(key, now, answer.as_ref().err().copied(), &contents) {
                    let known = model.keys.get_mut(&key).unwrap();
                    assert_eq!(answer.as_ref().map(|_| ()), Toy.try_acquire(&mut known.memory, now).as_ref().copied());
                    if let Ok(two) = answer {
                        known.out.push(id);
                        permits.push((id, key, two));
                    }
                }
            }
            10..17 if !permits.is_empty() => {
                let (id, key, two) = permits.swap_remove(dice.below(permits.len()));
                let outcome = [Outcome::Success, Outcome::Failure, Outcome::Ignored][dice.below(3)];
                let cancel = dice.below(4) == 0;
                if cancel {
                    both.core.cancel(two.0, now);
                    both.sharded.cancel(two.1, now);
                } else {
                    both.core.release(two.0, outcome, now);
                    both.sharded.release(two.1, outcome, now);
                }
                // Nothing happens when the key was forgotten since.
                if let Some(known) = model.keys.get_mut(&key).filter(|known| known.out.contains(&id)) {
                    known.out.retain(|out| *out != id);
                    known.used = (now, now);
                    if !cancel {
                        Toy.release(&mut known.memory, (), outcome, now);
                    }
                }
            }
            17 => {
                let held = dice.below(3) == 0;
                let refused = both.hold(key, held, now);
                if model.place(key, now, refused, &both.contents()) {
                    model.keys.get_mut(&key).unwrap().memory.held = held;
                }
            }
            _ if dice.below(100) < back => now = at(now.as_nanos().saturating_sub(dice.below(60))),
            _ => now = now.after(dice.below(8)),
        }
        let expected: HashMap<_, _> = model.keys.iter().map(|(key, known)| (*key, known.memory)).collect();
        assert_eq!(both.contents(), expected);
        let snapshot = both.core.snapshot();
        assert_eq!((snapshot.len, snapshot.evicted, snapshot.full), (expected.len(), model.evicted, model.full));
    }
    (model.evicted, model.full)
}

#[test]
fn both_tables_follow_the_model() {
    let mut seen = (0, 0);
    for seed in 0..60 {
        for (back, idle) in [(0, 0), (0, 25), (30, 0), (30, 25)] {
            for (evicted, full) in
                [follow::<1>(seed, idle, back), follow::<3>(seed, idle, back), follow::<9>(seed, idle, back)]
            {
                seen = (seen.0 + evicted, seen.1 + full);
            }
        }
    }
    assert!(seen.0 > 1_000 && seen.1 > 1_000, "{seen:?}");
}
