//! An adaptive limit as the documentation tells it, with lists and floats, for the rules that keep to whole limits.

use fusebox::Outcome;

/// A rule, published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// The share, and whether it is taken of the whole limit.
    Aimd(f64, bool),
    /// The published bounds; against the fastest call, or against a mean.
    Vegas { shortest: bool },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) rule: Rule,
    pub(crate) limits: [u16; 3],
    pub(crate) timeout: Option<u64>,
    /// Known beforehand.
    pub(crate) no_load: Option<u64>,
    pub(crate) interval: Option<u64>,
    pub(crate) forget_after: Option<u64>,
    pub(crate) every_call: bool,
    /// Lowers what is not used, and bounds it by what is in flight, rather than by twice as much.
    pub(crate) strict: bool,
}

/// A call that is out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    started: u64,
    round: u32,
    number: usize,
    in_flight: u16,
}

#[derive(Clone, Debug, Default)]
struct Round {
    size: usize,
    started: usize,
    awaited: Vec<(u64, u16)>,
    others: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    config: Config,
    limit: u16,
    pub(crate) in_flight: u16,
    round: Round,
    rounds: u32,
    time: Option<f64>,
    usual: Option<f64>,
    checked: Option<u64>,
    pub(crate) probing: bool,
    idle_since: Option<u64>,
    pub(crate) dropped: u32,
    pub(crate) refused: u32,
}

