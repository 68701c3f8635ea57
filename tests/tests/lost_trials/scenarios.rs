//! What becomes of lost trials, whatever way they were run.

use super::*;

/// Nanoseconds, as are all below: how long the breaker stays open, a trial's lease, a short while, and the longest time
/// half-open where there is one.
pub(crate) const OPEN: u64 = 1_500_000;
pub(crate) const TTL: u64 = 4_000_000;
pub(crate) const GAP: u64 = 500_000;
pub(crate) const LIMIT: u64 = 2_000_000;
/// Longer than anything here takes.
pub(crate) const MINUTE: u64 = 60_000_000_000;

/// A breaker that trips at the first failure, alone or with a bucket that is never empty.
pub(crate) trait Gates: Gate<Permit: Send> + Send + 'static {
    const TRIALS: usize;
    /// One of one, two of three, and three where only two may be out at once.
    const TO_CLOSE: usize = [1, 3, 2][Self::TRIALS - 1];
    fn fresh(ttl: u64, half_open_for: Option<u64>) -> Self;
    /// Its snapshot, less the time that passes by itself.
    fn told(&self, now: Instant) -> Snapshot;
}

impl<const N: usize> Gates for Breaker<Consecutive, N> {
    const TRIALS: usize = N;

    fn fresh(ttl: u64, half_open_for: Option<u64>) -> Self {
        let mut config = BreakerConfig::builder(Consecutive::new(1).unwrap())
            .open_for(Duration::from_nanos(OPEN))
            .trial_ttl(Duration::from_nanos(ttl))
            .successes_to_close(u16::try_from(Self::TO_CLOSE).unwrap());
        if let Some(limit) = half_open_for {
            config = config.half_open_for(Duration::from_nanos(limit));
        }
        Self::new(config.trials::<N>().build().unwrap())
    }

    fn told(&self, now: Instant) -> Snapshot {
        Snapshot { nanos_in_state: 0, ..self.snapshot(now) }
    }
}

impl<const N: usize> Gates for (Breaker<Consecutive, N>, TokenBucket) {
    const TRIALS: usize = N;

    fn fresh(ttl: u64, half_open_for: Option<u64>) -> Self {
        let quota = Quota::per_second(1).unwrap().with_burst(1_000_000).unwrap();
        (Breaker::fresh(ttl, half_open_for), TokenBucket::new(quota))
    }

    fn told(&self, now: Instant) -> Snapshot {
        self.0.told(now)
    }
}

/// What becomes of a trial that is dropped.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dropped {
    FreesItsPlace,
    Fails,
    Lapses,
}

/// A way to run a trial, from a bare permit to a call on some runtime.
pub(crate) trait Way {
    type Gates: Gates;
    type Trial<'a>
    where
        Self: 'a;
    const DROPPED: Dropped;

    const TRIALS: usize = <Self::Gates as Gates>::TRIALS;
    const TO_CLOSE: usize = <Self::Gates as Gates>::TO_CLOSE;
    /// How many failures it takes to reopen.
    const TO_REOPEN: usize = Self::TRIALS.saturating_sub(Self::TO_CLOSE) + 1;

    fn parts(&self) -> (&impl Timer, &Shared<impl Lock<Value = Self::Gates>>);
    /// Starts a trial that ends when it is told to.
    async fn begin(&self) -> Result<Self::Trial<'_>, Rejected>;
    async fn end<'a>(&'a self, trial: Self::Trial<'a>, good: bool);

    /// Lets a trial that is not to end do something nevertheless.
    async fn nudge<'a>(&'a self, _trial: &mut Self::Trial<'a>) {}

    fn drop<'a>(&'a self, trial: Self::Trial<'a>) {
        drop(trial);
    }

    fn now(&self) -> Instant {
        self.parts().0.now()
    }

    async fn until(&self, at: Instant) {
        sleep_until(self.parts().0, at).await;
    }

    fn told(&self) -> Snapshot {
        self.parts().1.with(|gates| gates.told(self.now()))
    }
}

pub(crate) async fn trip<W: Way>(way: &W) {
    let call = way.begin().await.ok().unwrap();
    way.end(call, false).await;
    assert_eq!(way.told().state, State::Open);
}

pub(crate) async fn refused<W: Way>(way: &W, reason: Reason, at: Instant) {
    assert_eq!(way.begin().await.err(), Some(Rejected { reason, retry_at: Some(at) }), "at {}", way.now());
}

/// Refused now, and a nanosecond before `at`.
pub(crate) async fn refused_until<W: Way>(way: &W, reason: Reason, at: Instant) {
    refused(way, reason, at).await;
    way.until(Instant::from_nanos(at.as_nanos() - 1)).await;
    refused(way, reason, at).await;
    way.until(at).await;
}

