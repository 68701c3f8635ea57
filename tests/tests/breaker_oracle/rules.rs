//! The trip rules as lists: each looks at all calls since the phase began, from scratch, whenever it is asked.

use fusebox::Counts;
use fusebox::breaker::Rate;

/// A call that was judged.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub at: u128,
    pub failed: bool,
    pub slow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    Failed,
    Slow,
}

impl Look {
    const fn is_bad(self, seen: &Seen) -> bool {
        match self {
            Self::Failed => seen.failed,
            Self::Slow => seen.slow,
        }
    }
}

/// When a rate is high enough.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub permille: u32,
    pub minimum: usize,
}

/// How fast an average forgets.
#[derive(Clone, Copy, Debug)]
pub enum Fade {
    Calls(f64),
    Nanos(f64),
}

#[derive(Clone, Debug)]
pub enum Rule {
    InARow(usize),
    LastCalls {
        look: Look,
        size: usize,
        limit: Limit,
    },
    LastNanos {
        look: Look,
        bucket: u128,
        buckets: u128,
        limit: Limit,
    },
    /// So many failures in what another rule looks at.
    SoMany(usize, Box<Self>),
    Weighted {
        fade: Fade,
        limit: Limit,
    },
    AnyOf(Vec<Self>),
}

/// What a rule tells about the calls it looks at.
#[derive(Clone, Copy, Debug)]
pub enum Share {
    Counted { calls: usize, bad: usize },
    Weighted { calls: usize, average: f64, young: bool },
}

impl Share {
    fn of<'s>(calls: impl Iterator<Item = &'s Seen>, look: Look) -> Self {
        let bad: Vec<bool> = calls.map(|seen| look.is_bad(seen)).collect();
        Self::Counted { calls: bad.len(), bad: bad.iter().filter(|bad| **bad).count() }
    }

    fn reaches(self, limit: Limit) -> bool {
        match self {
            Self::Counted { calls, bad } => calls >= limit.minimum && bad * 1_000 >= limit.permille as usize * calls,
            Self::Weighted { calls, average, young } => {
                let over = average * 1_000.0 - f64::from(limit.permille);
                assert!(over.abs() > 1e-4, "too close to call: take another threshold");
                calls >= limit.minimum && !young && over > 0.0
            }
        }
    }

    /// Whether `rate` says the same; of a weighted one to within what its fixed point can hold.
    fn is(self, rate: Rate) -> bool {
        match self {
            Self::Counted { calls, bad } => {
                let permille = (bad * 1_000).checked_div(calls);
                (rate.calls as usize, rate.bad as usize, rate.permille.map(usize::from)) == (calls, bad, permille)
            }
            Self::Weighted { calls, average, .. } => {
                let bad = average * f64::from(rate.calls);
                let fits = |permille: u16| (0.0..1.002).contains(&(average * 1_000.0 - f64::from(permille) + 0.001));
                rate.calls as usize == calls
                    && (bad - 0.001..bad + 1.001).contains(&f64::from(rate.bad))
                    && rate.permille.is_some() == (calls > 0)
                    && rate.permille.is_none_or(fits)
            }
        }
    }
}

/// Which piece of time each call fell in, then the present piece and its beginning.
fn pieces(seen: &[Seen], bucket: u128, buckets: u128, now: u128) -> (Vec<u128>, u128, u128) {
    let (mut piece, mut began) = (0, seen.first().map_or(now, |seen| seen.at));
    let mut enter = |at: u128| {
        began = began.min(at); // the clock stepped back, so the present piece begins then
        let passed = (at - began) / bucket;
        piece += passed;
        // After more than the whole span nothing is left to keep pace with.
        began = if passed > buckets { at } else { began + passed * bucket };
        (piece, began)
    };
    let of_calls = seen.iter().map(|seen| enter(seen.at).0).collect();
    let (present, began) = enter(now);
    (of_calls, present, began)
}

/// The calls within the last `buckets` pieces of time.
fn within(seen: &[Seen], bucket: u128, buckets: u128, now: u128) -> impl Iterator<Item = &Seen> {
    let (pieces, present, _) = pieces(seen, bucket, buckets, now);
    let kept: Vec<&Seen> =
        seen.iter().zip(pieces).filter(|(_, piece)| piece + buckets > present).map(|(seen, _)| seen).collect();
    if seen.is_sorted_by_key(|seen| seen.at) && seen.last().is_none_or(|seen| seen.at <= now) {
        // As promised: the window reaches back between all its pieces and one less.
        let younger = |span: u128| seen.iter().filter(|seen| now - seen.at < span).count();
        assert!((younger((buckets - 1) * bucket)..=younger(buckets * bucket)).contains(&kept.len()));
    }
    kept.into_iter()
}

