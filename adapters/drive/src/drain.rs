//! Draining a queue as fast as it allows.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;

use fusebox::queue::{LevelSnapshot, LevelingQueue, Popped, Queued, Refused, Terms, Unserved};
use fusebox::{Instant, Lock, Shared};

use crate::Timer;
use crate::alarm::Alarm;

/// A way to wake whoever drains a queue.
pub trait Bell {
    /// There is something to do. If nobody listens, the next one who does is told at once.
    fn ring(&self);

    /// Ends after [`ring`](Bell::ring).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what it was told, the next one is.
    fn heard(&self) -> impl Future<Output = ()>;
}

impl<B: Bell> Bell for &B {
    fn ring(&self) {
        (**self).ring();
    }

    fn heard(&self) -> impl Future<Output = ()> {
        (**self).heard()
    }
}

/// A [`LevelingQueue`] that is pushed to from anywhere and drained by tasks: it sleeps until something is due, and
/// wakes only for that.
///
/// Any number of tasks may drain it, if the [`Bell`] is for as many: so many items are in service at once.
#[derive(Debug)]
pub struct Drainer<T, L, B> {
    timer: T,
    queue: Shared<L>,
    bell: B,
}

impl<T, L, B> Drainer<T, L, B> {
    /// Drains what `lock` holds.
    pub const fn new(timer: T, lock: L, bell: B) -> Self {
        Self { timer, queue: Shared::new(lock), bell }
    }

    /// The timer whose clock the deadlines are of.
    pub const fn timer(&self) -> &T {
        &self.timer
    }
}

impl<I, T: Timer, L, B: Bell, const N: usize, const C: usize> Drainer<T, L, B>
where
    L: Lock<Value = LevelingQueue<I, N, C>>,
{
    /// Pushes `item`: see [`LevelingQueue::push`]. Waits for nothing; fine in an interrupt if the lock is.
    ///
    /// # Errors
    /// The item, why it was refused, and when to come back.
    pub fn try_push(&self, item: I, terms: Terms) -> Result<Option<Unserved<I>>, Refused<I>> {
        let (pushed, is_sooner) = self.with(|queue, now| {
            let before = queue.due(now);
            let pushed = queue.push(item, terms, now);
            let due = queue.due(now);
            (pushed, due.is_some_and(|due| before.is_none_or(|before| due < before)))
        });
        if is_sooner {
            self.bell.ring();
        }
        pushed
    }

    /// Runs `f` on the queue, with the time: to read, take events, change options. What makes an item due earlier needs
    /// a [`wake`](Self::wake) afterwards.
    pub fn with<R>(&self, f: impl FnOnce(&mut LevelingQueue<I, N, C>, Instant) -> R) -> R {
        // The clock is read under the lock, so that the queue never sees it step back for a race.
        self.queue.with(|queue| f(queue, self.timer.now()))
    }

    /// What the queue can tell about itself.
    pub fn snapshot(&self) -> LevelSnapshot {
        self.with(|queue, now| queue.snapshot(now))
    }

    /// Takes nothing in any more. Those who drain it end when it is empty.
    pub fn close(&self) {
        self.with(|queue, _| queue.close());
        self.wake();
    }

    /// Takes nothing in any more, and takes out all that waits: each item goes to `take`, outside the lock.
    pub fn close_and_drain(&self, mut take: impl FnMut(Queued<I>)) {
        self.close();
        while let Some(queued) = self.with(|queue, _| queue.take()) {
            take(queued);
        }
        self.wake();
    }

    /// Wakes one who drains, to look again.
    pub fn wake(&self) {
        self.bell.ring();
    }

    /// The next item, to be served or not; `None` when the queue is closed and empty.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: an item leaves the queue only in the poll that returns it.
    pub async fn next(&self) -> Option<Result<Queued<I>, Unserved<I>>> {
        let mut alarm = pin!(Alarm::new(&self.timer));
        loop {
            let (popped, is_over, has_more) =
                self.with(|queue, now| (queue.pop(now), queue.is_closed() && queue.is_empty(), !queue.is_empty()));
            // Rings may have been heard as one, and it may be somebody else's turn as well.
            if has_more && matches!(popped, Popped::Serve(_) | Popped::Unserved(_)) || is_over {
                self.wake();
            }
            let until = match popped {
                Popped::Serve(queued) => return Some(Ok(queued)),
                Popped::Unserved(unserved) => return Some(Err(unserved)),
                Popped::Wait { until } => Some(until),
                Popped::Empty if is_over => return None,
                Popped::Empty => None,
            };
            self.rest(alarm.as_mut(), until).await;
        }
    }

    /// Waits for the bell, or for one sleep towards `until`.
    async fn rest(&self, mut alarm: Pin<&mut Alarm<'_, T>>, until: Option<Instant>) {
        // Only this task knows of the time. If it goes away, another one must look.
        let hand_on = OnDrop::new(|| {
            if until.is_some() {
                self.wake();
            }
        });
        let mut heard = pin!(self.bell.heard());
        poll_fn(|cx| match (heard.as_mut().poll(cx), until) {
            (Poll::Pending, Some(until)) => alarm.as_mut().poll_sleep(until, cx),
            (poll, _) => poll,
        })
        .await;
        hand_on.disarm();
    }

    /// Drains the queue: `serve` gets what is to be served, one at a time, `unserved` what is not. Ends when the queue
    /// is closed and empty. Lets other tasks run after each item.
    ///
    /// # Cancel safety
    /// Dropping the future drops the item that is being served, with what `serve` made of it; the snapshot counts it as
    /// lost. So does a panic in `serve`. The others stay in the queue.
    pub async fn run<F: Future>(&self, mut serve: impl FnMut(Queued<I>) -> F, mut unserved: impl FnMut(Unserved<I>)) {
        while let Some(next) = self.next().await {
            match next {
                Ok(queued) => {
                    let in_service = OnDrop::new(|| self.with(|queue, _| queue.lost()));
                    serve(queued).await;
                    in_service.disarm();
                }
                Err(not_served) => unserved(not_served),
            }
            yield_once().await;
        }
    }
}

/// Does what is to be done when it is dropped, unless that is no longer needed.
struct OnDrop<F: Fn()> {
    act: F,
    is_needed: bool,
}

impl<F: Fn()> OnDrop<F> {
    const fn new(act: F) -> Self {
        Self { act, is_needed: true }
    }

    fn disarm(mut self) {
        self.is_needed = false;
    }
}

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if self.is_needed {
            (self.act)();
        }
    }
}

async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