fn lg(limit: u16) -> i64 {
    (f64::from(limit).log10().floor() as i64).max(1)
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            limit: config.limits[1],
            config,
            in_flight: 0,
            round: Round::default(),
            rounds: 0,
            time: None,
            usual: None,
            checked: None,
            probing: false,
            idle_since: None,
            dropped: 0,
            refused: 0,
        }
    }

    pub(crate) fn limit(&self) -> u16 {
        if self.probing { (self.limit / 4).max(self.config.limits[0]) } else { self.limit }
    }

    pub(crate) fn no_load(&self) -> Option<f64> {
        self.config.no_load.map_or(self.time, |known| Some(known as f64))
    }

    fn mean_wanted(&self) -> bool {
        self.config.rule == Rule::Vegas { shortest: false }
    }

    fn measuring(&self) -> bool {
        self.probing || (self.mean_wanted() && self.no_load().is_none())
    }

    pub(crate) fn acquire(&mut self, now: u64) -> Option<Call> {
        if let (Some(after), Some(since), 0) = (self.config.forget_after, self.idle_since, self.in_flight)
            && now.checked_sub(since).is_some_and(|idle| idle >= after)
        {
            let (rounds, dropped, refused) = (self.rounds, self.dropped, self.refused);
            *self = Self { rounds, dropped, refused, ..Self::new(self.config) };
        }
        if self.in_flight >= self.limit() {
            self.refused += 1;
            return None;
        }
        self.in_flight += 1;
        if self.round.started == 0 {
            self.round.size = if self.measuring() { 16 } else { usize::from(self.in_flight).clamp(1, 32) };
        }
        self.round.started += 1;
        Some(Call { started: now, round: self.rounds, number: self.round.started - 1, in_flight: self.in_flight })
    }

    pub(crate) fn cancel(&mut self, now: u64) {
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.idle_since = Some(now);
        }
    }

    pub(crate) fn release(&mut self, call: Call, outcome: Outcome, now: u64) {
        let in_flight = self.in_flight;
        self.cancel(now);
        if now <= call.started || outcome == Outcome::Ignored {
            return;
        }
        let rtt = now - call.started;
        let late = self.config.timeout.is_some_and(|timeout| rtt > timeout);
        let fast = self.config.timeout.is_some() || self.no_load().is_none_or(|time| (rtt as f64) < time);
        match outcome {
            Outcome::Success if !late => self.served(call, rtt, now),
            Outcome::Failure if !late && fast => {}
            _ => self.drop(call, in_flight),
        }
    }

    fn drop(&mut self, call: Call, in_flight: u16) {
        self.dropped += 1;
        if !self.config.every_call && call.round != self.rounds {
            return;
        }
        let limit = match self.config.rule {
            Rule::Aimd(share, of_limit) => {
                let used = if of_limit { self.limit } else { self.limit.min(in_flight.max(call.in_flight)) };
                (f64::from(used) * share + 1e-9).floor() as i64
            }
            Rule::Vegas { .. } => i64::from(self.limit) - lg(self.limit),
        };
        self.set(limit.min(i64::from(self.limit)));
    }

    fn served(&mut self, call: Call, rtt: u64, now: u64) {
        let mut news = false;
        if self.config.no_load.is_none() {
            let usual = self.usual.unwrap_or(rtt as f64);
            self.usual = Some(usual + (rtt as f64 - usual) / 32.0);
            if !self.mean_wanted() && self.time.is_none_or(|time| (rtt as f64) < time) {
                self.time = Some(rtt as f64);
                news = self.config.rule == Rule::Vegas { shortest: true };
            }
        }
        if self.measuring() {
            if let Some(calls) = self.over(call, rtt, call.in_flight) {
                self.measured(&calls);
            }
        } else if self.config.every_call {
            if !news {
                self.judge(rtt as f64, call.in_flight);
            }
        } else if let Some(calls) = self.over(call, rtt, call.in_flight)
            && let Some(most) = calls.iter().map(|(_, in_flight)| *in_flight).max()
        {
            self.judge(mean(&calls), most);
        }
        self.doubt(now);
    }

    fn over(&mut self, call: Call, rtt: u64, in_flight: u16) -> Option<Vec<(u64, u16)>> {
        if call.round != self.rounds {
            return None;
        }
        if call.number < self.round.size {
            self.round.awaited.push((rtt, in_flight));
        } else {
            self.round.others += 1;
        }
        let over = self.round.awaited.len() == self.round.size || self.round.others >= 2 * self.round.size;
        over.then(|| {
            let calls = std::mem::take(&mut self.round.awaited);
            self.next_round();
            calls
        })
    }

    fn measured(&mut self, calls: &[(u64, u16)]) {
        self.probing = false;
        if !calls.is_empty() {
            let shortest = calls.iter().map(|(rtt, _)| *rtt).min().unwrap_or(0) as f64;
            self.time = Some(if self.mean_wanted() { mean(calls) } else { shortest });
            self.usual = Some(mean(calls));
        }
    }

    fn judge(&mut self, rtt: f64, in_flight: u16) {
        let limit = i64::from(self.limit);
        if i64::from(in_flight) * if self.config.strict { 1 } else { 2 } < limit {
            if self.config.strict {
                self.set(limit - lg(self.limit));
            }
            return;
        }
        let Rule::Vegas { .. } = self.config.rule else { return self.set(limit + 1) };
        let (queue, lg) = (limit as f64 * (1.0 - self.no_load().unwrap_or(rtt).min(rtt) / rtt), lg(self.limit));
        let queue = queue.ceil() as i64;
        self.set(match queue {
            _ if queue <= lg => limit + 6 * lg,
            _ if queue < 3 * lg => limit + lg,
            _ if queue > 6 * lg => limit - lg,
            _ => limit,
        });
    }

    fn doubt(&mut self, now: u64) {
        let (Some(interval), None, Rule::Vegas { .. }, Some(time), Some(usual), false) =
            (self.config.interval, self.config.no_load, self.config.rule, self.time, self.usual, self.probing)
        else {
            return;
        };
        match self.checked {
            Some(since) if since <= now && now - since < interval => return,
            Some(since) if since <= now => self.checked = Some(now),
            _ => {
                self.checked = Some(now);
                return;
            }
        }
        if usual > time * 1.25 {
            self.probing = true;
            self.next_round();
        } else if self.mean_wanted() {
            self.time = Some(time.min(usual));
        }
    }

    fn set(&mut self, limit: i64) {
        let [least, _, greatest] = self.config.limits.map(i64::from);
        let limit = limit.clamp(least, greatest) as u16;
        if limit != self.limit {
            self.limit = limit;
            self.next_round();
        }
    }

    fn next_round(&mut self) {
        self.rounds += 1;
        self.round = Round::default();
    }
}

fn mean(calls: &[(u64, u16)]) -> f64 {
    calls.iter().map(|(rtt, _)| *rtt as f64).sum::<f64>() / calls.len() as f64
}
