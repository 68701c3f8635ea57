//! A list of all latencies, walked anew for each question.

use fusebox::latency::{Bound, LatencySnapshot};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) nanos: u64,
    pub(crate) ended: bool,
}

/// The share that outlived each time at which something ended, earliest first. At equal times those that ended come
/// before those that were dropped.
pub(crate) fn product_limit(latencies: &[Latency]) -> Vec<(u64, f64)> {
    let mut times: Vec<u64> = latencies.iter().filter(|l| l.ended).map(|l| l.nanos).collect();
    times.sort_unstable();
    times.dedup();
    let mut surviving = 1.0;
    let mut steps = Vec::new();
    for time in times {
        let watched = latencies.iter().filter(|l| l.nanos >= time).count();
        let ended = latencies.iter().filter(|l| l.ended && l.nanos == time).count();
        surviving *= (watched - ended) as f64 / watched as f64;
        steps.push((time, surviving));
    }
    steps
}

/// Rounding decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsure;

/// What a quantile is, if it can be told.
pub(crate) fn exact(latencies: &[Latency], permille: u16) -> Result<Option<u64>, Unsure> {
    let goal = f64::from(1_000 - permille.min(1_000)) / 1_000.0;
    for (time, surviving) in product_limit(latencies) {
        if surviving <= goal + 1e-9 {
            return Ok(Some(time));
        }
        if surviving < goal + 3e-6 {
            return Err(Unsure);
        }
    }
    Ok(None)
}

/// Where buckets begin: by units up to four, then four to each power of two.
pub(crate) fn begins() -> Vec<u64> {
    let mut begins = vec![0, 1, 2, 3];
    let mut power = 4;
    while power < 1 << 27 {
        begins.extend([4, 5, 6, 7].map(|quarter| power / 4 * quarter));
        power *= 2;
    }
    begins.push(power);
    begins.iter().map(|units| units * 1_024).collect()
}

/// The bucket's begin and end.
pub(crate) fn bucket(begins: &[u64], nanos: u64) -> (u64, Option<u64>) {
    let after = begins.iter().position(|begin| *begin > nanos);
    (begins[after.unwrap_or(begins.len()) - 1], after.map(|at| begins[at]))
}

pub(crate) struct Model {
    begins: Vec<u64>,
    window: u64,
    minimum: usize,
    since: u64,
    current: Vec<Latency>,
    previous: Vec<Latency>,
    /// The last answer, the question, and how many were recorded since.
    told: Option<(u16, u32, Result<Bound, Unsure>)>,
}

impl Model {
    pub(crate) fn new(window: u64, minimum: u16) -> Self {
        let minimum = minimum.into();
        Self { begins: begins(), window, minimum, since: 0, current: Vec::new(), previous: Vec::new(), told: None }
    }

    fn turn(&mut self, since: u64) {
        self.previous = std::mem::take(&mut self.current);
        self.since = since;
        self.told = None;
    }

    fn look(&mut self, now: u64) {
        self.since = self.since.min(now);
        match (now - self.since) / self.window {
            0 => {}
            1 => self.turn(self.since + self.window),
            _ => {
                self.current.clear();
                self.turn(now);
            }
        }
    }

    pub(crate) fn record(&mut self, latency: Latency, now: u64) {
        self.look(now);
        self.current.push(latency);
        if let Some((_, records, _)) = &mut self.told {
            *records += 1;
        }
    }

    fn all(&self) -> Vec<Latency> {
        self.previous.iter().chain(&self.current).copied().collect()
    }

    pub(crate) fn quantile(&mut self, permille: u16, now: u64) -> Result<Option<Bound>, Unsure> {
        self.look(now);
        let all = self.all();
        if all.len() < self.minimum {
            return Ok(None);
        }
        if let Some((_, _, answer)) = self.told.filter(|told| told.0 == permille && told.1 < 16) {
            return answer.map(Some);
        }
        let answer = self.answer(&all, permille);
        self.told = Some((permille, 0, answer));
        answer.map(Some)
    }

    /// From latencies as coarse as their buckets.
    fn answer(&self, all: &[Latency], permille: u16) -> Result<Bound, Unsure> {
        let coarse: Vec<Latency> =
            all.iter().map(|l| Latency { nanos: bucket(&self.begins, l.nanos).0, ended: l.ended }).collect();
        let longest = coarse.iter().map(|l| l.nanos).max().unwrap();
        let found = exact(&coarse, permille)?;
        Ok(match found.map(|nanos| bucket(&self.begins, nanos)) {
            Some((_, Some(end))) => Bound::AtMost(end),
            Some((begin, None)) => Bound::AtLeast(begin),
            None => Bound::AtLeast(longest),
        })
    }

    /// Whether the last answer was found just now, and from what is known now.
    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self.told, Some((_, 0, Ok(_))))
    }

    /// What the documentation promises about an answer, from latencies as they are.
    pub(crate) fn check_bounds(&self, permille: u16, answer: Bound) {
        let all = self.all();
        // A censored one counts to the end of its bucket.
        let end = |nanos| bucket(&self.begins, nanos).1.map_or(u64::MAX, |end| end - 1);
        let later = |l: &Latency| if l.ended { l.nanos } else { end(l.nanos) };
        let stretched: Vec<Latency> = all.iter().map(|l| Latency { nanos: later(l), ended: l.ended }).collect();
        let (Ok(least), Ok(most)) = (exact(&all, permille), exact(&stretched, permille)) else {
            return;
        };
        match answer {
            Bound::AtMost(bound) => {
                assert!(least.unwrap() <= bound, "{least:?} {bound}");
                let most = most.unwrap();
                assert!(bound <= most + (most / 4).max(1_024), "{most} {bound}");
            }
            Bound::AtLeast(bound) => {
                assert!(most.is_none_or(|most| most >= bound && bound == 1 << 37));
                assert!(all.iter().any(|l| l.nanos >= bound));
            }
        }
    }

    pub(crate) fn snapshot(&self) -> LatencySnapshot {
        let (ended, censored): (Vec<Latency>, Vec<Latency>) = self.all().into_iter().partition(|l| l.ended);
        LatencySnapshot { ended: ended.len() as u32, censored: censored.len() as u32 }
    }
}
