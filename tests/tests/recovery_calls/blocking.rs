//! Firmware that blocks.

use fusebox_drive::blocking::BlockingTimer;

use super::*;

/// Time that passes only for those who wait for it.
#[derive(Default)]
struct Hand(Cell<u64>);

impl Hand {
    fn pass(&self, millis: u64) {
        self.0.set(self.0.get() + millis * 1_000_000);
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.get())
    }
}

impl BlockingTimer for Hand {
    /// In bits, as an interrupt might wake it.
    fn wait(&self, duration: Duration) {
        self.0.set(self.0.get() + u64::try_from(duration.as_nanos()).unwrap().div_ceil(2));
    }
}

fn read(device: &Device, hand: &Hand, attempt: Attempt) -> Result<u16, &'static str> {
    device.note(hand.now(), "read");
    match device.fault.get() {
        // The HAL gives up by itself, a little late.
        Fault::Hangs(_) => hand.0.set(attempt.deadline.unwrap().as_nanos() + 1),
        _ => hand.pass(2),
    }
    if device.fault.get() == Fault::None { Ok(attempt.number) } else { Err("timeout") }
}

#[test]
fn climbs_as_the_others_do() {
    let hand = Hand::default();
    let guarded = recovering(&hand, NoTurns);
    let device = Device::new(Fault::Hangs(Do::PowerCycle));
    let answer = guarded.call_blocking(
        |attempt| read(&device, &hand, attempt),
        |act| {
            device.note(hand.now(), if act.action == Do::ClearBus { "clear" } else { "power" });
            hand.pass(8);
            device.helps(act.action);
            if act.action == Do::ClearBus { Err(()) } else { Ok(()) }
        },
    );
    assert_eq!(answer, Ok(3));
    let log: Vec<_> = device.log.borrow().iter().map(|(_, what)| *what).collect();
    assert_eq!(log, ["read", "read", "clear", "power", "read"]);
    assert_eq!(guarded.ladder().with(|ladder| ladder.standing()), Standing::Working);
}

#[test]
fn an_action_that_comes_back_late_has_failed() {
    let hand = Hand::default();
    let guarded = recovering(&hand, NoTurns);
    let device = Device::new(Fault::Fails(Do::PowerCycle));
    let answer = guarded.call_blocking(
        |attempt| read(&device, &hand, attempt),
        |act| {
            hand.pass(if act.action == Do::ClearBus { 20 } else { 99 });
            device.helps(act.action);
            Ok::<(), ()>(())
        },
    );
    assert_eq!(answer, Ok(3));
    let counts = guarded.ladder().with(|ladder| ladder.counts());
    assert_eq!((counts[1].failed, counts[2].failed, counts[2].cured), (1, 0, 1));
}

#[test]
fn a_late_answer_is_the_callers_and_the_trial_has_failed() {
    let hand = Hand::default();
    let guarded = recovering(&hand, NoTurns);
    let answer = guarded.call_blocking(
        |attempt: Attempt| {
            hand.pass(if attempt.number == 1 { 1 } else { 10 });
            if attempt.number == 1 { Err(()) } else { Ok(7) }
        },
        |_| Ok::<(), ()>(()),
    );
    assert_eq!(answer, Ok(7));
    assert_eq!(guarded.ladder().with(|ladder| (ladder.standing(), ladder.snapshot().rung)), (Standing::Recovering, 1));
}

#[test]
fn a_call_ends_in_its_time_and_when_refused() {
    let hand = Hand::default();
    let guarded = recovering(&hand, NoTurns).within(ms(7));
    let device = Device::new(Fault::Dead);
    let call = || {
        let answer = guarded.call_blocking(|attempt| read(&device, &hand, attempt), |_| Err::<(), ()>(()));
        answer.unwrap_err()
    };
    let error = call();
    assert_eq!((error.cause, error.attempts, error.last), (Cause::OutOfTime(Stage::Delay), 1, Some("timeout")));
    hand.pass(4);
    let error = call();
    assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::GivenUp), "{error:?}");
    assert_eq!(call().attempts, 0);
}

/// A clock that steps back during a call does not lengthen it by more than its time.
#[test]
fn a_clock_that_steps_back_gives_no_call_more_time_than_it_has() {
    let hand = Hand::default();
    hand.pass(1_000_000);
    let guarded = recovering(&hand, NoTurns).within(ms(50));
    let device = Device::new(Fault::Dead);
    let answer = guarded.call_blocking(
        |attempt| {
            if attempt.number == 1 {
                hand.0.set(1_000_000_000);
            }
            read(&device, &hand, attempt)
        },
        |_| {
            hand.pass(15);
            Ok::<(), ()>(())
        },
    );
    let error = answer.unwrap_err();
    assert!(matches!(error.cause, Cause::OutOfTime(_)), "{error:?}");
    assert!(hand.now() < Instant::from_millis(1_052), "{:?}", hand.now());
}
