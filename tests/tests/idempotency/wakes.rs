//! No wake-up is lost, whoever is polled when.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use fusebox::Reason;
use fusebox_drive::idempotent::{NoWakes, Wakes};
use fusebox_embassy::WakeList;

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A task by hand.
#[derive(Default)]
struct Task(Arc<Woken>);

impl Task {
    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.0))))
    }

    fn wakes(&self) -> u32 {
        self.0.0.load(Ordering::SeqCst)
    }
}

fn keeps_its_word(wakes: &impl Wakes) {
    let (a, b, c) = (Task::default(), Task::default(), Task::default());
    wakes.wake_all();
    let (mut first, mut second, mut unpolled) = (pin!(wakes.woken()), pin!(wakes.woken()), pin!(wakes.woken()));
    assert!(a.poll(first.as_mut()).is_pending(), "what was before is of no account");
    assert!(b.poll(second.as_mut()).is_pending() && b.poll(second.as_mut()).is_pending());
    wakes.wake_all();
    assert_eq!((a.wakes(), b.wakes()), (1, 1));
    assert!(a.poll(first).is_ready() && b.poll(second).is_ready());
    assert!(c.poll(unpolled.as_mut()).is_ready(), "it had asked before");
    {
        let mut dropped = pin!(wakes.woken());
        assert!(a.poll(dropped.as_mut()).is_pending());
    }
    let (mut moved, mut other) = (pin!(wakes.woken()), pin!(wakes.woken()));
    assert!(a.poll(moved.as_mut()).is_pending() && b.poll(moved.as_mut()).is_pending(), "another task has it now");
    assert!(c.poll(other.as_mut()).is_pending());
    wakes.wake_all();
    assert_eq!((a.wakes(), b.wakes(), c.wakes()), (1, 2, 1));
    assert!(b.poll(moved).is_ready() && c.poll(other).is_ready());
}

#[test]
fn tokio() {
    keeps_its_word(&fusebox_tokio::NotifyWakes::new());
}

#[test]
fn async_std() {
    keeps_its_word(&fusebox_async_std::NotifyWakes::new());
}

#[test]
fn embassy() {
    keeps_its_word(&WakeList::<CriticalSectionRawMutex, 2>::new());
}

#[test]
fn nobody_is_told() {
    let mut woken = pin!(NoWakes.woken());
    NoWakes.wake_all();
    assert!(Task::default().poll(woken.as_mut()).is_pending());
}

#[test]
fn a_full_list_says_so_and_a_place_is_freed_once() {
    let (list, task) = (WakeList::<CriticalSectionRawMutex, 1>::new(), Task::default());
    let mut old = Box::pin(list.woken());
    assert!(task.poll(old.as_mut()).is_pending());
    let Poll::Ready(Err(full)) = task.poll(pin!(list.woken())) else { panic!("there is one place") };
    assert_eq!((full.reason, full.retry_at), (Reason::QueueFull, None));
    list.wake_all();
    let mut new = Box::pin(list.woken());
    assert!(task.poll(new.as_mut()).is_pending(), "the place is free");
    drop(old); // of an earlier round: it has no place any more
    assert!(task.poll(pin!(list.woken())).is_ready(), "the place is taken");
    drop(new);
    assert!(task.poll(pin!(list.woken())).is_pending());
    let none = WakeList::<CriticalSectionRawMutex, 0>::new();
    assert!(task.poll(pin!(none.woken())).is_ready());
}
