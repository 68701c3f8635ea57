//! The table in memory as a store.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use fusebox::idempotency::{Begun, KeyState};
use fusebox::{Clock, Instant, Lock};
use fusebox_drive::idempotent::{Finished, Store};

use super::suite::A;
use super::*;

/// A lock that knows whether it is held, and a clock that is only to be read then: two threads that read it before would
/// come to the table in any order, and each would see it step back.
struct Watched {
    table: RefCell<Idempotency<u32, u32, 4>>,
    held: Cell<bool>,
}

impl Lock for &Watched {
    type Value = Idempotency<u32, u32, 4>;

    fn with<R>(&self, f: impl FnOnce(&mut Self::Value) -> R) -> R {
        self.held.set(true);
        let answer = f(&mut self.table.borrow_mut());
        self.held.set(false);
        answer
    }
}

impl Clock for Watched {
    fn now(&self) -> Instant {
        assert!(self.held.get(), "read outside the lock");
        Instant::from_millis(5)
    }
}

fn done<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

#[test]
fn the_clock_is_read_under_the_lock() {
    let watched = Watched { table: RefCell::new(Idempotency::new(config(MS))), held: Cell::new(false) };
    let (store, clock) = (&Shared::new(&watched), &watched);
    let run = |key: u32| match done(store.begin(&key, A, clock)) {
        Ok(Ok(Begun::Run(permit))) => permit,
        other => panic!("{other:?}"),
    };
    let permit = run(1);
    assert_eq!(done(store.renew(&permit, clock)), Ok(Some(Instant::from_millis(105))));
    assert_eq!(done(store.finish(permit, &7, clock)), Ok(Finished::Stored));
    assert_eq!(done(store.begin(&1, A, clock)), Ok(Ok(Begun::Stored(7))));
    assert_eq!(done(store.cancel(run(2), clock)), Ok(()));
    store.cancel_now(run(3), clock);
    let state = |key| store.with(|table| table.state(&key, Instant::from_millis(5)) == KeyState::Vacant);
    assert!(state(2) && state(3) && !state(1));
}

#[test]
fn a_question_that_was_never_polled_was_never_asked() {
    let store = Shared::new(RefCell::new(Idempotency::<u32, u32, 4>::new(config(MS))));
    let time = ManualTimer::default();
    drop(store.begin(&1, A, &time));
    assert!(matches!(done(store.begin(&1, A, &time)), Ok(Ok(Begun::Run(_)))));
}
