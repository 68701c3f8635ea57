//! What is measured.

use std::future::Future;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

/// What is done, by whoever does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// As little as possible, to compare with.
    Floor,
    /// Ask a closed breaker, report a success.
    ClosedBreaker,
    /// The same, where a window of 100 outcomes judges and one in a hundred is a failure.
    WindowBreaker,
    /// Be refused by an open breaker.
    OpenBreaker,
    /// Take a token from a bucket that has some.
    Token,
    /// The same from the buckets of a thousand keys.
    ThousandKeys,
    /// The same from those of a million.
    MillionKeys,
    /// Take a place of a bulkhead that has some, and give it back.
    Bulkhead,
    /// The next delay of an exponential backoff, jittered.
    Delay,
    /// Retry around a call that succeeds.
    Retry,
    /// A timeout around a future that is ready.
    Timeout,
    /// Timeout, bulkhead, breaker and retry around a future that is ready.
    Pipeline,
    /// The same with a rate limit.
    LimitedPipeline,
}

impl Work {
    /// In the order of the tables.
    pub const ALL: [Self; 13] = [
        Self::Floor,
        Self::ClosedBreaker,
        Self::WindowBreaker,
        Self::OpenBreaker,
        Self::Token,
        Self::ThousandKeys,
        Self::MillionKeys,
        Self::Bulkhead,
        Self::Delay,
        Self::Retry,
        Self::Timeout,
        Self::Pipeline,
        Self::LimitedPipeline,
    ];

    /// A name for tables and file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::ClosedBreaker => "closed breaker",
            Self::WindowBreaker => "window breaker",
            Self::OpenBreaker => "open breaker",
            Self::Token => "token",
            Self::ThousandKeys => "1k keys",
            Self::MillionKeys => "1M keys",
            Self::Bulkhead => "bulkhead",
            Self::Delay => "delay",
            Self::Retry => "retry",
            Self::Timeout => "timeout",
            Self::Pipeline => "pipeline",
            Self::LimitedPipeline => "limited pipeline",
        }
    }
}

/// A library at work. All threads share one machine of it.
pub struct Entry {
    /// What it does.
    pub work: Work,
    /// Who does it, and in which variant.
    pub who: &'static str,
    /// What to know beside the numbers: wrong answers under this very load, say.
    pub note: Option<&'static str>,
    /// With how many threads it works.
    pub threads: &'static [usize],
    /// Bytes of one call's future, if it has one.
    pub future: Option<usize>,
    run: Box<dyn Fn(u64) + Send + Sync>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("work", &self.work).field("who", &self.who).finish_non_exhaustive()
    }
}

impl Entry {
    /// One that does it `once`.
    pub fn new(work: Work, who: &'static str, once: impl Fn() + Send + Sync + 'static) -> Self {
        Self::looped(work, who, move |times| (0..times).for_each(|_| once()))
    }

    /// One that does it as often as it is told to: where something is prepared per thread.
    pub fn looped(work: Work, who: &'static str, run: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { work, who, note: None, threads: &[1, 2], future: None, run: Box::new(run) }
    }

    /// One that awaits it `once`, on a runtime of tokio with its timers.
    pub fn awaited<F: Future>(work: Work, who: &'static str, once: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self::looped(work, who, move |times| {
            block_on(async {
                for _ in 0..times {
                    once().await;
                }
            });
        })
        .with_future(size_of::<F>())
    }

    /// The same with a note.
    #[must_use]
    pub const fn with_note(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }

    /// The same with only so many threads.
    #[must_use]
    pub const fn with_threads(mut self, threads: &'static [usize]) -> Self {
        self.threads = threads;
        self
    }

    /// The same with the bytes of one call's future.
    #[must_use]
    pub const fn with_future(mut self, bytes: usize) -> Self {
        self.future = Some(bytes);
        self
    }

    /// Does it so often, in this thread.
    pub fn run(&self, times: u64) {
        (self.run)(times);
    }

    /// How long `threads` take if each does it so often, all at once.
    #[must_use]
    pub fn time(&self, times: u64, threads: usize) -> Duration {
        let start = std::sync::Barrier::new(threads);
        let lap = || {
            start.wait();
            let started = Instant::now();
            self.run(times);
            started.elapsed()
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(lap)).collect();
            let own = lap();
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            others.fold(own, Duration::max)
        })
    }
}

/// On a runtime of tokio with its timers.
pub(crate) fn block_on(future: impl Future<Output = ()>) {
    match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => unreachable!("a runtime without I/O: {error}"),
    }
}

/// A measurement of something else than it says would be worse than none.
#[inline]
pub(crate) fn sure(as_expected: bool) {
    if !as_expected {
        unreachable!("another answer than the one that is measured");
    }
}
