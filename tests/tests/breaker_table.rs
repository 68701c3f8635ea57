//! What a breaker does in each state with each event, as a table to be read: `golden/breaker_table.txt`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p fusebox-tests --test breaker_table` writes it anew.
#![allow(clippy::unwrap_used, clippy::panic, clippy::missing_const_for_fn, missing_docs, reason = "a test")]
#![allow(clippy::unnecessary_wraps, clippy::type_complexity, reason = "one type for all events")]

use std::fmt::Write;
use std::time::Duration;

use fusebox::breaker::{Permit, Snapshot};
use fusebox::{
    Backoff, Breaker, BreakerConfig, CountWindow, FailureRate, Gate, Instant, Outcome, Rejected, State, Transition,
};

const GOLDEN: &str = include_str!("../golden/breaker_table.txt");

const LEGEND: &str = "\
What a breaker does in each state with each event.

Settings: trips at 500 permille of the last 4 calls, from 2 on; open 10 s, then 20 s, 40 s at most; a call is slow after
1 s; hints up to 60 s; 2 trials, 2 successes to close, so one bad trial reopens; a trial's lease is 5 s; half-open for
20 s at most; a slow start of 32 s from 100 permille.

event     what happens, in the state named above; times from then on. Calls and trials began half a second before.
answer    what `try_acquire` says; for a refusal, the time from the event to `retry_at`.
then      the state afterwards, and what belongs to it: failed of all calls remembered; while open, the time left; while it
          starts slowly, the percentage of a call that is saved up; while half-open, trials out and judged.
phase     how many phases began: permits of the ones before are no longer heeded.
told      the transition to be had from `poll_event`.
totals    what was added to refused, lapsed, trips.
";

type Machine = Breaker<FailureRate<CountWindow<1>>, 2>;

/// A breaker in a certain state.
struct Scene {
    breaker: Machine,
    now: Instant,
    /// Given in this phase.
    current: Option<Permit>,
    /// Given in an earlier phase.
    late: Option<Permit>,
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn machine() -> Machine {
    let builder = BreakerConfig::builder(FailureRate::of_last(4, 500, 2).unwrap())
        .open_interval(Backoff::exponential(secs(10), secs(40)).unwrap())
        .slow_after(secs(1))
        .max_hint(secs(60))
        .trials::<2>()
        .successes_to_close(2)
        .trial_ttl(secs(5))
        .half_open_for(secs(20))
        .slow_start(100, secs(32));
    Breaker::new(builder.build().unwrap())
}

impl Scene {
    /// Closed, with a permit from before.
    fn closed(dry: bool) -> Self {
        let (mut breaker, now) = (machine(), Instant::from_secs(10_000));
        let late = breaker.try_acquire(now).ok();
        if dry {
            breaker.dry_run(now);
        } else {
            breaker.reset(now);
        }
        Self { breaker, now, current: None, late }
    }

    fn wait(mut self, millis: u64) -> Self {
        self.now = self.now.after(millis * 1_000_000);
        self
    }

    fn timer(mut self) -> Self {
        self.now = self.breaker.poll_timeout().unwrap();
        self.breaker.handle_timeout(self.now);
        self
    }

    fn call(mut self, outcome: Outcome) -> Self {
        let permit = self.breaker.try_acquire(self.now).unwrap();
        self.breaker.release(permit, outcome, self.now);
        self
    }

    fn asked(mut self) -> Self {
        self.current = self.breaker.try_acquire(self.now).ok();
        self.wait(500)
    }

    fn open(dry: bool) -> Self {
        Self::closed(dry).call(Outcome::Failure).call(Outcome::Failure)
    }

    fn half_open(dry: bool) -> Self {
        Self::open(dry).timer()
    }

    fn starting(dry: bool) -> Self {
        Self::half_open(dry).call(Outcome::Success).call(Outcome::Success)
    }

    fn trials_out(dry: bool) -> Self {
        let mut scene = Self::half_open(dry);
        let _lost = scene.breaker.try_acquire(scene.now).unwrap();
        scene
    }

