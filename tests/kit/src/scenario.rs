//! The scenario as a user would write it: pipelines, on any runtime.

use core::cell::RefCell;
use core::fmt::{Arguments, Display};
use core::future::{Future, pending, poll_fn};
use core::pin::pin;
use core::task::Poll;

use fusebox::{Clock, Entropy, Gate, Instant, Outcome, Rejected, Shared, SharedGate};
use fusebox_drive::{Attempt, CallError, Pipeline, Timer, Turns, sleep_until, timeout_at};

use crate::logical::Logical;
use crate::script::{self, Answer, CALLS, Call, Fault, Gates};

/// Where trace lines go.
pub struct Trace<'a>(RefCell<&'a mut dyn FnMut(Arguments<'_>)>);

impl core::fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Trace")
    }
}

impl<'a> Trace<'a> {
    /// A trace that hands its lines to `line`.
    pub fn new(line: &'a mut dyn FnMut(Arguments<'_>)) -> Self {
        Self(RefCell::new(line))
    }

    /// One line: the instant, and what was decided.
    pub fn line(&self, now: Instant, what: impl Display) {
        (self.0.borrow_mut())(format_args!("t={:>10} ns {what}", now.as_nanos()));
    }

    /// A gate's answer and the breaker's state after it.
    pub fn asked<P>(&self, now: Instant, answer: &Result<P, Rejected>, gates: &Gates) {
        match answer {
            Ok(_) => self.line(now, format_args!("  granted; breaker {}", gates.0.state())),
            Err(rejected) => self.line(now, format_args!("  {rejected}; breaker {}", gates.0.state())),
        }
    }

    /// How an attempt was reported, and the breaker's state after it.
    pub fn reported(&self, now: Instant, outcome: Outcome, gates: &Gates) {
        self.line(now, format_args!("  reported {outcome:?}; breaker {}", gates.0.state()));
    }

    /// How a call ended.
    pub fn ended(&self, now: Instant, result: &Result<(), CallError<Fault>>) {
        match result {
            Ok(()) => self.line(now, "  answered"),
            Err(error) => self.line(
                now,
                format_args!(
                    "  {}; {} attempts, {} timed out, {:?}, last {:?}",
                    error.cause, error.attempts, error.timed_out, error.elapsed, error.last
                ),
            ),
        }
    }
}

/// Gates that tell the trace what they decide.
struct Traced<'a, 't> {
    gates: Shared<RefCell<Gates>>,
    trace: &'a Trace<'t>,
}

impl SharedGate for Traced<'_, '_> {
    type Permit = <Gates as Gate>::Permit;

    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        let now = now.now();
        let answer = self.gates.try_acquire(now);
        self.gates.with(|gates| self.trace.asked(now, &answer, gates));
        answer
    }

    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock) {
        let now = now.now();
        self.gates.release(permit, outcome, now);
        self.gates.with(|gates| self.trace.reported(now, outcome, gates));
    }

    fn cancel(&self, permit: Self::Permit, now: impl Clock) {
        let now = now.now();
        self.gates.cancel(permit, now);
        self.trace.line(now, "  cancelled");
    }
}

/// The scripted callee.
async fn callee(timer: &impl Timer, answer: Option<Answer>) -> Result<(), Fault> {
    let (after, answer) = match answer {
        Some(Answer::Ok(after)) => (after, Ok(())),
        Some(Answer::Err(after)) => (after, Err(Fault::Broken)),
        Some(Answer::Busy(after, hint)) => (after, Err(Fault::Busy(hint))),
        Some(Answer::Refuse) | None => (0, Err(Fault::BadRequest)),
        Some(Answer::Hang) => pending().await,
    };
    sleep_until(timer, timer.now().after(after * 1_000_000)).await;
    answer
}

async fn one_call<T: Timer>(pipeline: &Pipeline<T, Traced<'_, '_>>, trace: &Trace<'_>, call: &Call) {
    let timer = pipeline.timer();
    let guarded = pipeline.call_with(script::class, |attempt: Attempt| {
        let answer = call.answers.get(usize::from(attempt.number) - 1).copied();
        callee(timer, answer)
    });
    let result = match call.dropped_after {
        Some(after) => timeout_at(timer, timer.now().after(after * 1_000_000), guarded).await,
        None => Some(guarded.await),
    };
    match result {
        Some(result) => trace.ended(timer.now(), &result),
        None => trace.line(timer.now(), "  dropped"),
    }
}

/// The calls of [`CALLS`], one after the other.
async fn calls<T: Timer>(timer: T, trace: &Trace<'_>) {
    let gates = Traced { gates: Shared::new(RefCell::new(script::gates())), trace };
    let pipeline = Pipeline::new(timer, gates, script::RETRY, Entropy::new(script::SEED));
    for (number, call) in CALLS.iter().enumerate() {
        sleep_until(pipeline.timer(), Instant::from_millis(call.at)).await;
        trace.line(pipeline.timer().now(), format_args!("call {}", number + 1));
        one_call(&pipeline, trace, call).await;
    }
}

/// One of those who stand in line for a token.
async fn waiter<T: Timer, W: Turns>(pipeline: &Pipeline<T, Traced<'_, '_>, W>, trace: &Trace<'_>, number: usize) {
    let timer = pipeline.timer();
    let waits = pipeline.call_with(script::class, |_| async move {
        trace.line(timer.now(), format_args!("  waiter {number} runs"));
        Ok(())
    });
    let (leaver, after) = script::LEAVES;
    let result = if number == leaver {
        timeout_at(timer, timer.now().after(after * 1_000_000), waits).await
    } else {
        Some(waits.await)
    };
    trace.line(timer.now(), format_args!("waiter {number}"));
    match result {
        Some(result) => trace.ended(timer.now(), &result),
        None => trace.line(timer.now(), "  left the line"),
    }
}

/// Five callers in line for a narrow gate; one leaves, the last is too late.
async fn line_up<T: Timer, W: Turns>(timer: T, turns: W, trace: &Trace<'_>) {
    trace.line(timer.now(), "five in line");
    let gates = Traced { gates: Shared::new(RefCell::new(script::narrow_gates())), trace };
    let pipeline = Pipeline::fair(timer, gates, turns, script::PATIENT, Entropy::new(script::SEED));
    let wait = |number| waiter(&pipeline, trace, number);
    join([pin!(wait(0)), pin!(wait(1)), pin!(wait(2)), pin!(wait(3)), pin!(wait(4))]).await;
}

async fn join<F: Future<Output = ()>>(futures: [core::pin::Pin<&mut F>; script::WAITERS]) {
    let mut futures = futures.map(Some);
    poll_fn(|cx| {
        for slot in &mut futures {
            if slot.as_mut().is_some_and(|future| future.as_mut().poll(cx).is_ready()) {
                *slot = None;
            }
        }
        if futures.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs the whole scenario and hands every line of its trace to `line`.
pub async fn run<T: Timer, W: Turns>(timer: T, turns: W, line: &mut dyn FnMut(Arguments<'_>)) {
    let trace = Trace::new(line);
    calls(&Logical::new(&timer), &trace).await;
    line_up(&Logical::new(&timer), turns, &trace).await;
}
