//! Law: whoever calls a device that is recovered gets its answer or the reason why not, in time; one at a time helps, and
//! whoever goes away, wherever, leaves a ladder that others can go on with.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, clippy::integer_division, reason = "a test needs no const")]

mod blocking;
mod dropped;
mod runtimes;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::time::Duration;

use fusebox::recovery::{Act, Ladder, LadderConfig, Next, Rung, Standing};
use fusebox::{Cause, Clock, Instant, Reason, SharedGate, Stage, checked};
use fusebox_drive::{Attempt, Class, NoTurns, Recovering, Timer, Turns, sleep_until};
use fusebox_tests::ManualTimer;
use fusebox_tokio::FairTurns;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Do {
    ClearBus,
    PowerCycle,
}

/// A call takes 10 ms; a retry after 5 ms; the bus is cleared in 20 ms and settles for 2 ms; the power is cut twice, for
/// 100 ms, and the device boots for 30 ms.
const CONFIG: LadderConfig<Do, 3> = checked!(
    LadderConfig::builder(
        ms(10),
        [
            Rung::retry(ms(5)),
            Rung::action(Do::ClearBus, ms(20), ms(2)),
            Rung::action(Do::PowerCycle, ms(100), ms(30)).times(2),
        ]
    )
    .retry_after(ms(5_000))
    .build()
);

type Locked = RefCell<Ladder<Do, 3>>;

fn recovering<T, W>(timer: T, turns: W) -> Recovering<T, Locked, W> {
    Recovering::fair(timer, RefCell::new(Ladder::new(CONFIG)), turns)
}

/// What is wrong with a device.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Answers with an error, until this is done.
    Fails(Do),
    /// Never answers, until this is done.
    Hangs(Do),
    /// Nothing helps.
    Dead,
}

/// A device and its driver. A call takes 2 ms, an action 8 ms.
struct Device {
    fault: Cell<Fault>,
    /// Of whoever uses it now.
    users: Cell<u32>,
    log: RefCell<Vec<(u64, &'static str)>>,
}

struct Using<'d>(&'d Device);

impl<'d> Using<'d> {
    fn new(device: &'d Device) -> Self {
        assert_eq!(device.users.replace(1), 0, "one at a time");
        Self(device)
    }
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.0.users.set(0);
    }
}

impl Device {
    fn new(fault: Fault) -> Self {
        Self { fault: Cell::new(fault), users: Cell::new(0), log: RefCell::new(vec![]) }
    }

    fn note(&self, now: Instant, what: &'static str) {
        self.log.borrow_mut().push((now.as_nanos() / 1_000_000, what));
    }

    async fn read<T: Timer>(&self, timer: &T, attempt: Attempt) -> Result<u16, &'static str> {
        let _using = Using::new(self);
        self.note(timer.now(), "read");
        if let Fault::Hangs(_) = self.fault.get() {
            return pending().await;
        }
        sleep_until(timer, timer.now().after(2_000_000)).await;
        if self.fault.get() == Fault::None { Ok(attempt.number) } else { Err("no acknowledge") }
    }

    /// Clearing the bus does not mend what needs more.
    fn helps(&self, action: Do) {
        match self.fault.get() {
            Fault::Fails(needed) | Fault::Hangs(needed) if action >= needed => self.fault.set(Fault::None),
            _ => {}
        }
    }

    async fn recover<T: Timer>(&self, timer: &T, act: Act<Do>) -> Result<(), ()> {
        let _using = Using::new(self);
        self.note(timer.now(), if act.action == Do::ClearBus { "clear" } else { "power" });
        sleep_until(timer, timer.now().after(8_000_000)).await;
        self.helps(act.action);
        Ok(())
    }

    async fn call<T: Timer, W: Turns>(
        &self,
        guarded: &Recovering<T, Locked, W>,
    ) -> Result<u16, fusebox_drive::CallError<&'static str>> {
        let timer = guarded.timer();
        guarded.call(|attempt| self.read(timer, attempt), |act| self.recover(timer, act)).await
    }
}

#[test]
fn climbs_only_as_far_as_it_must() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, NoTurns);
    let device = Device::new(Fault::Fails(Do::ClearBus));
    assert_eq!(timer.block_on(device.call(&guarded)).unwrap(), Ok(3), "the third attempt");
    assert_eq!(*device.log.borrow(), [(0, "read"), (7, "read"), (9, "clear"), (19, "read")]);
    assert_eq!(guarded.ladder().with(|ladder| ladder.counts().map(|rung| rung.cured)), [0, 1, 0]);
    assert_eq!(timer.block_on(device.call(&guarded)).unwrap(), Ok(1), "works");
}

