//! Dropping a future at one of its await points.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use fusebox::{Clock, Instant};
use fusebox_drive::{sleep_until, timeout_at};

use super::ms;
use super::runtimes::Runtime;
use super::watch::{Marks, Watched};

/// Whether a future was woken since it was last polled, and whom to tell.
#[derive(Default)]
struct Flag {
    woken: AtomicBool,
    parent: Mutex<Option<Waker>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if let Some(parent) = self.parent.lock().unwrap().take() {
            parent.wake();
        }
    }
}

/// A future that is polled as a task of its own would be: when somebody wakes it, and not because a neighbour was woken.
pub(crate) struct Task<F> {
    future: Pin<Box<F>>,
    flag: Arc<Flag>,
}

impl<F: Future> Task<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), flag: Arc::new(Flag { woken: AtomicBool::new(true), ..Flag::default() }) }
    }

    pub(crate) fn poll_once(&mut self) -> Poll<F::Output> {
        self.flag.woken.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.flag.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.flag.woken.load(Ordering::SeqCst)
    }

    async fn woken(&mut self) {
        let flag = &self.flag;
        poll_fn(|cx| {
            *flag.parent.lock().unwrap() = Some(cx.waker().clone());
            if flag.woken.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until it is woken, and polls it once.
    async fn step(&mut self) -> Poll<F::Output> {
        self.woken().await;
        self.poll_once()
    }

    /// Its output, if it has one after so many polls.
    pub(crate) async fn polled(mut self, polls: u32) -> Result<F::Output, Self> {
        for _ in 0..polls {
            if let Poll::Ready(output) = self.step().await {
                return Ok(output);
            }
        }
        Err(self)
    }

    pub(crate) async fn run(mut self) -> F::Output {
        loop {
            if let Poll::Ready(output) = self.step().await {
                return output;
            }
        }
    }
}

/// What a future says to its first poll.
pub(crate) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match Task::new(future).poll_once() {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// When, after the last poll, a future is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    AtOnce,
    /// When it has been woken, and before it sees it.
    Woken,
    /// So many milliseconds later, woken or not.
    After(u64),
}

const THEN: [Then; 4] = [Then::AtOnce, Then::Woken, Then::After(1), Then::After(5)];

/// One run of a scenario, in which one future is cut.
pub(crate) struct Scene<R: Runtime> {
    pub(crate) timer: R::Timer,
    pub(crate) marks: Marks,
    polls: u32,
    then: Then,
    /// Where it was dropped.
    point: RefCell<Option<(String, bool)>>,
}

impl<R: Runtime> Scene<R> {
    pub(crate) fn now(&self) -> Instant {
        self.timer.now()
    }

    pub(crate) async fn sleep(&self, millis: u64) {
        sleep_until(&self.timer, self.now().saturating_add(ms(millis))).await;
    }

    /// Whatever runs in here shows as `name` in the point at which it is dropped.
    pub(crate) async fn at<F: Future>(&self, name: &'static str, future: F) -> F::Output {
        self.marks.at(name, future).await
    }

    pub(crate) fn watched<X>(&self, inner: X) -> Watched<X> {
        Watched { inner, marks: self.marks.clone() }
    }

    /// A line of this runtime.
    pub(crate) fn line(&self) -> Watched<R::Turns> {
        self.watched(R::Turns::default())
    }

    /// Whether it was dropped there.
    pub(crate) fn was_cut_at(&self, name: &str) -> bool {
        self.point.borrow().as_ref().is_some_and(|(at, _)| at == name)
    }

    /// Runs `future` until it is dropped: `None`.
    pub(crate) async fn cut<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut task = match Task::new(self.marks.look_at(future)).polled(self.polls).await {
            Ok(output) => return Some(output),
            Err(task) => task,
        };
        match self.then {
            Then::AtOnce => {}
            // Some are never woken.
            Then::Woken => drop(timeout_at(&self.timer, self.now().saturating_add(ms(30)), task.woken()).await),
            Then::After(millis) => self.sleep(millis).await,
        }
        let at = if self.polls == 0 { "not polled".to_owned() } else { self.marks.here() };
        *self.point.borrow_mut() = Some((at, self.polls > 0 && task.is_woken()));
        None
    }
}

/// Tells which run it was in which a test panicked.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in {}", self.0);
        }
    }
}

/// A machine that stands still at the wrong time skips points: a sweep on a real clock is then made again, so often at most.
const SWEEPS: u32 = 20;

/// Where a future was dropped, whether it had been woken, and how often.
type Seen = BTreeMap<(String, bool), u32>;

/// Runs `scenario` with its future dropped after each number of polls, until it ends by itself. Its future must have been
/// dropped at all these `points`.
pub(crate) fn sweep<R: Runtime>(runtime: &R, name: &str, points: &[&str], scenario: impl AsyncFn(&Scene<R>)) {
    let mut seen = Seen::new();
    let missed = |seen: &Seen| {
        let is_missed = |point: &&&str| !seen.keys().any(|(at, _)| at == **point);
        points.iter().chain(&["not polled"]).find(is_missed).copied()
    };
    for _ in 0..if R::EXACT { 1 } else { SWEEPS } {
        sweep_once(runtime, name, &mut seen, &scenario);
        if missed(&seen).is_none() {
            break;
        }
    }
    let all: Vec<_> = seen.keys().map(|(at, woken)| if *woken { format!("{at}, woken") } else { at.clone() }).collect();
    println!(
        "{}, {name}: {} drops at {} points: {}",
        runtime.name(),
        seen.values().sum::<u32>(),
        all.len(),
        all.join("; ")
    );
    if let Some(point) = missed(&seen) {
        panic!("{}, {name}: never dropped at {point}: {all:?}", runtime.name());
    }
}

fn sweep_once<R: Runtime>(runtime: &R, name: &str, seen: &mut Seen, scenario: &impl AsyncFn(&Scene<R>)) {
    for then in THEN {
        for polls in 0.. {
            let _told = Told(format!("{}, {name}: after {polls} polls, {then:?}", runtime.name()));
            let point = runtime.block_on(async {
                let scene =
                    Scene { timer: runtime.timer(), marks: Marks::default(), polls, then, point: RefCell::default() };
                scenario(&scene).await;
                assert!(scene.marks.is_empty(), "still there: {}", scene.marks.here());
                scene.point.take()
            });
            let Some(point) = point else { break };
            assert!(polls < 200, "it never ends by itself");
            *seen.entry(point).or_default() += 1;
        }
    }
}