pub(crate) async fn half_open<W: Way>(way: &W) {
    trip(way).await;
    refused_until(way, Reason::Open, way.now().after(OPEN)).await;
}

/// As many trials as there may be.
pub(crate) async fn fill<W: Way>(way: &W) -> Vec<W::Trial<'_>> {
    let mut out = vec![];
    for n in 0..W::TRIALS {
        out.push(way.begin().await.unwrap_or_else(|why| panic!("place {n}: {why}")));
        assert_eq!(way.told().state, State::HalfOpen);
    }
    out
}

/// Good or bad calls until the breaker is in `state`; how many it took.
pub(crate) async fn settle<W: Way>(way: &W, good: bool, state: State) -> usize {
    for calls in 0..9 {
        if way.told().state == state {
            return calls;
        }
        let trial = way.begin().await.unwrap_or_else(|why| panic!("call {calls}: {why}"));
        way.end(trial, good).await;
    }
    panic!("never {state}");
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Loss {
    Dropped,
    Forgotten,
    Kept,
}

pub(crate) const LOSSES: [Loss; 3] = [Loss::Dropped, Loss::Forgotten, Loss::Kept];

/// Loses `out`; those kept come back.
pub(crate) async fn lose<'w, W: Way>(way: &'w W, loss: Loss, mut out: Vec<W::Trial<'w>>) -> Vec<W::Trial<'w>> {
    for trial in &mut out {
        way.nudge(trial).await;
    }
    match loss {
        Loss::Dropped => out.drain(..).for_each(|trial| way.drop(trial)),
        Loss::Forgotten => out.drain(..).for_each(forget),
        Loss::Kept => {}
    }
    out
}

/// Some trials are lost one after the other; good calls close the breaker as soon as leases let them.
pub(crate) async fn lost<W: Way>(way: &W, loss: Loss, count: usize) {
    half_open(way).await;
    let (mut out, mut ends) = (vec![], VecDeque::new());
    for _ in 0..count {
        out.push(way.begin().await.ok().unwrap());
        ends.push_back(way.now().after(TTL));
        way.until(way.now().after(GAP)).await;
    }
    if count == W::TRIALS {
        refused(way, Reason::TrialsOut, ends[0]).await;
    }
    let mut kept = lose(way, loss, out).await;
    // No more is let in than could still matter if all that is out came back.
    let mut waits = W::TO_CLOSE.saturating_sub(W::TRIALS.max(W::TO_CLOSE) - count);
    if loss == Loss::Dropped && W::DROPPED != Dropped::Lapses {
        ends.clear();
        waits = 0;
    }
    if loss == Loss::Dropped && W::DROPPED == Dropped::Fails && count >= W::TO_REOPEN {
        refused_until(way, Reason::Open, way.now().after(OPEN)).await;
    }
    assert_eq!(way.told().lapsed, 0);
    let (mut good, mut waited) = (0, 0);
    while way.told().state != State::Closed {
        if let Ok(trial) = way.begin().await {
            way.end(trial, true).await;
            good += 1;
            continue;
        }
        let end = ends.pop_front().unwrap_or_else(|| panic!("refused with no trial out, {good} good"));
        refused_until(way, Reason::TrialsOut, end).await;
        waited += 1;
        for trial in &mut kept {
            way.nudge(trial).await;
        }
    }
    assert_eq!((good, waited), (W::TO_CLOSE, waits), "{loss:?}, {count} lost");
    assert_eq!(way.told().lapsed as usize, waits);
    // And what was kept is dropped after all.
    let closed = way.told();
    for trial in kept {
        way.drop(trial);
    }
    assert_eq!(way.told(), closed);
}

/// However often all trials are dropped, after however many polls, it is as if they had never been.
pub(crate) async fn dropped_again_and_again<W: Way>(way: &W) {
    half_open(way).await;
    for polls in 1..5 {
        let (mut out, before) = (fill(way).await, way.told());
        refused(way, Reason::TrialsOut, way.now().after(TTL)).await;
        for trial in &mut out {
            for _ in 1..polls {
                way.nudge(trial).await;
            }
        }
        for trial in out {
            way.drop(trial);
        }
        assert_eq!(way.told(), Snapshot { refused: before.refused + 1, ..before });
        way.until(way.now().after(GAP)).await;
    }
    assert_eq!(settle(way, true, State::Closed).await, W::TO_CLOSE);
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum When {
    /// Just when the lease is over, and nobody has asked since.
    Due,
    /// In the same phase, others in its place.
    Replaced,
    Closed,
    Open,
    /// In the next half-open phase, others in its place.
    HalfOpen,
}

/// All trials are kept, and end when nobody counts on them any more.
pub(crate) async fn late<W: Way>(way: &W, when: When, good: bool) {
    half_open(way).await;
    let (late, end) = (fill(way).await, way.now().after(TTL));
    refused_until(way, Reason::TrialsOut, end).await;
    let all = W::TRIALS;
    let mut others = vec![];
    match when {
        When::Due => {}
        When::Replaced => others = fill(way).await,
        When::Closed => assert_eq!(settle(way, true, State::Closed).await, W::TO_CLOSE),
        When::Open => assert_eq!(settle(way, false, State::Open).await, W::TO_REOPEN),
        When::HalfOpen => {
            settle(way, false, State::Open).await;
            way.until(way.now().after(OPEN)).await;
            others = fill(way).await;
        }
    }
    let (now, before) = (way.now(), way.told());
    if when != When::Due {
        way.until(now.after(GAP)).await;
    }
    for trial in late {
        way.end(trial, good).await;
    }
    let after = way.told();
    if when == When::Due {
        assert_eq!((after.state, after.trips), (State::HalfOpen, 1), "{good}");
        drop(fill(way).await);
    } else {
        assert_eq!(after, before, "{when:?}, {good}");
    }
    assert_eq!(way.told().lapsed as usize, all);
    match when {
        When::Open => refused_until(way, Reason::Open, now.after(OPEN)).await,
        When::Replaced | When::HalfOpen => refused(way, Reason::TrialsOut, now.after(TTL)).await,
        _ => return,
    }
    for trial in others {
        way.end(trial, true).await;
    }
    settle(way, true, State::Closed).await;
}

/// A nanosecond before its lease is over, a trial still counts.
pub(crate) async fn in_time<W: Way>(way: &W) {
    half_open(way).await;
    let (out, end) = (fill(way).await, way.now().after(TTL - 1));
    way.until(end).await;
    for trial in out {
        way.end(trial, true).await;
    }
    assert_eq!(settle(way, true, State::Closed).await, W::TO_CLOSE.saturating_sub(W::TRIALS));
    assert_eq!(way.told().lapsed, 0);
}

/// Lost trials and a limit to half-open below the lease: it reopens, and what was lost belongs to the past.
pub(crate) async fn reopens<W: Way>(way: &W) {
    half_open(way).await;
    let (late, limit) = (fill(way).await, way.now().after(LIMIT));
    let again = limit.after(OPEN);
    refused(way, Reason::TrialsOut, again).await;
    way.until(Instant::from_nanos(limit.as_nanos() - 1)).await;
    refused(way, Reason::TrialsOut, again).await;
    way.until(limit).await;
    refused_until(way, Reason::Open, again).await;
    let (others, before) = (fill(way).await, way.told());
    assert_eq!((before.trips, before.lapsed), (2, 0));
    for trial in late {
        way.end(trial, false).await;
    }
    assert_eq!(way.told(), before);
    for trial in others {
        way.end(trial, true).await;
    }
    settle(way, true, State::Closed).await;
}

/// Calls from before it tripped end in every later phase.
pub(crate) async fn late_calls<W: Way>(way: &W, good: bool) {
    let mut late = vec![];
    for _ in 0..3 {
        late.push(way.begin().await.ok().unwrap());
    }
    half_open(way).await;
    // Back to open, by trials that fail.
    settle(way, false, State::Open).await;
    for state in [State::Open, State::HalfOpen, State::Closed] {
        let mut out = vec![];
        match state {
            State::HalfOpen => {
                way.until(way.now().after(OPEN)).await;
                out = fill(way).await;
            }
            State::Closed => assert_eq!(settle(way, true, state).await, W::TO_CLOSE.saturating_sub(W::TRIALS)),
            _ => {}
        }
        let before = way.told();
        way.end(late.pop().unwrap(), good).await;
        assert_eq!((before.state, way.told()), (state, before));
        for trial in out {
            way.end(trial, true).await;
        }
    }
}

pub(crate) async fn suite<W: Way>(with_limit: impl Fn(Option<u64>) -> W) {
    let new = || with_limit(None);
    reopens(&with_limit(Some(LIMIT))).await;
    for loss in LOSSES {
        for count in 1..=W::TRIALS {
            lost(&new(), loss, count).await;
        }
    }
    for when in [When::Due, When::Replaced, When::Closed, When::Open, When::HalfOpen] {
        late(&new(), when, true).await;
        late(&new(), when, false).await;
    }
    in_time(&new()).await;
    late_calls(&new(), true).await;
    late_calls(&new(), false).await;
    if W::DROPPED == Dropped::FreesItsPlace {
        dropped_again_and_again(&new()).await;
    }
}