#[test]
fn what_hangs_is_dropped_in_time() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, NoTurns);
    let device = Device::new(Fault::Hangs(Do::PowerCycle));
    assert_eq!(timer.block_on(device.call(&guarded)).unwrap(), Ok(4));
    let expected = [(0, "read"), (15, "read"), (25, "clear"), (35, "read"), (45, "power"), (83, "read")];
    assert_eq!(*device.log.borrow(), expected);
}

#[test]
fn a_dead_device_is_given_up_with_the_last_error() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, NoTurns);
    let device = Device::new(Fault::Dead);
    let error = timer.block_on(device.call(&guarded)).unwrap().unwrap_err();
    let Cause::Refused(rejected) = error.cause else { panic!("{error:?}") };
    // 2, 5 + 2, 8 + 2 + 2, twice 8 + 30 + 2.
    assert_eq!((rejected.reason, rejected.retry_at), (Reason::GivenUp, Some(at(101 + 5_000))));
    assert_eq!((error.last, error.attempts, error.elapsed), (Some("no acknowledge"), 5, ms(101)));
    assert!(error.elapsed <= CONFIG.longest_climb());
    let again = timer.block_on(device.call(&guarded)).unwrap().unwrap_err();
    assert_eq!((again.last, again.attempts, again.elapsed), (None, 0, ms(0)), "at once");
    assert_eq!(guarded.ladder().with(|ladder| ladder.standing()), Standing::GivenUp);
}

#[test]
fn an_action_that_fails_or_hangs_is_followed_by_the_next_rung() {
    for hangs in [false, true] {
        let timer = ManualTimer::default();
        let guarded = recovering(&timer, NoTurns);
        let device = Device::new(Fault::Fails(Do::ClearBus));
        let stuck = async |act: Act<Do>| {
            if act.action == Do::ClearBus {
                return if hangs { pending().await } else { Err(()) };
            }
            device.recover(&&timer, act).await
        };
        let driver = &timer;
        let answer = timer.block_on(guarded.call(|attempt| device.read(&driver, attempt), stuck));
        assert_eq!(answer.unwrap(), Ok(3));
        let cut = if hangs { 29 } else { 9 };
        assert_eq!(*device.log.borrow(), [(0, "read"), (7, "read"), (cut, "power"), (cut + 38, "read")]);
        assert_eq!(guarded.ladder().with(|ladder| ladder.counts()[1].failed), 1);
    }
}

#[test]
fn the_classifier_says_what_is_a_failure_and_what_is_final() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, NoTurns);
    let call = |class: Class| {
        let classify = move |_: &Result<(), &'static str>| class;
        let operation = |_| std::future::ready(Err("bad address"));
        let answer = guarded.call_with(classify, operation, |_| std::future::ready(Ok::<(), ()>(())));
        timer.block_on(answer).unwrap().map_err(|error| (error.cause, error.attempts))
    };
    assert_eq!(call(Class::Ignore), Err((Cause::Stopped, 1)));
    assert_eq!(guarded.ladder().with(|ladder| ladder.standing()), Standing::Working, "the caller's fault");
    assert_eq!(call(Class::Stop), Err((Cause::Stopped, 1)));
    assert_eq!(guarded.ladder().with(|ladder| ladder.standing()), Standing::Recovering);
    assert_eq!(call(Class::Success), Err((Cause::Stopped, 1)), "a final error");
    assert_eq!(guarded.ladder().with(|ladder| ladder.standing()), Standing::Working);
    assert!(matches!(call(Class::Retry), Err((Cause::Refused(_), 5))));
}

#[test]
fn one_helps_and_the_others_are_refused_at_once() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, NoTurns);
    let device = Device::new(Fault::Fails(Do::PowerCycle));
    let other = async {
        let timer = &guarded.timer();
        let mut refused = vec![];
        for now in [1, 3, 8, 10, 18, 30, 60] {
            sleep_until(timer, at(now)).await;
            let answer = guarded.ladder().try_acquire(timer.now());
            refused.push((now, answer.map(drop).map_err(|rejected| rejected.retry_at)));
        }
        refused
    };
    let (answer, refused) = timer.block_on(join(device.call(&guarded), other)).unwrap();
    assert_eq!(answer, Ok(4));
    let expected = [
        (1, Ok(())),           // nothing is known yet
        (3, Err(Some(at(7)))), // settles
        (8, Err(None)),        // the retry; an action would come next
        (10, Err(None)),       // the bus is cleared
        (18, Err(Some(at(19)))),
        (30, Err(None)), // power
        (60, Ok(())),    // works
    ];
    // At 21 power is due; done at 29, ready at 59.
    assert_eq!(refused[..5], expected[..5]);
    assert_eq!(refused[5], (30, Err(Some(at(59)))));
    assert_eq!(refused[6].0, 60);
}

