//! A queue that workers drain, and whose submitters get answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use fusebox_drive::fusebox::queue::{Codel, LevelSnapshot, LevelingQueue, Load, Queued, Refused, Terms, Unserved, Why};
use fusebox_drive::fusebox::{Clock, Instant, LevelConfig, Reason};
use fusebox_drive::notify::NotifyBell;
use fusebox_drive::{Drainer, timeout_at};
use tokio::sync::{Notify, oneshot};

use crate::TokioTimer;

/// Why an item that was taken in has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered<I> {
    /// It was not served, for this reason; here it is.
    Unserved(Unserved<I>),
    /// The queue was given up before its turn; here it is.
    HandedBack(Queued<I>),
    /// It was being served when the worker was dropped or panicked: whether it took effect is not known.
    Lost,
}

impl<I> fmt::Display for Unanswered<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unserved(unserved) => write!(f, "not served: {}", unserved.why),
            Self::HandedBack(_) => f.write_str("not served: the queue was given up"),
            Self::Lost => f.write_str("lost while it was being served"),
        }
    }
}

impl<I: fmt::Debug> std::error::Error for Unanswered<I> {}

type Reply<I, A> = oneshot::Sender<Result<A, Unanswered<I>>>;

/// An item and whom to answer.
#[derive(Debug)]
struct Job<I, A> {
    item: I,
    reply: Reply<I, A>,
}

/// Takes a job apart.
fn split<I, A>(queued: Queued<Job<I, A>>) -> (Queued<I>, Reply<I, A>) {
    let Queued { item: Job { item, reply }, class, since, deadline } = queued;
    (Queued { item, class, since, deadline }, reply)
}

/// What became of an item: the answer of the worker's handler, or why there is none.
///
/// # Cancel safety
/// Dropping it changes nothing for the item: it is served all the same, and nobody is told.
#[derive(Debug)]
#[must_use = "it says what became of the item"]
pub struct Answer<I, A>(oneshot::Receiver<Result<A, Unanswered<I>>>);

impl<I, A> Future for Answer<I, A> {
    type Output = Result<A, Unanswered<I>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(Unanswered::Lost)))
    }
}

/// A queue with `N` places for items `I` of `C` classes: submitted from anywhere, drained at its rate by workers, each
/// of which serves one item at a time. The submitter gets the handler's answer `A`. Clones share one queue.
///
/// ```
/// use std::time::Duration;
/// use fusebox_tokio::fusebox::queue::{LevelConfig, Terms};
/// use fusebox_tokio::fusebox::{Quota, checked};
/// use fusebox_tokio::Leveler;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let rate = checked!(checked!(Quota::per_second(10)).with_burst(1));
/// let config = LevelConfig::builder().rate(rate).max_wait(Duration::from_secs(2)).build().unwrap();
/// let mailer: Leveler<String, usize, 100> = Leveler::new(config);
/// for _ in 0..4 {
///     // Four at once at most, and ten a second.
///     let mailer = mailer.clone();
///     tokio::spawn(async move { mailer.work(|mail| async move { mail.item.len() }).await });
/// }
/// let answer = mailer.try_submit("hello".to_owned(), Terms::NONE).unwrap();
/// assert_eq!(answer.await, Ok(5));
///
/// mailer.close(); // the workers end when the queue is empty
/// # }
/// ```
///
/// An item that is not served goes back to its submitter, when a worker comes to it; if that one no longer waits for
/// its [`Answer`], it is only counted, in the snapshot. The places are stored inline: thousands of large items want a
/// thread with the stack to make them on, or boxed items.
pub struct Leveler<I, A, const N: usize, const C: usize = 1>(Arc<Inner<I, A, N, C>>);

struct Inner<I, A, const N: usize, const C: usize> {
    drainer: Drainer<TokioTimer, Mutex<LevelingQueue<Job<I, A>, N, C>>, NotifyBell>,
    /// Rings when there may be a place.
    places: Notify,
}

impl<I, A, const N: usize, const C: usize> Clone for Leveler<I, A, N, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I, A, const N: usize, const C: usize> fmt::Debug for Leveler<I, A, N, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leveler").field(&self.snapshot()).finish()
    }
}

impl<I, A, const N: usize, const C: usize> Leveler<I, A, N, C> {
    /// An empty queue.
    #[must_use]
    pub fn new(config: LevelConfig) -> Self {
        let drainer = Drainer::new(TokioTimer::new(), Mutex::new(LevelingQueue::new(config)), NotifyBell::default());
        Self(Arc::new(Inner { drainer, places: Notify::new() }))
    }

