//! The breaker's atomic twin.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::AtomicU64;
use crate::breaker::{BreakerConfig, BreakerState, PACKED_BITS, Permit, Snapshot, State, Transition, TripRule};
use crate::{Instant, Lock, Outcome, Rejected, SharedGate};

/// What [`BreakerOver`] keeps in its word: the generation (32 bits), the trip rule's packed memory, and two flags.
///
/// | closed | packed | |
/// | --- | --- | --- |
/// | 1 | 1 | calls are granted, and recorded in the word |
/// | 1 | 0 | calls are granted; the rule's memory does not fit and is behind the lock |
/// | 0 | 0 | everything is behind the lock: not closed, a slow start, or somebody is at work there |
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const CLOSED: u64 = 1;
    const PACKED: u64 = 2;
    const MEMORY_AT: u32 = 2;
    const MEMORY: u64 = (1 << PACKED_BITS) - 1;
    const GENERATION_AT: u32 = 32;
    /// Come to the lock.
    const LOCKED: Self = Self(0);

    const fn closed(generation: u32, memory: Option<u64>) -> Self {
        let memory = match memory {
            Some(memory) => (memory & Self::MEMORY) << Self::MEMORY_AT | Self::PACKED,
            None => 0,
        };
        Self((generation as u64) << Self::GENERATION_AT | memory | Self::CLOSED)
    }

    const fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    const fn generation(self) -> u32 {
        (self.0 >> Self::GENERATION_AT) as u32
    }

    const fn memory(self) -> Option<u64> {
        if self.0 & Self::PACKED == 0 { None } else { Some(self.0 >> Self::MEMORY_AT & Self::MEMORY) }
    }
}

/// A circuit breaker that many threads use at once: [`breaker::Breaker`](crate::breaker)'s atomic twin, over any lock.
///
/// While it is closed, asking is one load. So is reporting an outcome that changes nothing (a success when no failure is
/// remembered); one that does is one compare-and-swap, if the rule's memory fits [`PACKED_BITS`]: `Consecutive`, and
/// rates over the last 25 calls or fewer. Everything else takes the lock.
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
    config: BreakerConfig<R, TRIALS>,
    /// The plain machine. Its memory is out of date while the word has it.
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
        Self { word: AtomicU64::new(Word::LOCKED.0), config, rest: state }
    }

    /// loom's atomics cannot be made while compiling.
    #[cfg(loom)]
    #[must_use]
    pub fn over(config: BreakerConfig<R, TRIALS>, state: L) -> Self {
        Self { word: AtomicU64::new(Word::LOCKED.0), config, rest: state }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &BreakerConfig<R, TRIALS> {
        &self.config
    }

    /// Runs `f` on the plain machine with its memory up to date, and shows everybody what it has become.
    fn with<T>(&self, f: impl FnOnce(&mut BreakerState<R, TRIALS>) -> T) -> T {
        self.rest.with(|state| {
            // A word that records calls must stop doing so first: from here on everybody waits for the lock. The other
            // words tell nothing that only they know.
            if self.load().memory().is_some() {
                self.bring_up_to_date(state, Word(self.word.swap(Word::LOCKED.0, AcqRel)));
            }
            let answer = f(state);
            let word = self.word_of(state);
            if self.load() != word {
                self.word.store(word.0, Release);
            }
            answer
        })
    }

    fn load(&self) -> Word {
        Word(self.word.load(Acquire))
    }

    fn bring_up_to_date(&self, state: &mut BreakerState<R, TRIALS>, word: Word) {
        if let Some(memory) = word.memory() {
            state.restore(self.config.rule().unpack(memory));
        }
    }

    fn word_of(&self, state: &BreakerState<R, TRIALS>) -> Word {
        match state.closed_memory() {
            Some(memory) => Word::closed(state.generation(), self.config.rule().pack(memory)),
            None => Word::LOCKED,
        }
    }

    /// Records an outcome in the word; gives the permit back if that takes the lock.
    #[inline]
    fn record(&self, permit: Permit, outcome: Outcome, now: Instant) -> Option<Permit> {
        let sample = self.config.sample(&permit, outcome, now)?;
        let mut word = Word(self.word.load(Relaxed));
        loop {
            let Some(memory) = word.memory() else { return Some(permit) };
            if word.generation() != permit.generation {
                return None; // of an earlier phase
            }
            let (next, met) = self.config.rule().record_packed(memory, sample);
            if met && sample.is_bad() {
                return Some(permit);
            }
            let next = Word::closed(permit.generation, Some(next));
            if next == word {
                return None; // nothing to write, so calls that succeed do not disturb each other
            }
            match self.word.compare_exchange_weak(word.0, next.0, Relaxed, Relaxed) {
                Ok(_) => return None,
                Err(other) => word = Word(other),
            }
        }
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

    /// See [`Breaker::snapshot`](crate::Breaker::snapshot). Takes the lock, but keeps no call waiting.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.rest.with(|state| {
            self.bring_up_to_date(state, self.load());
            state.snapshot(&self.config, now)
        })
    }

    /// The state, as of the last call.
    pub fn state(&self) -> State {
        if self.load().is_closed() { State::Closed } else { self.rest.with(|state| state.state()) }
    }
}

impl<R: TripRule, const TRIALS: usize, L: Lock<Value = BreakerState<R, TRIALS>>> SharedGate
    for BreakerOver<R, TRIALS, L>
{
    type Permit = Permit;

    #[inline]
    fn try_acquire(&self, now: Instant) -> Result<Permit, Rejected> {
        // The permit carries all that is known from the word, and is checked against it later.
        let word = Word(self.word.load(Relaxed));
        if word.is_closed() {
            return Ok(Permit::for_call(word.generation(), now));
        }
        self.with(|state| state.try_acquire(&self.config, now))
    }

    #[inline]
    fn release(&self, permit: Permit, outcome: Outcome, now: Instant) {
        let left = if permit.is_for_call() { self.record(permit, outcome, now) } else { Some(permit) };
        if let Some(permit) = left {
            self.with(|state| state.release(&self.config, permit, outcome, now));
        }
    }

    #[inline]
    fn cancel(&self, permit: Permit, now: Instant) {
        // A call that never ran changes nothing while all calls are let through.
        if !(permit.is_for_call() && self.load().is_closed()) {
            self.with(|state| state.cancel(&self.config, permit, now));
        }
    }
}
