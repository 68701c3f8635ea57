//! The breaker's atomic twin.

use core::ops::Range;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::AtomicU64;
use crate::breaker::{BreakerConfig, BreakerState, Permit, Snapshot, Standing, State, Transition, TripRule};
use crate::{Clock, Instant, Lock, Outcome, Reason, Rejected, SharedGate};

/// What [`BreakerOver`] keeps in its word: the generation (32 bits), how many good calls the machine has not been told of
/// (16 bits, so that telling it takes no time worth mentioning, whatever its rule), and two flags, of which one at most is set.
///
/// | flag | |
/// | --- | --- |
/// | closed | calls are granted; good ones that end within the span are counted in the word |
/// | open | those that ask within the span are refused |
/// | neither | everything is behind the lock: half-open, a slow start, forced, or somebody is at work there |
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const CLOSED: u64 = 1;
    const OPEN: u64 = 2;
    const OWED_AT: u32 = 2;
    const OWED: u32 = u16::MAX as u32;
    const GENERATION_AT: u32 = 32;
    /// Come to the lock.
    const LOCKED: Self = Self(0);

    const fn new(generation: u32, flag: u64) -> Self {
        Self((generation as u64) << Self::GENERATION_AT | flag)
    }

    const fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    const fn is_open(self) -> bool {
        self.0 & Self::OPEN != 0
    }

    const fn generation(self) -> u32 {
        (self.0 >> Self::GENERATION_AT) as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "masked")]
    const fn owed(self) -> u32 {
        (self.0 >> Self::OWED_AT) as u32 & Self::OWED
    }

    /// `None` when no more can be counted.
    const fn one_more_owed(self) -> Option<Self> {
        if self.owed() < Self::OWED { Some(Self(self.0 + (1 << Self::OWED_AT))) } else { None }
    }
}

/// A circuit breaker that many threads use at once: [`breaker::Breaker`](crate::breaker)'s atomic twin, over any lock.
///
/// While it is closed, asking is one load. So is reporting a success that changes nothing: when no failure is remembered,
/// or a window is full of successes. Other successes are one compare-and-swap: they are counted, and told to the machine
/// when it matters, before the next failure. A refusal while it is open is a few loads and a count. Everything else,
/// failures above all, takes the lock. A weighted rate ([`Ewma`](crate::breaker::Ewma)) takes it for every report.
///
/// The clock is read where time matters only: to refuse, for `slow_after`, for windows of time.
///
#[cfg_attr(feature = "std", doc = "```")]
#[cfg_attr(not(feature = "std"), doc = "```ignore")]
/// use fusebox::{BreakerConfig, Consecutive, Instant, Outcome, SharedGate, State, checked, sync};
///
/// static BREAKER: sync::Breaker<Consecutive> =
///     sync::Breaker::new(checked!(BreakerConfig::builder(checked!(Consecutive::new(2))).build()));
///
/// std::thread::scope(|threads| {
///     for _ in 0..2 {
///         threads.spawn(|| {
///             let permit = BREAKER.try_acquire(Instant::from_secs(1)).unwrap();
///             BREAKER.release(permit, Outcome::Failure, Instant::from_secs(1));
///         });
///     }
/// });
/// assert_eq!(BREAKER.state(), State::Open);
/// ```
#[derive(Debug)]
pub struct BreakerOver<R: TripRule, const TRIALS: usize, L> {
    word: AtomicU64,
    /// The span of time that the word's flag is about; written under the lock, while the word says so.
    from: AtomicU64,
    until: AtomicU64,
    /// Refusals that the machine has not been told of.
    refused: AtomicU64,
    config: BreakerConfig<R, TRIALS>,
    /// The plain machine. It does not know what the word owes it.
    rest: L,
}

/// The twin over `std`'s mutex.
#[cfg(feature = "std")]
pub type Breaker<R, const TRIALS: usize = 1> = BreakerOver<R, TRIALS, std::sync::Mutex<BreakerState<R, TRIALS>>>;

#[cfg(feature = "std")]
impl<R: TripRule, const TRIALS: usize> Breaker<R, TRIALS> {
    /// Closed, nothing recorded.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new(config: BreakerConfig<R, TRIALS>) -> Self {
        Self::over(config, std::sync::Mutex::new(BreakerState::new()))
    }
}

