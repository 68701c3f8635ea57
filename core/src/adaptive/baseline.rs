//! How long a call takes when it meets no queue, and the probes that find out.

use super::round::Told;
use super::rule::NoLoad;
use crate::Instant;

/// Where the time without load comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Source {
    /// It is known.
    Fixed(u64),
    /// It is measured; doubted after so many nanoseconds.
    Measured(u64),
}

/// How many calls a measurement takes.
pub(super) const CALLS: u8 = 16;

/// What is known of the time without load.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Baseline {
    time: Option<u64>,
    /// The moving average of all times, each weighing a 32nd.
    usual: u64,
    /// When `time` was last found right, or measured.
    checked: Option<Instant>,
    /// Whether the limit is lowered so that there is no queue.
    probing: bool,
}

impl Baseline {
    pub(super) const UNKNOWN: Self = Self { time: None, usual: 0, checked: None, probing: false };

    pub(super) const fn time(&self, source: Source) -> Option<u64> {
        match source {
            Source::Fixed(time) => Some(time),
            Source::Measured(_) => self.time,
        }
    }

    /// Whether the limit is lowered so that there is no queue.
    pub(super) const fn is_probing(&self) -> bool {
        self.probing
    }

    /// Whether this round's calls are to show the time without load: in a probe, and at the very beginning.
    pub(super) fn is_measuring(&self, wanted: NoLoad, source: Source) -> bool {
        self.probing || (wanted == NoLoad::Mean && self.time(source).is_none())
    }

    /// Takes the time of a call; whether it is the shortest so far, for who wants to know.
    pub(super) fn observe(&mut self, wanted: NoLoad, source: Source, time: u64) -> bool {
        if let Source::Fixed(_) = source {
            return false;
        }
        self.usual = match self.usual {
            0 => time,
            usual if time >= usual => usual + ((time - usual) >> 5),
            usual => usual - ((usual - time) >> 5),
        };
        let shortest = wanted != NoLoad::Mean && self.time.is_none_or(|known| time < known);
        if shortest {
            self.time = Some(time);
        }
        shortest && wanted == NoLoad::Shortest
    }

    /// What a measurement showed, if it did.
    pub(super) fn measured(&mut self, wanted: NoLoad, told: Option<Told>) {
        self.probing = false;
        if let Some(Told { mean, shortest, .. }) = told {
            self.time = Some(if wanted == NoLoad::Mean { mean } else { shortest });
            self.usual = mean;
        }
    }

    /// Whether a probe begins now. It takes doubt: the interval is over, and calls usually take a quarter longer than
    /// without load. If they do not there is no queue to speak of, and nothing to lower the limit for.
    pub(super) fn begins_probe(&mut self, wanted: NoLoad, source: Source, now: Instant) -> bool {
        let (Source::Measured(interval), Some(time), false) = (source, self.time, self.probing) else { return false };
        if wanted == NoLoad::Unused || !self.is_due(interval, now) {
            return false;
        }
        self.checked = Some(now);
        self.probing = self.usual > time + (time >> 2);
        if !self.probing && wanted == NoLoad::Mean {
            self.time = Some(time.min(self.usual));
        }
        self.probing
    }