fn average(seen: &[Seen], fade: Fade) -> f64 {
    // It starts from the first outcome.
    let Some(first) = seen.first() else { return 0.0 };
    let (mut average, mut last) = (f64::from(u8::from(first.failed)), first.at);
    for Seen { at, failed, .. } in &seen[1..] {
        #[expect(clippy::cast_precision_loss, reason = "the model is allowed to round")]
        let keep = match fade {
            Fade::Calls(calls) => (-1.0 / calls).exp(),
            Fade::Nanos(span) => (-(at.saturating_sub(last) as f64) / span).exp(),
        };
        last = *at;
        average = average * keep + if *failed { 1.0 - keep } else { 0.0 };
    }
    average
}

/// Whether less than the span has passed since the first call; a clock that steps back makes an earlier one the first.
fn is_young(seen: &[Seen], fade: Fade) -> bool {
    let since_first = || Some(seen.last()?.at - seen.iter().map(|seen| seen.at).min()?);
    match fade {
        Fade::Calls(_) => false,
        #[expect(clippy::cast_precision_loss, reason = "the model is allowed to round")]
        Fade::Nanos(span) => since_first().is_none_or(|passed| (passed as f64) < span),
    }
}

impl Rule {
    fn share(&self, seen: &[Seen], now: u128) -> Share {
        match self {
            Self::InARow(_) => Share::of(seen.iter().rev().take_while(|seen| seen.failed), Look::Failed),
            Self::LastCalls { look, size, .. } => Share::of(seen.iter().rev().take(*size), *look),
            Self::LastNanos { look, bucket, buckets, .. } => Share::of(within(seen, *bucket, *buckets, now), *look),
            Self::Weighted { fade, .. } => {
                Share::Weighted { calls: seen.len(), average: average(seen, *fade), young: is_young(seen, *fade) }
            }
            Self::SoMany(_, window) => window.share(seen, now),
            Self::AnyOf(_) => unreachable!("asked one by one"),
        }
    }

    const fn look(&self) -> Look {
        match self {
            Self::LastCalls { look, .. } | Self::LastNanos { look, .. } => *look,
            _ => Look::Failed,
        }
    }

    fn each(&self) -> Vec<&Self> {
        match self {
            Self::AnyOf(rules) => rules.iter().flat_map(Self::each).collect(),
            rule => vec![rule],
        }
    }

    /// Whether the rule is met after the newest call.
    pub fn is_met(&self, seen: &[Seen], now: u128) -> bool {
        self.each().into_iter().any(|rule| match rule {
            Self::InARow(threshold) | Self::SoMany(threshold, _) => {
                matches!(rule.share(seen, now), Share::Counted { bad, .. } if bad >= *threshold)
            }
            Self::LastCalls { limit, .. } | Self::LastNanos { limit, .. } | Self::Weighted { limit, .. } => {
                rule.share(seen, now).reaches(*limit)
            }
            Self::AnyOf(_) => unreachable!("flattened"),
        })
    }

    /// Whether `counts` are those of `seen`: of the first rule that looks at failed calls, and at slow ones.
    pub fn counts_are(&self, counts: Counts, seen: &[Seen], now: u128) -> bool {
        [(Look::Failed, counts.failed), (Look::Slow, counts.slow)].into_iter().all(|(look, rate)| {
            let rule = self.each().into_iter().find(|rule| rule.look() == look);
            match (rule, rate) {
                (Some(rule), Some(rate)) => rule.share(seen, now).is(rate),
                (None, None) => true,
                _ => false,
            }
        })
    }

    /// From when on nothing bad is remembered.
    pub fn rests_at(&self, seen: &[Seen]) -> Option<u128> {
        let last = seen.last().map_or(0, |seen| seen.at);
        let rest = |rule: &Self| match (rule, rule.share(seen, last)) {
            (_, Share::Counted { bad: 0, .. }) => Some(0),
            (_, Share::Weighted { average, .. }) => (average * 1_024.0 < 1.0).then_some(0),
            (Self::SoMany(_, window), _) => window.rests_at(seen),
            (Self::LastNanos { bucket, buckets, .. }, _) => {
                Some(pieces(seen, *bucket, *buckets, last).2 + bucket * buckets)
            }
            _ => None,
        };
        self.each().into_iter().map(rest).try_fold(0, |latest, rest| Some(latest.max(rest?)))
    }
}