    /// The time on the clock of this queue, which deadlines are of.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.drainer.timer().now()
    }

    /// Submits `item` if there is a place for it.
    ///
    /// # Errors
    /// The item, why it was refused, and when to come back.
    pub fn try_submit(&self, item: I, terms: Terms) -> Result<Answer<I, A>, Refused<I>> {
        let (reply, answer) = oneshot::channel();
        match self.0.drainer.try_push(Job { item, reply }, terms) {
            Ok(displaced) => {
                if let Some(displaced) = displaced {
                    tell_unserved(displaced);
                }
                Ok(Answer(answer))
            }
            Err(Refused { item: Job { item, .. }, rejected }) => Err(Refused { item, rejected }),
        }
    }

    /// Submits `item` when a worker has freed a place for it, before its deadline; `max_wait` counts from when it
    /// has one. Who waits may be overtaken by newcomers; each try that finds no place counts as refused in the
    /// snapshot.
    ///
    /// # Errors
    /// The item, and why it was refused for good: too late, or closed.
    ///
    /// # Cancel safety
    /// Dropping the future drops the item, if it is not in the queue yet.
    pub async fn submit(&self, item: I, terms: Terms) -> Result<Answer<I, A>, Refused<I>> {
        let mut item = item;
        loop {
            let refused = match self.try_submit(item, terms) {
                Err(refused) if refused.rejected.reason == Reason::QueueFull => refused,
                settled => {
                    self.0.pass_on();
                    return settled;
                }
            };
            item = refused.item;
            // Not at its `retry_at`: all who wait would wake then, for one place.
            let freed = self.0.places.notified();
            match terms.deadline {
                Some(deadline) => drop(timeout_at(self.0.drainer.timer(), deadline, freed).await),
                None => freed.await,
            }
        }
    }

    /// Works: serves one item after the other with `handler`, as the rate allows, and answers the submitters. Ends when
    /// the queue is closed and empty. Spawn it as often as items may be in service at once.
    ///
    /// # Cancel safety
    /// If it is dropped, or `handler` panics, the submitter of the item in service gets [`Unanswered::Lost`], and the
    /// snapshot counts it. The others stay in the queue.
    pub async fn work<F: Future<Output = A>>(&self, mut handler: impl FnMut(Queued<I>) -> F) {
        let inner = &*self.0;
        let serve = |queued| {
            inner.places.notify_one();
            let (queued, reply) = split(queued);
            let answer = handler(queued);
            async move {
                // Nobody waits for it any more, perhaps.
                drop(reply.send(Ok(answer.await)));
            }
        };
        let unserved = |unserved| {
            inner.places.notify_one();
            tell_unserved(unserved);
        };
        inner.drainer.run(serve, unserved).await;
    }

    /// Takes nothing in any more. What waits is still served, then the workers end.
    pub fn close(&self) {
        self.0.drainer.close();
        self.0.places.notify_one();
    }

    /// Takes nothing in any more, and hands back what waits to its submitters. What is in service is still answered.
    pub fn close_now(&self) {
        self.0.hand_back();
    }

    /// What the queue can tell about itself.
    #[must_use]
    pub fn snapshot(&self) -> LevelSnapshot {
        self.0.drainer.snapshot()
    }

    /// Whether it began or ceased to be overloaded since this was last asked.
    #[must_use]
    pub fn poll_event(&self) -> Option<Load> {
        self.0.drainer.with(|queue, _| queue.poll_event())
    }

    /// See [`LevelingQueue::set_codel`].
    pub fn set_codel(&self, codel: Option<Codel>) {
        self.0.drainer.with(|queue, _| queue.set_codel(codel));
    }
}

impl<I, A, const N: usize, const C: usize> Inner<I, A, N, C> {
    /// Wakes another one who waits for a place, if there may be one: places may have been told of as one.
    fn pass_on(&self) {
        if self.drainer.with(|queue, _| !queue.is_full() || queue.is_closed()) {
            self.places.notify_one();
        }
    }

    fn hand_back(&self) {
        self.drainer.close_and_drain(|queued| {
            let (queued, reply) = split(queued);
            drop(reply.send(Err(Unanswered::HandedBack(queued))));
        });
        self.places.notify_one();
    }
}

/// What waits when the last one lets go of the queue goes back.
impl<I, A, const N: usize, const C: usize> Drop for Inner<I, A, N, C> {
    fn drop(&mut self) {
        self.hand_back();
    }
}

fn tell_unserved<I, A>(unserved: Unserved<Job<I, A>>) {
    let why: Why = unserved.why;
    let (queued, reply) = split(unserved.queued);
    drop(reply.send(Err(Unanswered::Unserved(Unserved { queued, why }))));
}
