//! Law: a retry plan keeps its limits, whatever its driver, its gates, its callee and its clock do.
//!
//! Random policies are driven through random histories (answers, timeouts, hints, refusals, reports about attempts that
//! are not out, clocks that step back) beside a small model of what the module's contract says. Every history must end
//! within a bounded number of steps, and after it every question gets the same answer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

use std::time::Duration;

use fusebox::retry::Retry;
use fusebox::{Backoff, Cause, Ended, Instant, Jitter, Plan, Reason, Rejected, RetryPolicy, Stage, Step, Verdict};
use fusebox_tests::Dice;

fn maybe(dice: &mut Dice, n: u64) -> Option<u64> {
    (!dice.one_in(3)).then(|| 1 + dice.below(n))
}

fn at(now: u64) -> Instant {
    Instant::from_nanos(now)
}

fn ns(n: u64) -> Duration {
    Duration::from_nanos(n)
}

/// A policy and its numbers.
struct Limits {
    policy: RetryPolicy,
    attempts: u16,
    first: u64,
    cap: u64,
    jitter: Jitter,
    timeout: Option<u64>,
    total: Option<u64>,
    max_hint: u64,
    waits: bool,
    idempotent: bool,
}

impl Limits {
    fn random(dice: &mut Dice) -> Self {
        let attempts = 1 + dice.below(5);
        let first = 1 + dice.below(50);
        let cap = first + dice.below(200);
        let jitter = match dice.below(6) {
            0 => Jitter::Full,
            1 => Jitter::Equal,
            2 => Jitter::Decorrelated,
            _ => Jitter::None,
        };
        let timeout = maybe(dice, 100);
        let total = maybe(dice, 900).map(|total| total + timeout.unwrap_or(0));
        let max_hint = 1 + dice.below(120);
        let waits = total.is_some() && dice.below(2) == 0;
        let mut builder = RetryPolicy::builder()
            .attempts(attempts)
            .backoff(Backoff::exponential(ns(first), ns(cap)).unwrap().with_jitter(jitter))
            .max_hint(ns(max_hint));
        if let Some(timeout) = timeout {
            builder = builder.attempt_timeout(ns(timeout));
        }
        if let Some(total) = total {
            builder = builder.deadline(ns(total));
        }
        if waits {
            builder = builder.wait_for_gates();
        }
        let idempotent = dice.below(4) > 0;
        if !idempotent {
            builder = builder.not_idempotent();
        }
        Self {
            policy: builder.build().unwrap(),
            attempts,
            first,
            cap,
            jitter,
            timeout,
            total,
            max_hint,
            waits,
            idempotent,
        }
    }
}

/// What must come next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    Start,
    /// Asked at, and how long after that at least and at most.
    Wait(u64, u64, u64),
    Finish(Verdict),
}

struct Call<'p> {
    limits: &'p Limits,
    plan: Retry<'p>,
    now: u64,
    started: u64,
    used: u16,
    /// Delays since the backoff last started over.
    delays: u32,
    due: Due,
}

impl Call<'_> {
    fn total(&self) -> Option<u64> {
        self.limits.total.map(|total| self.started + total)
    }

    fn over(&self, at: u64) -> bool {
        self.total().is_some_and(|total| at >= total)
    }

    fn wait(&mut self, least: u64, most: u64, otherwise: Cause) {
        self.due = if self.over(self.now + least) {
            Due::Finish(Verdict::GaveUp(otherwise))
        } else {
            Due::Wait(self.now, least, most)
        };
    }

    fn next(&mut self) -> Step {
        self.started = self.started.min(self.now);
        self.plan.next(at(self.now))
    }

    /// The attempt that is out ends.
    fn report(&mut self, number: u16, ended: Ended) {
        self.started = self.started.min(self.now);
        self.plan.ended(number, ended, at(self.now));
        let gave_up = |cause| Due::Finish(Verdict::GaveUp(cause));
        match ended {
            Ended::Success => self.due = Due::Finish(Verdict::Success),
            Ended::Stop => self.due = gave_up(Cause::Stopped),
            Ended::TimedOut | Ended::Retry { .. } | Ended::NotSent if self.over(self.now) => {
                self.due = gave_up(Cause::OutOfTime(Stage::Attempt));
            }
            Ended::TimedOut | Ended::Retry { .. } | Ended::NotSent if self.used == self.limits.attempts => {
                self.due = gave_up(Cause::Exhausted);
            }
            Ended::Retry { .. } | Ended::TimedOut if !self.limits.idempotent => {
                self.due = gave_up(Cause::NotIdempotent);
            }
            Ended::Retry { not_before: Some(hint) } => {
                self.delays = 0;
                let wait = hint.as_nanos().saturating_sub(self.now).min(self.limits.max_hint);
                self.wait(wait, wait, Cause::OutOfTime(Stage::Delay));
            }
            Ended::TimedOut | Ended::NotSent | Ended::Retry { not_before: None } => {
                let plain = (self.limits.first << self.delays.min(30)).min(self.limits.cap);
                self.delays += 1;
                match self.limits.jitter {
                    Jitter::None => self.wait(plain, plain, Cause::OutOfTime(Stage::Delay)),
                    // Any delay up to the cap will do; whether it fits the deadline shows.
                    _ => self.due = Due::Wait(self.now, 0, self.limits.cap),
                }
            }
            Ended::Refused(rejected) => {
                self.used -= 1;
                match rejected.retry_at {
                    Some(retry_at) if self.limits.waits => {
                        let wait = retry_at.as_nanos().saturating_sub(self.now).max(1);
                        self.wait(wait, wait, Cause::Refused(rejected));
                    }
                    _ => self.due = gave_up(Cause::Refused(rejected)),
                }
            }
            Ended::Postponed { .. } => {
                self.used -= 1;
                self.due = Due::Start;
            }
        }
    }
}