impl<R: TripRule, const TRIALS: usize, L: Lock<Value = BreakerState<R, TRIALS>>> BreakerOver<R, TRIALS, L> {
    /// A twin over `state`, a lock around a new [`BreakerState`].
    #[cfg(not(loom))]
    #[must_use]
    pub const fn over(config: BreakerConfig<R, TRIALS>, state: L) -> Self {
        // The first caller finds out what the lock holds.
        let [word, from, until, refused] = [const { AtomicU64::new(0) }; 4];
        Self { word, from, until, refused, config, rest: state }
    }

    /// loom's atomics cannot be made while compiling.
    #[cfg(loom)]
    #[must_use]
    pub fn over(config: BreakerConfig<R, TRIALS>, state: L) -> Self {
        let [word, from, until, refused] = core::array::from_fn(|_| AtomicU64::new(0));
        Self { word, from, until, refused, config, rest: state }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &BreakerConfig<R, TRIALS> {
        &self.config
    }

    /// Runs `f` on the plain machine, told of everything, and shows everybody what it has become.
    fn with<T>(&self, f: impl FnOnce(&mut BreakerState<R, TRIALS>) -> T) -> T {
        self.rest.with(|state| {
            // From here on everybody waits for the lock.
            let word = Word(self.word.swap(Word::LOCKED.0, AcqRel));
            if word.owed() > 0 {
                state.catch_up(&self.config, word.owed());
            }
            let answer = f(state);
            self.publish(state);
            answer
        })
    }

    fn publish(&self, state: &BreakerState<R, TRIALS>) {
        let (flag, span) = match state.standing(&self.config) {
            Standing::Grants { good_alike } => (Word::CLOSED, good_alike),
            Standing::Refuses(span) => (Word::OPEN, span),
            Standing::Changes => return, // the word stays locked
        };
        self.until.store(span.end.as_nanos(), Release);
        self.from.store(span.start.as_nanos(), Release);
        self.word.store(Word::new(state.generation(), flag).0, Release);
    }

    #[inline]
    fn load(&self) -> Word {
        Word(self.word.load(Acquire))
    }

    /// That of a word, if the word is the same afterwards. Acquire: who sees another span then sees another word; and who
    /// sees its beginning sees its end, for a word that did not change because a clock stepped back.
    #[inline]
    fn span(&self) -> Range<Instant> {
        Instant::from_nanos(self.from.load(Acquire))..Instant::from_nanos(self.until.load(Acquire))
    }

    /// Refuses, if that can be done without the lock.
    fn refuse(&self, word: Word, now: Instant) -> Option<Rejected> {
        if !word.is_open() {
            return None;
        }
        let span = self.span();
        if !span.contains(&now) || self.word.load(Relaxed) != word.0 {
            return None;
        }
        self.refused.fetch_add(1, Relaxed);
        Some(Rejected { reason: Reason::Open, retry_at: Some(span.end) })
    }

    /// Records an outcome in the word; whether that was possible.
    #[inline]
    fn record(&self, permit: &Permit, outcome: Outcome, now: &impl Clock) -> bool {
        if outcome != Outcome::Success {
            return outcome == Outcome::Ignored;
        }
        if self.config.looks_at_durations() && self.config.is_slow(permit, now.now()) {
            return false;
        }
        let enough = self.config.rule().enough();
        let mut word = self.load();
        while word.is_closed() && word.generation() == permit.generation && word.owed() < enough {
            let Some(next) = word.one_more_owed().filter(|_| self.is_alike(now)) else { return false };
            match self.word.compare_exchange_weak(word.0, next.0, Relaxed, Acquire) {
                Ok(_) => return true,
                Err(other) => word = Word(other),
            }
        }
        // Nothing to write: one more changes nothing, so calls that succeed do not disturb each other; or the outcome is of
        // an earlier phase.
        word.is_closed()
    }

    /// Whether a good call that ends now is like those that the word counts. If the span is not of the word that is then
    /// written, which was another one for a while, the call counts as one that ended a moment later.
    #[inline]
    fn is_alike(&self, now: &impl Clock) -> bool {
        let span = self.span();
        span == (Instant::EPOCH..Instant::MAX) || span.contains(&now.now())
    }

    // Out of line, so that what is usual needs few registers.

    #[cold]
    #[inline(never)]
    fn acquire_locked(&self, now: Instant) -> Result<Permit, Rejected> {
        self.with(|state| state.try_acquire(&self.config, now))
    }

    #[cold]
    #[inline(never)]
    fn release_locked(&self, permit: Permit, outcome: Outcome, now: Instant) {
        self.with(|state| state.release(&self.config, permit, outcome, now));
    }

    #[cold]
    #[inline(never)]
    fn cancel_locked(&self, permit: Permit, now: Instant) {
        self.with(|state| state.cancel(&self.config, permit, now));
    }

    /// See [`Breaker::trip`](crate::Breaker::trip).
    pub fn trip(&self, now: Instant) {
        self.with(|state| state.trip(&self.config, now));
    }

    /// See [`Breaker::half_open`](crate::Breaker::half_open).
    pub fn half_open(&self, now: Instant) {
        self.with(|state| state.half_open(now));
    }

    /// See [`Breaker::force_open`](crate::Breaker::force_open).
    pub fn force_open(&self, now: Instant) {
        self.with(|state| state.force_open(now));
    }

    /// See [`Breaker::force_closed`](crate::Breaker::force_closed).
    pub fn force_closed(&self, now: Instant) {
        self.with(|state| state.force_closed(now));
    }

    /// See [`Breaker::dry_run`](crate::Breaker::dry_run).
    pub fn dry_run(&self, now: Instant) {
        self.with(|state| state.dry_run(now));
    }

    /// See [`Breaker::reset`](crate::Breaker::reset).
    pub fn reset(&self, now: Instant) {
        self.with(|state| state.reset(now));
    }

    /// See [`Gate::handle_timeout`](crate::Gate::handle_timeout).
    pub fn handle_timeout(&self, now: Instant) {
        self.with(|state| state.handle_timeout(&self.config, now));
    }

    /// See [`Gate::poll_timeout`](crate::Gate::poll_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.rest.with(|state| state.poll_timeout(&self.config))
    }