    /// A clock that stepped back puts it off by an interval at most.
    fn is_due(&mut self, interval: u64, now: Instant) -> bool {
        let since = self.checked.filter(|since| *since <= now);
        self.checked = Some(since.unwrap_or(now));
        since.is_some_and(|since| now.nanos_since(since) >= interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = Source::Measured(1_000);

    fn at(n: u64) -> Instant {
        Instant::from_nanos(n)
    }

    fn feed(b: &mut Baseline, wanted: NoLoad, time: u64, calls: u32) {
        for _ in 0..calls {
            b.observe(wanted, SOURCE, time);
        }
    }

    const fn told(mean: u64, shortest: u64) -> Told {
        Told { mean, shortest, in_flight: 1 }
    }

    #[test]
    fn the_shortest_is_told_and_kept() {
        let mut b = Baseline::UNKNOWN;
        let told = [100, 120, 90, 90].map(|time| b.observe(NoLoad::Shortest, SOURCE, time));
        assert_eq!((told, b.time(SOURCE)), ([true, false, true, false], Some(90)));
        assert!(!b.is_measuring(NoLoad::Shortest, SOURCE));
        let mut unused = Baseline::UNKNOWN;
        assert!(!unused.observe(NoLoad::Unused, SOURCE, 5));
        assert_eq!(unused.time(SOURCE), Some(5));
        assert!(!b.observe(NoLoad::Shortest, Source::Fixed(7), 1));
        assert_eq!((b.time(Source::Fixed(7)), b.time(SOURCE)), (Some(7), Some(90)));
    }

    #[test]
    fn the_first_mean_is_measured_without_lowering() {
        let mut b = Baseline::UNKNOWN;
        assert!(b.is_measuring(NoLoad::Mean, SOURCE) && !b.is_probing());
        assert!(!b.is_measuring(NoLoad::Mean, Source::Fixed(7)));
        feed(&mut b, NoLoad::Mean, 100, 99);
        assert_eq!(b.time(SOURCE), None);
        b.measured(NoLoad::Mean, Some(told(150, 90)));
        assert_eq!((b.time(SOURCE), b.is_measuring(NoLoad::Mean, SOURCE)), (Some(150), false));
    }

    #[test]
    fn a_probe_begins_on_doubt() {
        let mut b = Baseline::UNKNOWN;
        feed(&mut b, NoLoad::Shortest, 1_000, 1);
        assert!(!b.begins_probe(NoLoad::Shortest, SOURCE, at(10)));
        feed(&mut b, NoLoad::Shortest, 3_000, 500);
        assert!(!b.begins_probe(NoLoad::Shortest, SOURCE, at(1_009)));
        assert!(!b.begins_probe(NoLoad::Unused, SOURCE, at(1_010)));
        assert!(b.begins_probe(NoLoad::Shortest, SOURCE, at(1_010)));
        assert!(b.is_probing() && b.is_measuring(NoLoad::Shortest, SOURCE));
        assert!(!b.begins_probe(NoLoad::Shortest, SOURCE, at(9_999)));
        b.measured(NoLoad::Shortest, Some(told(3_000, 2_500)));
        assert_eq!((b.is_probing(), b.time(SOURCE)), (false, Some(2_500)));
        assert!(!b.begins_probe(NoLoad::Shortest, SOURCE, at(9_999)), "not a quarter more");
        b.probing = true;
        b.measured(NoLoad::Shortest, None);
        assert_eq!((b.is_probing(), b.time(SOURCE)), (false, Some(2_500)));
    }

    #[test]
    fn without_doubt_nothing_is_lowered_and_a_mean_may_sink() {
        let mut b = Baseline::UNKNOWN;
        b.measured(NoLoad::Mean, Some(told(1_000, 900)));
        assert!(!b.begins_probe(NoLoad::Mean, SOURCE, at(0)));
        feed(&mut b, NoLoad::Mean, 500, 1_000);
        assert!(!b.begins_probe(NoLoad::Mean, SOURCE, at(1_000)));
        assert!(b.time.is_some_and(|time| time <= 531), "{:?}", b.time);
    }

    #[test]
    fn a_clock_that_steps_back_puts_a_probe_off_by_an_interval() {
        let mut b = Baseline::UNKNOWN;
        feed(&mut b, NoLoad::Shortest, 100, 1);
        feed(&mut b, NoLoad::Shortest, 1_000, 100);
        for (t, begins) in [(u64::MAX, false), (5, false), (1_004, false), (1_005, true)] {
            assert_eq!(b.begins_probe(NoLoad::Shortest, SOURCE, at(t)), begins, "at {t}");
        }
    }
}