/// How the attempt that is out ends, at random.
fn ending(dice: &mut Dice, now: u64) -> Ended {
    match dice.below(16) {
        0 => Ended::Success,
        1 => Ended::Stop,
        2..=3 => Ended::TimedOut,
        4..=6 => Ended::Retry { not_before: Some(at((now + dice.below(300)).saturating_sub(50))) },
        7 => Ended::Retry { not_before: Some(Instant::MAX) },
        8..=9 => {
            let retry_at = maybe(dice, 90).map(|wait| at((now + wait).saturating_sub(10)));
            Ended::Refused(Rejected { reason: Reason::Open, retry_at })
        }
        10 => Ended::Postponed { by: None },
        11 => Ended::NotSent,
        _ => Ended::Retry { not_before: None },
    }
}

fn run(seed: u32, backwards: bool) -> Verdict {
    let mut dice = Dice::new(seed);
    let limits = Limits::random(&mut dice);
    let began = 1_000 + dice.below(1_000);
    let plan = limits.policy.start(at(began), seed);
    let mut call = Call { limits: &limits, plan, now: began, started: began, used: 0, delays: 0, due: Due::Start };
    for _ in 0..5_000 {
        if backwards && dice.below(6) == 0 {
            call.now = call.now.saturating_sub(dice.below(300));
        }
        let step = call.next();
        let clean = format!("{:?}", call.plan);
        match step {
            Step::Finish(verdict) => {
                let jittered = limits.jitter != Jitter::None && matches!(call.due, Due::Wait(..));
                // Nothing waits past the deadline, and whoever comes too late does not start.
                let late = matches!(verdict, Verdict::GaveUp(Cause::OutOfTime(_))) && (call.over(call.now) || jittered);
                assert!(call.due == Due::Finish(verdict) || late, "seed {seed}: {verdict:?}, due {:?}", call.due);
                for _ in 0..3 {
                    let later = at(dice.below(5_000));
                    call.plan.ended(dice.below(4), Ended::Success, later);
                    assert_eq!(call.plan.next(later), Step::Finish(verdict));
                }
                assert!(call.used <= limits.attempts && call.plan.attempts() == call.used, "seed {seed}");
                return verdict;
            }
            Step::Wait { until } => {
                let until = until.unwrap().as_nanos();
                let Due::Wait(since, least, most) = call.due else { panic!("seed {seed}: waits, due {:?}", call.due) };
                // After a step back the wait may be told anew, but never gets longer.
                let since = since.min(call.now);
                assert!(until > call.now && (since + least..=since + most).contains(&until), "seed {seed}: {until}");
                assert!(!call.over(until), "seed {seed}: waits past the deadline");
                call.due = Due::Wait(since, until - since, until - since);
                assert_eq!(call.plan.next(at(call.now)), step, "asking twice");
                call.plan.ended(call.used, Ended::Success, at(call.now)); // is not out
                assert_eq!(format!("{:?}", call.plan), clean, "seed {seed}");
                let now = if dice.below(3) == 0 { call.now + dice.below(until - call.now) } else { until };
                call.now = now + if dice.below(8) == 0 { dice.below(40) } else { 0 };
            }
            Step::Drop { .. } => panic!("seed {seed}: nothing is out"),
            Step::Start { attempt, deadline } => {
                match call.due {
                    Due::Start => {}
                    Due::Wait(since, least, _) => {
                        assert!(call.now >= since.min(call.now) + least, "seed {seed}: early");
                    }
                    Due::Finish(verdict) => panic!("seed {seed}: started after {verdict:?}"),
                }
                call.used += 1;
                assert_eq!((attempt, call.plan.attempts()), (call.used, call.used), "seed {seed}");
                assert!(attempt <= limits.attempts && !call.over(call.now), "seed {seed}: beyond a limit");
                let own = limits.timeout.map(|timeout| call.now + timeout);
                let least = [own, call.total()].into_iter().flatten().min();
                assert_eq!(deadline.map(Instant::as_nanos), least, "seed {seed}");
                for other in [0, attempt - 1, attempt + 1, u16::MAX] {
                    if other != attempt {
                        call.plan.ended(other, ending(&mut dice, call.now), at(call.now));
                    }
                }
                assert_eq!(format!("{:?}", call.plan), clean, "seed {seed}: a report about another attempt");
                call.now += dice.below(120);
                if backwards && dice.below(4) == 0 {
                    call.now = call.now.saturating_sub(dice.below(400));
                }
                if dice.below(2) == 0 {
                    // Asked while it runs: nothing but its deadline, which a step back does not put off.
                    match call.next() {
                        Step::Drop { attempt: dropped } => {
                            assert_eq!(dropped, attempt);
                            assert!(least.is_some_and(|least| call.now >= least), "seed {seed}: dropped too early");
                        }
                        Step::Wait { until } => {
                            assert_eq!(until.is_some(), least.is_some());
                            assert!(until.is_none_or(|until| until > at(call.now)), "seed {seed}: not dropped");
                            let left = until.map_or(0, |until| until.nanos_since(at(call.now)));
                            assert!(left <= limits.timeout.or(limits.total).unwrap_or(0), "seed {seed}: put off");
                        }
                        step => panic!("seed {seed}: {step:?} while an attempt is out"),
                    }
                }
                let ended = ending(&mut dice, call.now);
                call.report(attempt, ended);
            }
        }
    }
    panic!("seed {seed}: no end")
}

