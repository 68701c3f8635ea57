//! A database that fails: before it has done what it was asked, and after.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use fusebox::Clock;
use fusebox_drive::idempotent::{IdempotentError, Origin, Renewal};
use fusebox_drive::{sleep_until, timeout_at};

use super::database::{Down, Faults};
use super::suite::{A, Failed, ran};
use super::*;

struct World {
    time: ManualTimer,
    effects: Cell<u32>,
}

type Calls<'w> = Idempotent<&'w &'w ManualTimer, Database<&'w &'w ManualTimer>, NoWakes>;

impl World {
    fn new() -> Self {
        Self { time: ManualTimer::default(), effects: Cell::new(0) }
    }

    /// Calls with an operation of 10 ms; the `nth` request from now on fails.
    fn call(
        &self,
        calls: &Calls<'_>,
        fault: fn(&Faults) -> &AtomicU32,
        nth: u32,
        value: u32,
    ) -> Result<fusebox_drive::idempotent::Answer<u32, Down>, IdempotentError<Failed, Down>> {
        fault(&calls.store().faults).store(nth, Ordering::SeqCst);
        let operation = || async {
            self.effects.set(self.effects.get() + 1);
            sleep_until(&&self.time, self.time.now().saturating_add(MS * 10)).await;
            if value == 0 { Err(Failed) } else { Ok(value) }
        };
        self.time.block_on(calls.call(&1, A, operation)).unwrap()
    }

    fn millis(&self) -> u64 {
        self.time.now().as_nanos() / 1_000_000
    }
}

fn request(faults: &Faults) -> &AtomicU32 {
    &faults.request_lost
}

fn reply(faults: &Faults) -> &AtomicU32 {
    &faults.reply_lost
}

// A call makes these requests: read, make room, write; the operation; read, write.

#[test]
fn without_a_word_from_the_store_nothing_runs() {
    for (fault, nth) in [(request as fn(&Faults) -> &AtomicU32, 1), (request, 2), (request, 3), (reply, 1), (reply, 2)]
    {
        let world = World::new();
        let timer = &&world.time;
        let calls = remote(timer, MS);
        assert_eq!(world.call(&calls, fault, nth, 7), Err(IdempotentError::Store(Down)));
        assert_eq!(world.effects.get(), 0);
        assert_eq!(ran(world.call(&calls, fault, 0, 8)), (8, true));
        assert!(world.millis() < 20, "the key was not taken");
    }
}

#[test]
fn a_key_that_nobody_knows_of_is_free_after_the_lease() {
    let world = World::new();
    let timer = &&world.time;
    let calls = remote(timer, MS);
    assert_eq!(world.call(&calls, reply, 3, 7), Err(IdempotentError::Store(Down)));
    assert_eq!(world.effects.get(), 0);
    assert_eq!(ran(world.call(&calls, reply, 0, 8)), (8, true));
    assert!(world.millis() >= 100 && world.effects.get() == 1);
}

#[test]
fn an_answer_that_could_not_be_stored_is_given_all_the_same() {
    for nth in [4, 5] {
        let world = World::new();
        let timer = &&world.time;
        let calls = remote(timer, MS);
        let answer = world.call(&calls, request, nth, 7).unwrap();
        assert_eq!((answer.value, answer.origin), (7, Origin::Unstored(Down)));
        assert_eq!(ran(world.call(&calls, request, 0, 8)), (8, true), "nobody knew");
        assert!(world.millis() >= 100 && world.effects.get() == 2);
    }
    let world = World::new();
    let timer = &&world.time;
    let calls = remote(timer, MS);
    let answer = world.call(&calls, reply, 5, 7).unwrap();
    assert_eq!((answer.value, answer.origin), (7, Origin::Unstored(Down)));
    assert_eq!(ran(world.call(&calls, reply, 0, 8)), (7, false), "only the word of it was lost");
}

