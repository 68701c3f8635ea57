//! One limit: the plain machine and its atomic twin.

use fusebox::bulkhead::{BulkheadSnapshot, Permit};
use fusebox::{Bulkhead, BulkheadConfig, Gate, GateKind, Outcome, Reason, Rejected, SharedGate, sync};
use fusebox_tests::Dice;

use super::{at, limit, refused};

/// All that is in flight, by weight.
#[derive(Default)]
struct Model {
    out: Vec<u32>,
    limit: u32,
    highest: u64,
    refused: u32,
}

impl Model {
    fn in_flight(&self) -> u64 {
        self.out.iter().map(|n| u64::from(*n)).sum()
    }

    fn ask(&mut self, n: u32) -> Result<(), Rejected> {
        let reason = if n > self.limit {
            Reason::OverLimit
        } else if n > 0 && self.in_flight() + u64::from(n) > u64::from(self.limit) {
            Reason::InFlight
        } else {
            self.out.push(n);
            self.highest = self.highest.max(self.in_flight());
            return Ok(());
        };
        self.refused += 1;
        Err(refused(reason))
    }

    fn snapshot(&self) -> BulkheadSnapshot {
        BulkheadSnapshot {
            in_flight: u32::try_from(self.in_flight()).unwrap(),
            limit: self.limit,
            highest: u32::try_from(self.highest).unwrap(),
            refused: self.refused,
        }
    }
}

/// The three machines under test.
struct Machines {
    plain: Bulkhead,
    twin: sync::Bulkhead,
    kind: BulkheadConfig,
    state: <BulkheadConfig as GateKind>::State,
}

type Held = [Permit; 3];

impl Machines {
    fn new(n: u32) -> Self {
        let kind = BulkheadConfig::new(limit(n));
        Self { plain: Bulkhead::new(limit(n)), twin: sync::Bulkhead::new(limit(n)), kind, state: BulkheadConfig::FRESH }
    }

    fn ask(&mut self, n: u32) -> Result<Held, Rejected> {
        let now = at(7);
        let answers = if n == 1 {
            let kind = self.kind.try_acquire(&mut self.state, now);
            [self.plain.try_acquire(now), self.twin.try_acquire(now), kind]
        } else {
            let kind = self.state.try_acquire_n(&self.kind, n, now);
            [self.plain.try_acquire_n(n, now), self.twin.try_acquire_n(n, now), kind]
        };
        let [plain, twin, kind] = answers;
        assert_eq!((&plain, &plain), (&twin, &kind));
        plain.map(|plain| [plain, twin.unwrap(), kind.unwrap()])
    }

    fn give_back(&mut self, [plain, twin, kind]: Held, ran: bool) {
        let now = at(3);
        if ran {
            self.plain.release(plain, Outcome::Failure, now);
            self.twin.release(twin, Outcome::Failure, now);
            self.kind.release(&mut self.state, kind, Outcome::Failure, now);
        } else {
            self.plain.cancel(plain, now);
            self.twin.cancel(twin, now);
            self.kind.cancel(&mut self.state, kind, now);
        }
    }

    fn resize(&mut self, n: u32) {
        self.plain.resize(limit(n), at(0));
        self.twin.resize(limit(n), at(0));
        self.kind = BulkheadConfig::new(limit(n));
    }

    fn check(&self, model: &Model) {
        let told = model.snapshot();
        assert_eq!([self.plain.snapshot(), self.twin.snapshot(), self.state.snapshot(&self.kind)], [told; 3]);
        let available = told.limit.saturating_sub(told.in_flight);
        assert_eq!([self.plain.available(), self.twin.available(), told.available()], [available; 3]);
        assert_eq!([self.plain.in_flight(), self.twin.in_flight()], [told.in_flight; 2]);
        assert_eq!(self.kind.rests_at(&self.state).is_some(), told.in_flight == 0);
    }
}

/// Random operations with limits up to `most`; how often it was full, and above a lowered limit.
fn drive(seed: u32, most: u32, operations: u32) -> (u32, u32) {
    let mut dice = Dice::new(seed);
    let mut model = Model { limit: most, ..Model::default() };
    let mut machines = Machines::new(most);
    let mut held: Vec<Held> = vec![];
    let (mut full, mut above) = (0, 0);
    for _ in 0..operations {
        match dice.below(100) {
            0..=44 => {
                let n = if dice.below(3) > 0 { 1 } else { dice.below(most / 2 + 2) };
                let (expected, got) = (model.ask(n), machines.ask(n));
                full += u32::from(expected == Err(refused(Reason::InFlight)));
                assert_eq!(got.as_ref().map(|_| ()).map_err(|rejected| *rejected), expected);
                held.extend(got);
                // Never above the limit by granting.
                assert!(expected.is_err() || n == 0 || model.in_flight() <= u64::from(model.limit));
            }
            45..=94 => {
                if let Some(permits) = dice.pick(&mut held) {
                    let place = model.out.iter().position(|n| *n == permits[0].places()).unwrap();
                    model.out.swap_remove(place);
                    machines.give_back(permits, dice.below(4) > 0);
                }
            }
            _ => {
                model.limit = 1 + dice.below(most);
                machines.resize(model.limit);
            }
        }
        above += u32::from(model.in_flight() > u64::from(model.limit));
        assert_eq!(held.iter().map(|permits| u64::from(permits[1].places())).sum::<u64>(), model.in_flight());
        machines.check(&model);
    }
    (full, above)
}

#[test]
fn in_flight_is_what_was_granted_less_what_came_back() {
    const EACH: u32 = 400_000;
    for (seed, most) in [(1, 1), (2, 2), (3, 5), (4, 40), (5, u32::MAX)] {
        let (full, above) = drive(seed, most, EACH);
        println!("limits up to {most}: {EACH} operations, {full} times full, {above} above a lowered limit");
        assert!(full > EACH / 100 && (most == 1 || above > EACH / 200));
    }
}