/// Runs many calls and checks that each kind of end came up.
fn run_many(calls: u32, first_seed: u32, backwards: bool) {
    let (mut success, mut stopped, mut exhausted, mut late, mut refused) = (0, 0, 0, 0, 0);
    for seed in first_seed..first_seed + calls {
        match run(seed, backwards) {
            Verdict::Success => success += 1,
            Verdict::GaveUp(Cause::Stopped) => stopped += 1,
            Verdict::GaveUp(Cause::Exhausted) => exhausted += 1,
            Verdict::GaveUp(Cause::OutOfTime(_)) => late += 1,
            Verdict::GaveUp(_) => refused += 1,
        }
    }
    let ends = [success, stopped, exhausted, late, refused];
    println!("{calls} calls: [success, stopped, exhausted, out of time, refused] = {ends:?}");
    assert!(ends.iter().all(|n| *n > calls / 50), "{ends:?}");
}

#[test]
fn every_call_keeps_its_limits() {
    run_many(60_000, 1, false);
}

#[test]
fn a_clock_that_steps_back_lengthens_nothing() {
    run_many(60_000, 1_000_000, true);
}

/// Refused and put off a thousand times, a call still has all its attempts.
#[test]
fn refusals_burn_no_attempts() {
    let policy = RetryPolicy::builder().attempts(2).deadline(ns(10_000)).wait_for_gates().build().unwrap();
    let mut plan = policy.start(at(0), 0);
    let mut now = 0;
    for n in 0..1_000 {
        assert_eq!(plan.next(at(now)), Step::Start { attempt: 1, deadline: Some(at(10_000)) });
        if n % 2 == 0 {
            plan.ended(1, Ended::Postponed { by: None }, at(now));
        } else {
            let rejected = Rejected { reason: Reason::RateLimited, retry_at: Some(at(now + 5)) };
            plan.ended(1, Ended::Refused(rejected), at(now));
            assert_eq!(plan.next(at(now)), Step::Wait { until: Some(at(now + 5)) });
            now += 5;
        }
    }
    for attempt in [1, 2] {
        assert_eq!(plan.next(at(now)), Step::Start { attempt, deadline: Some(at(10_000)) });
        plan.ended(attempt, Ended::Retry { not_before: None }, at(now));
    }
    assert_eq!(plan.next(at(now)), Step::Finish(Verdict::GaveUp(Cause::Exhausted)));
}

/// A gate that says "now" although it refuses is not asked in a tight loop for ever.
#[test]
fn a_lying_gate_does_not_stop_time() {
    let policy = RetryPolicy::builder().deadline(ns(500)).wait_for_gates().build().unwrap();
    let (mut plan, mut now, mut asked) = (policy.start(at(7), 0), at(7), 0);
    loop {
        match plan.next(now) {
            Step::Start { attempt, .. } => {
                asked += 1;
                let rejected = Rejected { reason: Reason::Open, retry_at: Some(Instant::EPOCH) };
                plan.ended(attempt, Ended::Refused(rejected), now);
            }
            Step::Wait { until } => now = until.unwrap(),
            Step::Drop { .. } => panic!("nothing runs"),
            Step::Finish(verdict) => {
                assert!(matches!(verdict, Verdict::GaveUp(Cause::Refused(_))));
                break;
            }
        }
    }
    assert_eq!(asked, 500);
}
