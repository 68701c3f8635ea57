//! The line: against a model of all who wait, and before a real bulkhead.

use std::time::Duration;

use fusebox::bulkhead::Permit;
use fusebox::wait::{Asked, Ticket, WaitQueue, WaitSnapshot};
use fusebox::{Bulkhead, Gate, Instant, Outcome, Reason, Rejected};
use fusebox_tests::Dice;

use super::{at, limit, refused};

const MAX_WAIT: u64 = 80;

/// All who wait, the first one first: their number and deadline.
#[derive(Default)]
struct Model {
    waiting: Vec<(u32, u64)>,
    longest: usize,
    full: u32,
    late: u32,
}

/// What a gate that is asked says.
type Word = Result<(), Rejected>;
/// Granted, or told to wait.
type Answer = Result<Option<Option<Instant>>, Rejected>;

impl Model {
    fn at(&mut self, now: u64) {
        let before = self.waiting.len();
        self.waiting.retain(|(_, deadline)| *deadline > now);
        self.late += u32::try_from(before - self.waiting.len()).unwrap();
        for (_, deadline) in &mut self.waiting {
            *deadline = (*deadline).min(now + MAX_WAIT);
        }
    }

    fn enter(&mut self, number: u32, places: usize, deadline: Option<u64>, now: u64, word: Word) -> Answer {
        self.at(now);
        let deadline = deadline.unwrap_or(u64::MAX).min(now + MAX_WAIT);
        if deadline <= now {
            self.late += 1;
            return Err(refused(Reason::TooLate));
        }
        if self.waiting.len() == places {
            self.full += 1;
            let first_to_leave = self.waiting.iter().map(|(_, deadline)| *deadline).min();
            return Err(Rejected { reason: Reason::QueueFull, retry_at: first_to_leave.map(at) });
        }
        self.waiting.push((number, deadline));
        let answer = self.ask(number, now, word);
        self.longest = self.longest.max(self.waiting.len());
        answer
    }

    fn ask(&mut self, number: u32, now: u64, word: Word) -> Answer {
        self.at(now);
        let Some(place) = self.waiting.iter().position(|(other, _)| *other == number) else {
            return Err(refused(Reason::TooLate));
        };
        if place > 0 {
            return Ok(Some(None));
        }
        if let Err(rejected) = word {
            let helps = match (rejected.reason, rejected.retry_at) {
                (Reason::InFlight | Reason::TrialsOut | Reason::Shed, _) => true,
                (_, retry_at) => retry_at.is_some_and(|retry_at| retry_at < at(self.waiting[0].1)),
            };
            if helps {
                return Ok(Some(rejected.retry_at));
            }
            self.waiting.remove(0);
            return Err(rejected);
        }
        self.waiting.remove(0);
        Ok(None)
    }
}

fn random_word(dice: &mut Dice, now: u64) -> Word {
    let soon = Some(at(now + dice.below(100)));
    match dice.below(12) {
        0..=3 => Ok(()),
        4..=6 => Err(refused(Reason::InFlight)),
        7 => Err(Rejected { reason: Reason::TrialsOut, retry_at: soon }),
        8 => Err(refused(Reason::Shed)),
        9 | 10 => Err(Rejected { reason: Reason::RateLimited, retry_at: soon }),
        _ => Err(refused(Reason::ForcedOpen)),
    }
}

fn told(asked: &Result<Asked<()>, Rejected>) -> Answer {
    match asked {
        Ok(Asked::Granted(())) => Ok(None),
        Ok(Asked::Wait { retry_at, .. }) => Ok(Some(*retry_at)),
        Err(rejected) => Err(*rejected),
    }
}