    /// See [`Breaker::poll_event`](crate::Breaker::poll_event).
    pub fn poll_event(&self) -> Option<Transition> {
        self.rest.with(BreakerState::poll_event)
    }

    /// See [`Breaker::snapshot`](crate::Breaker::snapshot).
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.with(|state| {
            state.refused(u32::try_from(self.refused.swap(0, Relaxed)).unwrap_or(u32::MAX));
            state.snapshot(&self.config, now)
        })
    }

    /// The state, as of the last call.
    pub fn state(&self) -> State {
        match self.load() {
            word if word.is_closed() => State::Closed,
            word if word.is_open() => State::Open,
            _ => self.rest.with(|state| state.state()),
        }
    }
}

impl<R: TripRule, const TRIALS: usize, L: Lock<Value = BreakerState<R, TRIALS>>> SharedGate
    for BreakerOver<R, TRIALS, L>
{
    type Permit = Permit;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<Permit, Rejected> {
        // The permit carries all that is known from the word, and is checked against it later.
        let word = self.load();
        if word.is_closed() {
            let started = if self.config.looks_at_durations() { now.now() } else { Instant::EPOCH };
            return Ok(Permit::for_call(word.generation(), started));
        }
        let now = now.now();
        if let Some(rejected) = self.refuse(word, now) {
            return Err(rejected);
        }
        // Field by field, or the one above would go through memory, too.
        let Permit { started, generation, kind } = self.acquire_locked(now)?;
        Ok(Permit { started, generation, kind })
    }

    #[inline]
    fn release(&self, permit: Permit, outcome: Outcome, now: impl Clock) {
        if !(permit.is_for_call() && self.record(&permit, outcome, &now)) {
            self.release_locked(permit, outcome, now.now());
        }
    }

    #[inline]
    fn cancel(&self, permit: Permit, now: impl Clock) {
        // A call that never ran changes nothing while all calls are let through.
        if !(permit.is_for_call() && self.load().is_closed()) {
            self.cancel_locked(permit, now.now());
        }
    }
}
