//! One run: the same open load on every side, watched until the day is over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use fusebox_tokio::fusebox::{Entropy, State};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::client::Caller;
use crate::live::Screen;
use crate::script::Script;
use crate::stats::{Totals, USEFUL};

/// How often the breaker is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// One of the clients, and what was seen of it.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) caller: Arc<Caller>,
    /// The totals at every look within the last second.
    recent: VecDeque<(Duration, Totals)>,
    /// The breaker's states, each with when it was first seen.
    pub(crate) states: Vec<(Duration, State)>,
}

impl Side {
    pub(crate) const fn new(name: &'static str, caller: Arc<Caller>) -> Self {
        Self { name, caller, recent: VecDeque::new(), states: Vec::new() }
    }

    fn look(&mut self, now: Duration) {
        self.recent.push_back((now, self.caller.stats.totals()));
        while self.recent.front().is_some_and(|(at, _)| now.saturating_sub(*at) > Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        if let Some(breaker) = self.caller.breaker()
            && self.states.last().is_none_or(|(_, state)| *state != breaker.state)
        {
            let from = if self.states.is_empty() { Duration::ZERO } else { now };
            self.states.push((from, breaker.state));
        }
    }

    /// What the last second brought.
    pub(crate) fn last_second(&self) -> Totals {
        match (self.recent.front(), self.recent.back()) {
            (Some((_, first)), Some((_, last))) => last.since(first),
            _ => Totals::default(),
        }
    }
}

/// What is run and what came of it.
pub(crate) struct Run {
    pub(crate) script: Option<Script>,
    pub(crate) length: Duration,
    pub(crate) rate: u32,
    pub(crate) seed: u32,
    pub(crate) opened: Instant,
    pub(crate) sides: Vec<Side>,
}

impl Run {
    /// Sends and shows until the end, or until interrupted: then the length is what there was.
    pub(crate) async fn go(&mut self) -> Result<()> {
        let screen = Screen::open(self.length)?;
        let load = tokio::spawn(load(self.callers(), self.opened, self.rate, self.seed));
        let end = self.opened + self.length;
        tokio::select! {
            () = self.watch(&screen) => {}
            () = sleep_until(end.into()) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        load.abort();
        self.length = self.length.min(self.opened.elapsed());
        screen.close();
        // The last calls may still get their good answers.
        tokio::time::sleep(USEFUL).await;
        Ok(())
    }

    fn callers(&self) -> Vec<Arc<Caller>> {
        self.sides.iter().map(|side| Arc::clone(&side.caller)).collect()
    }

    /// Looks for ever.
    async fn watch(&mut self, screen: &Screen) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut show_at = screen.period();
        loop {
            looks.tick().await;
            let now = self.opened.elapsed();
            for side in &mut self.sides {
                side.look(now);
            }
            if now >= show_at {
                screen.show(self, now);
                show_at += screen.period();
            }
        }
    }
}

/// Starts calls on every side at the same moments, whatever became of earlier ones: callers out there do not wait for
/// each other.
async fn load(callers: Vec<Arc<Caller>>, opened: Instant, rate: u32, seed: u32) {
    let chance = Entropy::new(seed);
    let gap = Duration::from_secs(1).div_f64(f64::from(rate));
    let mut at = opened;
    loop {
        // Half to one and a half of the mean gap.
        at += gap.mul_f64(0.5 + f64::from(chance.draw()) / f64::from(u32::MAX));
        sleep_until(at.into()).await;
        for caller in &callers {
            let caller = Arc::clone(caller);
            tokio::spawn(async move { caller.call().await });
        }
    }
}