    fn forced(force: fn(&mut Machine, Instant)) -> Self {
        let mut scene = Self::closed(false);
        force(&mut scene.breaker, scene.now);
        scene
    }
}

const SCENES: &[(&str, fn() -> Scene)] = &[
    ("closed, nothing recorded", || Scene::closed(false).asked()),
    ("closed, one failure recorded", || Scene::closed(false).call(Outcome::Failure).asked()),
    ("closed, starting slowly", || Scene::starting(false).asked()),
    ("open for 4 s", || Scene::open(false).wait(4_000)),
    ("half-open, one trial out, one free", || Scene::half_open(false).asked()),
    ("half-open, both trials out", || Scene::trials_out(false).asked()),
    ("half-open for 17 s, both trials out", || {
        let mut scene = Scene::half_open(false).wait(17_000);
        let _lost = scene.breaker.try_acquire(scene.now).unwrap();
        scene.asked()
    }),
    ("half-open, one trial succeeded, one out", || Scene::half_open(false).call(Outcome::Success).asked()),
    ("forced open", || Scene::forced(Machine::force_open).wait(1)),
    ("forced closed", || Scene::forced(Machine::force_closed).asked()),
    ("dry run, closed, one failure recorded", || Scene::closed(true).call(Outcome::Failure).asked()),
    ("dry run, closed, starting slowly", || Scene::starting(true).asked()),
    ("dry run, open", || Scene::open(true).wait(3_500).asked()),
    ("dry run, half-open, one trial out, one free", || Scene::half_open(true).asked()),
    ("dry run, half-open, both trials out, one more let through", || {
        let mut scene = Scene::trials_out(true);
        let _lost = scene.breaker.try_acquire(scene.now).unwrap();
        scene.asked()
    }),
];

type Answer = Option<Result<Permit, Rejected>>;
/// Does something in a scene, and maybe gets an answer. `None`: it cannot happen there.
type Event = fn(&mut Scene) -> Option<Answer>;

fn ends(scene: &mut Scene, outcome: Outcome, millis: u64) -> Option<Answer> {
    let permit = scene.current.take()?;
    scene.now = scene.now.after(millis * 1_000_000);
    scene.breaker.release(permit, outcome, scene.now);
    Some(None)
}

fn at_timer(scene: &mut Scene) -> Option<()> {
    scene.now = scene.breaker.poll_timeout()?;
    Some(())
}

fn ask(scene: &mut Scene) -> Option<Answer> {
    Some(Some(scene.breaker.try_acquire(scene.now)))
}

fn handle_timeout(scene: &mut Scene) -> Option<Answer> {
    scene.breaker.handle_timeout(scene.now);
    Some(None)
}

fn by_hand(scene: &mut Scene, act: fn(&mut Machine, Instant)) -> Option<Answer> {
    act(&mut scene.breaker, scene.now);
    Some(None)
}

/// Longer than it may be half-open.
fn long_after(scene: &mut Scene) {
    scene.now = scene.now.after(secs(25).as_nanos().try_into().unwrap());
}

fn step_back(scene: &mut Scene) {
    scene.now = Instant::from_secs(5_000);
}

const EVENTS: &[(&str, Event)] = &[
    ("asked", ask),
    ("asked at its timer", |scene| at_timer(scene).and_then(|()| ask(scene))),
    ("asked 25 s later", |scene| {
        long_after(scene);
        ask(scene)
    }),
    ("success", |scene| ends(scene, Outcome::Success, 0)),
    ("success, slow", |scene| ends(scene, Outcome::Success, 501)),
    ("failure", |scene| ends(scene, Outcome::Failure, 0)),
    ("failure, slow", |scene| ends(scene, Outcome::Failure, 501)),
    ("unavailable for 30 s", |scene| {
        let retry_at = scene.now.after(secs(30).as_nanos().try_into().unwrap());
        ends(scene, Outcome::Unavailable { retry_at }, 0)
    }),
    ("ignored", |scene| ends(scene, Outcome::Ignored, 0)),
    ("cancelled", |scene| {
        let permit = scene.current.take()?;
        scene.breaker.cancel(permit, scene.now);
        Some(None)
    }),
    ("success after 5 s", |scene| ends(scene, Outcome::Success, 4_500)),
    ("failure after 5 s", |scene| ends(scene, Outcome::Failure, 4_500)),
    ("failure, earlier phase", |scene| {
        scene.breaker.release(scene.late.take()?, Outcome::Failure, scene.now);
        Some(None)
    }),
    ("timer, early", handle_timeout),
    ("timer, when due", |scene| at_timer(scene).and_then(|()| handle_timeout(scene))),
    ("timer, 25 s later", |scene| {
        long_after(scene);
        handle_timeout(scene)
    }),
    ("trip", |scene| by_hand(scene, Machine::trip)),
    ("half_open", |scene| by_hand(scene, Machine::half_open)),
    ("force_open", |scene| by_hand(scene, Machine::force_open)),
    ("force_closed", |scene| by_hand(scene, Machine::force_closed)),
    ("dry_run", |scene| by_hand(scene, Machine::dry_run)),
    ("reset", |scene| by_hand(scene, Machine::reset)),
    ("clock back, timer", |scene| {
        step_back(scene);
        handle_timeout(scene)
    }),
    ("clock back, asked", |scene| {
        step_back(scene);
        ask(scene)
    }),
    ("clock back, failure", |scene| {
        step_back(scene);
        ends(scene, Outcome::Failure, 0)
    }),
];

/// The number after `name` in what the machine prints of itself: there is no other way to see it.
fn inside(breaker: &Machine, name: &str) -> u64 {
    let printed = format!("{breaker:?}");
    let state = printed.split_once("state: BreakerState").unwrap().1;
    state.split_once(name).map_or(0, |(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    })
}

fn answer(answer: Answer, now: Instant) -> String {
    match answer {
        None => String::new(),
        Some(Ok(permit)) => {
            let kinds = [("Call", "granted"), ("Trial", "granted, a trial"), ("Unjudged", "granted, not judged")];
            let printed = format!("{permit:?}");
            kinds.into_iter().find(|(kind, _)| printed.contains(kind)).unwrap().1.to_string()
        }
        Some(Err(Rejected { reason, retry_at })) => {
            let wait = match retry_at {
                None => "no retry_at".to_string(),
                Some(at) if at == now => "at once".to_string(),
                Some(at) => format!("{:?}", at.saturating_since(now)),
            };
            format!("{reason:?}, {wait}")
        }
    }
}

fn then(breaker: &Machine, seen: &Snapshot, now: Instant) -> String {
    let rate = seen.counts.failed.unwrap_or_default();
    let counts = format!("{}/{}", rate.bad, rate.calls);
    let details = match seen.state {
        State::Closed => match (inside(breaker, "saved: Some(") * 100) >> 32 {
            0 => format!(", {counts}"),
            saved => format!(", {counts}, {saved}% saved"),
        },
        State::Open => format!(", {counts}, {:?} left", breaker.poll_timeout().unwrap().saturating_since(now)),
        State::HalfOpen => {
            let out = format!("{breaker:?}").matches("expires: ").count();
            let (good, bad) = (inside(breaker, "successes: "), inside(breaker, "failures: "));
            format!(", {counts}, {out} out, {good} good, {bad} bad")
        }
        State::ForcedOpen | State::ForcedClosed => String::new(),
    };
    format!("{}{}{details}", if seen.dry_run { "dry run, " } else { "" }, seen.state)
}

fn row(name: &str, scene: fn() -> Scene, event: Event) -> Option<String> {
    let mut scene = scene();
    scene.breaker.poll_event();
    let (before, generation) = (scene.breaker.snapshot(scene.now), inside(&scene.breaker, "generation: "));
    let said = event(&mut scene)?;
    let Scene { mut breaker, now, .. } = scene;
    let seen = breaker.snapshot(now);
    let phases = match inside(&breaker, "generation: ") - generation {
        0 => String::new(),
        phases => format!("+{phases}"),
    };
    let told = breaker.poll_event().map_or(String::new(), |Transition { from, to, dry_run, .. }| {
        format!("{from} -> {to}{}", if dry_run { ", dry run" } else { "" })
    });
    let added = [
        ("refused", seen.refused - before.refused),
        ("lapsed", seen.lapsed - before.lapsed),
        ("trips", seen.trips - before.trips),
    ];
    let added: Vec<_> = added.iter().filter(|(_, n)| *n > 0).map(|(total, n)| format!("{total} +{n}")).collect();
    let (answer, then, added) = (answer(said, now), then(&breaker, &seen, now), added.join(", "));
    Some(format!("  {name:<24}{answer:<26}{then:<48}{phases:<7}{told:<37}{added}").trim_end().to_string())
}

fn table() -> String {
    let mut table = LEGEND.to_string();
    for (state, scene) in SCENES {
        let start = scene();
        let is = then(&start.breaker, &start.breaker.snapshot(start.now), start.now);
        write!(table, "\n{state}\n{:<26}{:<26}{:<48}", "  event", "answer", "then").unwrap();
        write!(table, "{:<7}{:<37}totals\n{:<52}{is}\n", "phase", "told", "  (before)").unwrap();
        for row in EVENTS.iter().filter_map(|(name, event)| row(name, *scene, *event)) {
            writeln!(table, "{row}").unwrap();
        }
    }
    table
}

#[test]
fn every_event_in_every_state() {
    let table = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/breaker_table.txt"), &table).unwrap();
        return;
    }
    for (n, (expected, line)) in GOLDEN.lines().zip(table.lines()).enumerate() {
        assert_eq!(expected, line, "line {}", n + 1);
    }
    assert_eq!(GOLDEN.lines().count(), table.lines().count(), "number of lines");
}
