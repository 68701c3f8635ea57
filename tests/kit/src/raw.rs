//! The scenario on the raw machines: no future, no timer, no driver, only calls of the core's methods and a number that
//! is the time. What the drivers do must come out the same.

use core::fmt::Arguments;

use fusebox::entropy::nth;
use fusebox::{Cause, Ended, Gate, Instant, Outcome, Plan, Rejected, RetryPolicy, Step, Verdict};
use fusebox_drive::{CallError, Class};

use crate::scenario::Trace;
use crate::script::{self, Answer, CALLS, Call, Fault, Gates};

struct Raw<'a, 't> {
    now: Instant,
    gates: Gates,
    trace: &'a Trace<'t>,
    drawn: u32,
}

type CallResult = Result<(), CallError<Fault>>;

const fn after_ms(at: Instant, ms: u64) -> Instant {
    at.after(ms * 1_000_000)
}

impl Raw<'_, '_> {
    /// The scripted answer and the instant it comes, if it does.
    const fn answer(&self, answer: Option<Answer>) -> Option<(Instant, Result<(), Fault>)> {
        let (after, answer) = match answer {
            Some(Answer::Ok(after)) => (after, Ok(())),
            Some(Answer::Err(after)) => (after, Err(Fault::Broken)),
            Some(Answer::Busy(after, hint)) => (after, Err(Fault::Busy(hint))),
            Some(Answer::Refuse) | None => (0, Err(Fault::BadRequest)),
            Some(Answer::Hang) => return None,
        };
        Some((after_ms(self.now, after), answer))
    }

    fn ask(&mut self) -> Result<<Gates as Gate>::Permit, Rejected> {
        let answer = self.gates.try_acquire(self.now);
        self.trace.asked(self.now, &answer, &self.gates);
        answer
    }

    fn report(&mut self, permit: <Gates as Gate>::Permit, outcome: Outcome) {
        self.gates.release(permit, outcome, self.now);
        self.trace.reported(self.now, outcome, &self.gates);
    }

    /// One call by hand; `None` when its caller lost interest.
    fn call(&mut self, policy: &RetryPolicy, call: &Call) -> Option<CallResult> {
        let started = self.now;
        let interest = call.dropped_after.map_or(Instant::MAX, |after| after_ms(started, after));
        let mut plan = policy.start(started, 0);
        let (mut last, mut attempts, mut timed_out, mut fed) = (None, 0, 0, false);
        loop {
            match plan.next(self.now) {
                Step::Wait { until } => self.now = until?,
                // An attempt's end is reported before the plan is asked again.
                Step::Drop { .. } => return None,
                Step::Finish(Verdict::Success) => return Some(Ok(())),
                Step::Finish(Verdict::GaveUp(cause)) => {
                    let elapsed = self.now.saturating_since(started);
                    return Some(Err(CallError { cause, last, attempts, timed_out, elapsed }));
                }
                Step::Start { attempt, deadline } => {
                    let permit = match self.ask() {
                        Ok(permit) => permit,
                        Err(rejected) => {
                            plan.ended(attempt, Ended::Refused(rejected), self.now);
                            continue;
                        }
                    };
                    attempts += 1;
                    let answer = self.answer(call.answers.get(usize::from(attempt) - 1).copied());
                    let deadline = deadline.unwrap_or(Instant::MAX);
                    let end = answer.map_or(Instant::MAX, |(at, _)| at);
                    if interest < end && interest < deadline {
                        self.now = interest;
                        self.report(permit, Outcome::Ignored);
                        return None;
                    }
                    self.now = end.min(deadline);
                    let ended = match answer {
                        Some((at, answer)) if at <= deadline => {
                            let (outcome, ended) = judged(answer, self.now);
                            self.report(permit, outcome);
                            last = answer.err();
                            ended
                        }
                        _ => {
                            self.report(permit, Outcome::Failure);
                            timed_out += 1;
                            Ended::TimedOut
                        }
                    };
                    // As the driver does: entropy is drawn when it is needed.
                    if has_failed(ended) && !fed {
                        plan.feed(nth(script::SEED, self.drawn));
                        self.drawn += 1;
                        fed = true;
                    }
                    plan.ended(attempt, ended, self.now);
                }
            }
        }
    }
}

