//! What is counted and measured, in all and over time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

/// An answer that comes later is of no use to anybody: for both clients, it is no good answer.
pub(crate) const USEFUL: Duration = Duration::from_secs(1);

/// In microseconds; no client waits longer.
const LONGEST_WAIT: u64 = 60_000_000;

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    Good,
    /// Good, but too late to be of use.
    Late,
    Bad,
    /// Refused here, before any request.
    Refused,
}

/// Counts of calls, and of the requests made for them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) begun: u64,
    pub(crate) requests: u64,
    pub(crate) good: u64,
    pub(crate) late: u64,
    pub(crate) bad: u64,
    pub(crate) refused: u64,
}

impl Totals {
    /// The calls that ended, well or not.
    pub(crate) const fn ended(&self) -> u64 {
        self.good + self.late + self.bad + self.refused
    }

    pub(crate) const fn since(&self, earlier: &Self) -> Self {
        Self {
            begun: self.begun - earlier.begun,
            requests: self.requests - earlier.requests,
            good: self.good - earlier.good,
            late: self.late - earlier.late,
            bad: self.bad - earlier.bad,
            refused: self.refused - earlier.refused,
        }
    }
}

/// `part` of `whole` in percent; `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// What happened in a stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) totals: Totals,
    /// How long the callers waited until they knew, good or bad, in microseconds.
    waits: Histogram<u64>,
}

impl Tally {
    fn new() -> Result<Self> {
        Ok(Self { totals: Totals::default(), waits: Histogram::new_with_bounds(1, LONGEST_WAIT, 2)? })
    }

    fn ended(&mut self, ended: Ended, micros: u64) {
        match ended {
            Ended::Good => self.totals.good += 1,
            Ended::Late => self.totals.late += 1,
            Ended::Bad => self.totals.bad += 1,
            Ended::Refused => self.totals.refused += 1,
        }
        self.waits.saturating_record(micros);
    }

    /// The wait that this part of the calls stayed below, in milliseconds; `None` without calls.
    #[expect(clippy::cast_precision_loss, reason = "waits far below 2^52 microseconds")]
    pub(crate) fn wait(&self, quantile: f64) -> Option<f64> {
        (!self.waits.is_empty()).then(|| self.waits.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}

#[derive(Clone, Debug)]
struct Book {
    whole: Tally,
    bins: Vec<Tally>,
}

/// The measurements of one client.
#[derive(Debug)]
pub(crate) struct Stats {
    opened: Instant,
    width: Duration,
    book: Mutex<Book>,
}

impl Stats {
    /// Counts from `opened` on, for `length`, in bins of a hundredth of it (0.2 s at least).
    pub(crate) fn new(opened: Instant, length: Duration) -> Result<Self> {
        let width = length.div_f64(100.0).max(Duration::from_millis(200));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a hundred")]
        let bins = length.div_duration_f64(width).ceil() as usize;
        let book = Book { whole: Tally::new()?, bins: vec![Tally::new()?; bins] };
        Ok(Self { opened, width, book: Mutex::new(book) })
    }

    pub(crate) fn began(&self, at: Instant) {
        self.note(at, |tally| tally.totals.begun += 1);
    }

    pub(crate) fn requested(&self) {
        self.note(Instant::now(), |tally| tally.totals.requests += 1);
    }

    /// Noted where the call began: what became of the calls of that time.
    pub(crate) fn ended(&self, began: Instant, ended: Ended) {
        let wait = began.elapsed();
        let ended = if wait > USEFUL && matches!(ended, Ended::Good) { Ended::Late } else { ended };
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.note(began, |tally| tally.ended(ended, micros));
    }

    fn note(&self, at: Instant, mut note: impl FnMut(&mut Tally)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a hundred")]
        let bin = at.saturating_duration_since(self.opened).div_duration_f64(self.width) as usize;
        self.read(|book| {
            note(&mut book.whole);
            if let Some(bin) = book.bins.get_mut(bin) {
                note(bin);
            }
        });
    }

    fn read<T>(&self, read: impl FnOnce(&mut Book) -> T) -> T {
        read(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All until now.
    pub(crate) fn whole(&self) -> Tally {
        self.read(|book| book.whole.clone())
    }

    /// The counts until now.
    pub(crate) fn totals(&self) -> Totals {
        self.read(|book| book.whole.totals)
    }

    /// How long a bin is.
    pub(crate) const fn width(&self) -> Duration {
        self.width
    }

    /// The bins, each with its start.
    pub(crate) fn bins(&self) -> Vec<(Duration, Tally)> {
        let bins = self.read(|book| book.bins.clone());
        (0_u32..).map(|n| self.width * n).zip(bins).collect()
    }

    /// How long after `from` all is well for good (95 % good answers); `None` if never.
    pub(crate) fn well_after(&self, from: Duration) -> Option<Duration> {
        let bins = self.bins();
        let ill = bins.iter().rposition(|(_, tally)| !tally.is_well()).map_or(0, |last| last + 1);
        let (well, _) = bins.iter().skip(ill).find(|(at, tally)| *at + self.width > from && tally.totals.begun > 0)?;
        Some(well.saturating_sub(from))
    }
}

impl Tally {
    fn is_well(&self) -> bool {
        percent(self.totals.good, self.totals.begun).is_none_or(|good| good >= 95.0)
    }
}