/// Both to their ends, the first one first.
async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    tokio::join!(biased; a, b)
}

#[test]
fn in_line_each_has_the_device_to_itself() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, FairTurns::new()).within(ms(40));
    let device = Device::new(Fault::Hangs(Do::ClearBus));
    let pair = join(device.call(&guarded), device.call(&guarded));
    let ((first, second), third) = timer.block_on(join(pair, device.call(&guarded))).unwrap();
    assert_eq!(first, Ok(3), "it had the time to begin its last attempt");
    assert_eq!((second, third), (Ok(1), Ok(1)));

    let guarded = recovering(&timer, FairTurns::new()).within(ms(40));
    let device = Device::new(Fault::Hangs(Do::PowerCycle));
    let pair = join(device.call(&guarded), device.call(&guarded));
    let (first, second) = timer.block_on(pair).unwrap();
    let first = first.unwrap_err();
    assert_eq!((first.cause, first.timed_out), (Cause::OutOfTime(Stage::Attempt), 3));
    // The line was left in time.
    let second = second.unwrap_err();
    assert_eq!((second.cause, second.attempts, second.elapsed), (Cause::OutOfTime(Stage::Line), 0, ms(40)));
}

#[test]
fn nothing_new_is_begun_when_the_time_is_over() {
    let timer = ManualTimer::default();
    let device = Device::new(Fault::Fails(Do::PowerCycle));
    let ladder = || RefCell::new(Ladder::new(CONFIG));
    let call = |within| {
        device.fault.set(Fault::Fails(Do::PowerCycle));
        let guarded = Recovering::new(&timer, ladder()).within(ms(within));
        let answer = timer.block_on(device.call(&guarded)).unwrap();
        let next = guarded.ladder().with(|ladder| ladder.next(guarded.timer().now()));
        (answer.map_err(|error| (error.cause, error.attempts, error.elapsed)), matches!(next, Ok(Next::Act(_))))
    };
    assert_eq!(call(0), (Err((Cause::OutOfTime(Stage::Line), 0, ms(0))), false));
    assert_eq!(call(7), (Err((Cause::OutOfTime(Stage::Delay), 1, ms(2))), false), "the wait would end at 7");
    assert_eq!(call(8), (Err((Cause::OutOfTime(Stage::Attempt), 2, ms(9))), true), "the action is for somebody else");
    assert_eq!(
        call(10),
        (Err((Cause::OutOfTime(Stage::Attempt), 2, ms(17))), false),
        "it began in time and is not cut short"
    );
    assert_eq!(call(59), (Err((Cause::OutOfTime(Stage::Delay), 3, ms(29))), false));
    assert_eq!(call(60), (Ok(4), false));
}

#[test]
fn callers_of_a_ladder_as_a_gate_are_kept_out_while_a_task_helps() {
    let timer = ManualTimer::default();
    let driver = &timer;
    let guarded = recovering(&timer, NoTurns);
    let device = Device::new(Fault::Fails(Do::ClearBus));
    let client =
        fusebox_drive::Pipeline::new(&timer, guarded.ladder(), fusebox::RetryPolicy::ONCE, fusebox::Entropy::new(1));
    let failed = timer.block_on(client.call(|attempt| device.read(&driver, attempt))).unwrap().unwrap_err();
    assert_eq!((failed.last, failed.attempts), (Some("no acknowledge"), 1));
    let refused = timer.block_on(client.call(|attempt| device.read(&driver, attempt))).unwrap().unwrap_err();
    assert!(matches!(refused.cause, Cause::Refused(rejected) if rejected.reason == Reason::Recovering));
    // The supervisor calls a probe.
    assert_eq!(timer.block_on(device.call(&guarded)).unwrap(), Ok(2));
    assert_eq!(timer.block_on(client.call(|attempt| device.read(&driver, attempt))).unwrap(), Ok(1));
}