const fn has_failed(ended: Ended) -> bool {
    matches!(ended, Ended::Retry { .. } | Ended::NotSent | Ended::TimedOut)
}

const fn judged(answer: Result<(), Fault>, now: Instant) -> (Outcome, Ended) {
    match script::class(&answer) {
        Class::Success => (Outcome::Success, Ended::Success),
        Class::Retry => (Outcome::Failure, Ended::Retry { not_before: None }),
        Class::RetryAfter(wait) => {
            let retry_at = now.saturating_add(wait);
            (Outcome::Unavailable { retry_at }, Ended::Retry { not_before: Some(retry_at) })
        }
        Class::NotSent => (Outcome::Failure, Ended::NotSent),
        Class::Stop => (Outcome::Failure, Ended::Stop),
        Class::Ignore => (Outcome::Ignored, Ended::Stop),
    }
}

fn calls(trace: &Trace<'_>) {
    let mut raw = Raw { now: Instant::EPOCH, gates: script::gates(), trace, drawn: 0 };
    for (number, call) in CALLS.iter().enumerate() {
        raw.now = raw.now.max(Instant::from_millis(call.at));
        trace.line(raw.now, format_args!("call {}", number + 1));
        match raw.call(&script::RETRY, call) {
            Some(result) => trace.ended(raw.now, &result),
            None => trace.line(raw.now, "  dropped"),
        }
    }
}

/// The line by hand: who is first asks, and waits for its token; those behind leave or run out of time meanwhile.
fn line_up(trace: &Trace<'_>) {
    let mut raw = Raw { now: Instant::EPOCH, gates: script::narrow_gates(), trace, drawn: 0 };
    trace.line(raw.now, "five in line");
    let (leaver, leaves_after) = script::LEAVES;
    let leaves_at = after_ms(Instant::EPOCH, leaves_after);
    let mut plans: [_; script::WAITERS] = core::array::from_fn(|_| script::PATIENT.start(Instant::EPOCH, 0));
    let mut gone = [false; script::WAITERS];
    for number in 0..script::WAITERS {
        // Until it is this one's turn its plan is not asked; then it is, at the time it is.
        while let Some(plan) = plans.get_mut(number).filter(|_| !gone.get(number).is_some_and(|gone| *gone)) {
            match plan.next(raw.now) {
                Step::Start { attempt, .. } => match raw.ask() {
                    Ok(permit) => {
                        trace.line(raw.now, format_args!("  waiter {number} runs"));
                        raw.report(permit, Outcome::Success);
                        plan.ended(attempt, Ended::Success, raw.now);
                    }
                    Err(rejected) => plan.ended(attempt, Ended::Refused(rejected), raw.now),
                },
                Step::Wait { until } => {
                    let until = until.unwrap_or(Instant::MAX);
                    let left = gone.get_mut(leaver).filter(|gone| !**gone && leaver > number && leaves_at < until);
                    if let Some(gone) = left {
                        *gone = true;
                        trace.line(leaves_at, format_args!("waiter {leaver}"));
                        trace.line(leaves_at, "  left the line");
                    }
                    raw.now = until;
                }
                Step::Drop { .. } => break,
                Step::Finish(verdict) => {
                    let result = match verdict {
                        Verdict::Success => Ok(()),
                        Verdict::GaveUp(cause) => Err(unserved(cause, raw.now)),
                    };
                    trace.line(raw.now, format_args!("waiter {number}"));
                    trace.ended(raw.now, &result);
                    break;
                }
            }
        }
    }
}

const fn unserved(cause: Cause, now: Instant) -> CallError<Fault> {
    CallError { cause, last: None, attempts: 0, timed_out: 0, elapsed: now.saturating_since(Instant::EPOCH) }
}

/// Runs the whole scenario and hands every line of its trace to `line`.
pub fn run(line: &mut dyn FnMut(Arguments<'_>)) {
    let trace = Trace::new(line);
    calls(&trace);
    line_up(&trace);
}