fn drive<const N: usize>(seed: u32, operations: u32) -> (WaitSnapshot, u32) {
    let mut dice = Dice::new(seed);
    let mut real = WaitQueue::<N>::new(Duration::from_nanos(MAX_WAIT)).unwrap();
    let mut model = Model::default();
    // Tickets are kept beyond their use.
    let mut tickets: Vec<(u32, Ticket)> = vec![];
    let (mut now, mut granted) = (1_000_000, 0);
    for number in 0..operations {
        let word = random_word(&mut dice, now);
        let gate = |asked_at| {
            assert_eq!(asked_at, at(now));
            word
        };
        match dice.below(100) {
            0..=34 => {
                let deadline = (dice.below(3) == 0).then(|| (now + dice.below(120)).saturating_sub(10));
                let asked = real.enter(deadline.map(at), at(now), gate);
                if let Ok(Asked::Wait { ticket, .. }) = asked {
                    assert!(tickets.iter().all(|(_, older)| *older < ticket), "given twice");
                    tickets.push((number, ticket));
                }
                assert_eq!(told(&asked), model.enter(number, N, deadline, now, word), "{number}");
            }
            35..=69 if !tickets.is_empty() => {
                // Mostly whoever is in front, sometimes anybody, also with an old ticket.
                let front = real.front().and_then(|front| tickets.iter().find(|(_, ticket)| *ticket == front));
                let any = dice.one_of(&tickets);
                let (waiter, ticket) = if dice.below(3) > 0 { front.copied().unwrap_or(any) } else { any };
                let asked = real.ask(ticket, at(now), gate);
                granted += u32::from(told(&asked) == Ok(None));
                assert_eq!(told(&asked), model.ask(waiter, now, word), "{number}");
            }
            70..=76 if !tickets.is_empty() => {
                let (waiter, ticket) = dice.one_of(&tickets);
                let place = model.waiting.iter().position(|(other, _)| *other == waiter);
                assert_eq!(real.cancel(ticket), place.is_some(), "{number}");
                place.map(|place| model.waiting.remove(place));
            }
            77..=80 => {
                model.at(now);
                let expected = if model.waiting.is_empty() { word } else { Err(refused(Reason::OthersFirst)) };
                assert_eq!(real.try_acquire(at(now), gate), expected, "{number}");
            }
            81 => {
                let place = model.waiting.iter().position(|(_, deadline)| *deadline <= now);
                let late = place.map(|place| model.waiting.remove(place).0);
                model.late += u32::from(late.is_some());
                let real = real.poll_late(at(now));
                let real = real.map(|late| tickets.iter().find(|(_, ticket)| *ticket == late).unwrap().0);
                assert_eq!(real, late, "{number}");
            }
            82 => {
                model.at(now);
                real.handle_timeout(at(now));
            }
            83..=98 => now += dice.below(8),
            _ => now -= dice.below(100),
        }
        if tickets.len() > 4 * N {
            // Not one who still waits.
            let old = tickets.iter().position(|(n, _)| model.waiting.iter().all(|(waiter, _)| waiter != n)).unwrap();
            tickets.remove(old);
        }
        let front = real.front().map(|front| tickets.iter().find(|(_, ticket)| *ticket == front).unwrap().0);
        assert_eq!(front, model.waiting.first().map(|(waiter, _)| *waiter), "{number}");
        assert_eq!(real.poll_timeout(), model.waiting.iter().map(|(_, deadline)| at(*deadline)).min(), "{number}");
        let Model { longest, full, late, .. } = model;
        let expected = WaitSnapshot { len: model.waiting.len(), capacity: N, longest, full, late };
        assert_eq!(
            (real.snapshot(), real.len(), real.is_empty()),
            (expected, expected.len, expected.len == 0),
            "{number}"
        );
    }
    (real.snapshot(), granted)
}

#[test]
fn the_line_agrees_with_a_list_of_all_who_wait() {
    const EACH: u32 = 500_000;
    for (told, granted) in [drive::<1>(1, EACH), drive::<3>(2, EACH), drive::<10>(3, EACH)] {
        println!("{EACH} operations, {granted} granted after waiting, {told:?}");
        assert!(granted > EACH / 100 && told.late > EACH / 200 && told.longest == told.capacity);
    }
}