#[test]
fn a_key_that_could_not_be_freed_is_held() {
    let world = World::new();
    let timer = &&world.time;
    let calls = remote(timer, MS);
    assert_eq!(world.call(&calls, request, 4, 0), Err(IdempotentError::Operation(Failed)));
    assert_eq!(ran(world.call(&calls, request, 0, 8)), (8, true));
    assert!(world.millis() >= 100);
}

#[test]
fn a_renewal_that_failed_is_made_up_for() {
    let world = World::new();
    let timer = &&world.time;
    let calls = remote(timer, MS).with_renewal(Renewal::new(MS * 40, MS * 1_000).unwrap());
    calls.store().faults.request_lost.store(4, Ordering::SeqCst); // of the first renewal
    let operation = |value: u32| {
        let time = &world.time;
        async move {
            sleep_until(&time, time.now().saturating_add(MS * 250)).await;
            Ok::<_, Failed>(value)
        }
    };
    let second = async {
        sleep_until(&&world.time, world.time.now().saturating_add(MS * 50)).await;
        calls.call(&1, A, || operation(8)).await
    };
    let both = async { tokio::join!(calls.call(&1, A, || operation(7)), second) };
    let (first, second) = world.time.block_on(both).unwrap();
    assert_eq!((ran(first), ran(second)), ((7, true), (7, false)));
}

#[test]
fn two_servers_share_one_database() {
    let (time, effects) = (ManualTimer::default(), Cell::new(0));
    let timer = &&time;
    let database = Database::new(timer, MS);
    let server = |seed| Idempotent::polling(timer, &database, Backoff::constant(MS * 5).unwrap(), Entropy::new(seed));
    let (one, other) = (server(1), server(2));
    let operation = |value: u32, millis: u32| {
        effects.set(effects.get() + 1);
        async move {
            sleep_until(timer, timer.now().saturating_add(MS * millis)).await;
            Ok::<_, Failed>(value)
        }
    };
    let both = async { tokio::join!(one.call(&1, A, || operation(7, 20)), other.call(&1, A, || operation(8, 20))) };
    let (first, second) = time.block_on(both).unwrap();
    let (first, second) = (ran(first), ran(second));
    assert!(first.0 == second.0 && first.1 != second.1 && effects.get() == 1);
    assert!(time.now() < fusebox::Instant::from_millis(40), "told by the next poll");

    let began = time.now();
    let dies = timeout_at(timer, began.saturating_add(MS * 50), one.call(&2, A, || operation(7, 1_000)));
    let waits = async {
        sleep_until(timer, began.saturating_add(MS * 10)).await;
        other.call(&2, A, || operation(8, 20)).await
    };
    let both = async { tokio::join!(dies, waits) };
    let (dead, answer) = time.block_on(both).unwrap();
    let took = time.now().saturating_since(began);
    assert!(dead.is_none() && ran(answer) == (8, true) && took >= MS * 120 && took < MS * 140, "{took:?}");
}

#[test]
fn errors_say_what_happened() {
    use std::error::Error;
    #[derive(Debug)]
    struct Said(&'static str);
    impl std::fmt::Display for Said {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Said {}
    let rejected = fusebox::Rejected { reason: fusebox::Reason::KeyConflict, retry_at: None };
    let all = [
        IdempotentError::Refused(rejected),
        IdempotentError::Store(Said("no route")),
        IdempotentError::Operation(Said("card declined")),
    ];
    assert_eq!(
        all.each_ref().map(ToString::to_string),
        [
            "not run: idempotency: the key stands for another request (waiting does not help)",
            "not run: the store of idempotency keys failed: no route",
            "the operation failed: card declined",
        ]
    );
    assert_eq!(all.each_ref().map(|error| error.source().unwrap().to_string())[1..], ["no route", "card declined"]);
}

#[test]
fn nonsense_is_refused_by_name() {
    let new = |every, longest| Renewal::new(MS * every, MS * longest).map_err(|error| error.setting);
    assert_eq!((new(0, 1), new(2, 1)), (Err("every"), Err("longest")));
    assert!(new(1, 1).is_ok());
}
