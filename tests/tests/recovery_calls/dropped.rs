//! Callers that go away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;

/// Dropped after every number of polls, a millisecond apart: the next caller can go on at once, and needs no more than
/// the whole ladder.
#[test]
fn dropped_at_any_poll() {
    let mut cut = [0; 3];
    for polls in 0..120 {
        let timer = ManualTimer::default();
        let guarded = recovering(&timer, NoTurns);
        let device = Device::new(Fault::Hangs(Do::PowerCycle));
        {
            let mut call = pin!(device.call(&guarded));
            for _ in 0..polls {
                if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                timer.block_on(sleep_until(&&timer, timer.now().after(1_000_000)));
            }
        }
        assert_eq!(device.users.get(), 0, "{polls}: what ran is gone");
        let (standing, next) = guarded.ladder().with(|ladder| (ladder.standing(), ladder.clone().next(timer.now())));
        match next {
            Ok(Next::Call { .. }) => cut[0] += 1,
            Ok(Next::Wait { .. }) => cut[1] += 1,
            Ok(Next::Act(_)) => cut[2] += 1,
            Err(rejected) => panic!("{polls}: {rejected}"),
        }
        let answer = timer.block_on(device.call(&guarded)).unwrap();
        assert!(answer.is_ok(), "{polls}, {standing}: {answer:?}");
        assert_eq!(guarded.ladder().with(|ladder| ladder.standing()), Standing::Working);
    }
    assert!(cut.iter().all(|n| *n > 5), "cut at a call, a wait, an action: {cut:?}");
}

/// Each action that is dropped costs a use of its rung; so who always drops ends, too.
#[test]
fn who_never_finishes_an_action_ends_at_the_top() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, NoTurns);
    let device = Device::new(Fault::Dead);
    let mut calls = 0;
    while guarded.ladder().with(|ladder| ladder.standing()) != Standing::GivenUp {
        let mut call = pin!(device.call(&guarded));
        for _ in 0..4 {
            if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
            timer.block_on(sleep_until(&&timer, timer.now().after(1_000_000)));
        }
        calls += 1;
        assert!(calls < 100);
    }
    assert_eq!(guarded.ladder().with(|ladder| ladder.counts().map(|rung| rung.recent)), [1, 1, 2]);
}

#[test]
fn one_who_leaves_the_line_is_not_waited_for() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, FairTurns::new());
    let device = Device::new(Fault::None);
    let mut first = Box::pin(device.call(&guarded));
    let mut leaves = Box::pin(device.call(&guarded));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending() && leaves.as_mut().poll(&mut cx).is_pending());
    let last = device.call(&guarded);
    drop(leaves);
    let (first, last) = timer.block_on(join(first, last)).unwrap();
    assert_eq!((first, last), (Ok(1), Ok(1)));
}

#[test]
fn a_panic_leaves_the_place_to_the_next() {
    let timer = ManualTimer::default();
    let guarded = recovering(&timer, NoTurns);
    let device = Device::new(Fault::Fails(Do::PowerCycle));
    for number in 0..4 {
        let boom = async |act: Act<Do>| {
            assert!(number > 1, "{act:?}");
            device.helps(act.action);
            Ok::<(), ()>(())
        };
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let read = async |attempt: Attempt| {
                assert!(number < 2);
                device.read(&&timer, attempt).await
            };
            timer.block_on(guarded.call(read, boom))
        }));
        assert!(answer.is_err());
        assert!(guarded.ladder().with(|ladder| ladder.clone().next(timer.now())).is_ok(), "{number}");
    }
    assert_eq!(timer.block_on(device.call(&guarded)).unwrap(), Ok(1));
}