/// Somebody who wants `n` places, in the order of arrival.
struct Waiter {
    arrival: u32,
    n: u32,
    ticket: Ticket,
}

/// A loop that holds a bulkhead and its line, as one that drives the machines by hand does.
struct World {
    bulkhead: Bulkhead,
    line: WaitQueue<6>,
    waiting: Vec<Waiter>,
    running: Vec<Permit>,
    last_served: u32,
}

impl World {
    fn arrive(&mut self, arrival: u32, n: u32, now: Instant) {
        let nobody_waits = self.waiting.is_empty();
        match self.line.enter(None, now, |now| self.bulkhead.try_acquire_n(n, now)) {
            Ok(Asked::Granted(permit)) => {
                assert!(nobody_waits, "{arrival} overtook");
                self.serve(arrival, permit);
            }
            Ok(Asked::Wait { ticket, .. }) => self.waiting.push(Waiter { arrival, n, ticket }),
            Err(rejected) => assert!(matches!(rejected.reason, Reason::QueueFull)),
        }
    }

    fn serve(&mut self, arrival: u32, permit: Permit) {
        assert!(arrival > self.last_served, "{arrival} after {}", self.last_served);
        self.last_served = arrival;
        self.running.push(permit);
    }

    /// Serves all whose turn it is.
    fn serve_line(&mut self, now: Instant) {
        while let Some(front) = self.line.front() {
            let first = &self.waiting[0];
            assert_eq!(first.ticket, front, "a lost one is in front");
            let Ok(asked) = self.line.ask(front, now, |now| self.bulkhead.try_acquire_n(first.n, now)) else {
                panic!("nobody is late here")
            };
            let Asked::Granted(permit) = asked else { return };
            let served = self.waiting.remove(0);
            self.serve(served.arrival, permit);
        }
    }

    /// Nobody waits whose turn it is and for whom there is room.
    fn check(&self, limit: u32) {
        assert_eq!(self.line.len(), self.waiting.len());
        let in_flight: u32 = self.running.iter().map(Permit::places).sum();
        assert_eq!(self.bulkhead.in_flight(), in_flight);
        if let Some(first) = self.waiting.first() {
            assert!(in_flight + first.n > limit, "{} is forgotten", first.arrival);
        }
    }
}

#[test]
fn nobody_overtakes_and_who_gives_up_hands_the_turn_on() {
    const OPERATIONS: u32 = 500_000;
    let mut dice = Dice::new(9);
    let mut most = 4;
    let mut world = World {
        bulkhead: Bulkhead::new(limit(most)),
        line: WaitQueue::new(Duration::from_secs(1)).unwrap(),
        waiting: vec![],
        running: vec![],
        last_served: 0,
    };
    let (mut gave_up, mut gave_up_in_front) = (0, 0);
    for arrival in 1..=OPERATIONS {
        let now = at(arrival.into());
        match dice.below(20) {
            0..=9 => world.arrive(arrival, 1 + dice.below(3), now),
            10..=16 => {
                if let Some(permit) = dice.pick(&mut world.running) {
                    world.bulkhead.release(permit, Outcome::Success, now);
                }
            }
            17 | 18 if !world.waiting.is_empty() => {
                let which = dice.below(world.waiting.len());
                assert!(world.line.cancel(world.waiting.remove(which).ticket));
                gave_up += 1;
                gave_up_in_front += u32::from(which == 0);
            }
            19 => {
                most = 3 + dice.below(3);
                world.bulkhead.resize(limit(most), now);
            }
            _ => {}
        }
        world.serve_line(now);
        world.check(most);
    }
    println!("{OPERATIONS} operations, {gave_up} gave up, {gave_up_in_front} of them in front");
    assert!(gave_up_in_front > OPERATIONS / 100);
}
