//! The pipeline: gates and a policy around any operation.

use core::fmt;
use core::future::Future;

use fusebox::{Entropy, NoBudget, Policy, RetryPolicy, SharedBudget, SharedGate};

use crate::within::Terms;
use crate::{Attempt, CallError, Classify, Drive, Errors, NoTurns, Timer, Turns};

/// Gates and a policy around any operation, outermost first:
///
/// 1. the total deadline (the policy's, or a nearer one of the call: [`until`](Pipeline::until)),
/// 2. the gates that are asked once per call,
/// 3. retry or hedge, within the budget,
/// 4. the gates that each attempt asks,
/// 5. the attempt timeout,
/// 6. the operation.
///
/// A [`Fallback`](crate::Fallback) goes around all of it. Made once per dependency, in a `static` or beside
/// the client, and used through `&self` by any number of callers.
///
/// # Which gates where
/// By default gates are asked by each attempt: a breaker then counts what the callee did, a rate limit what it gets. Asked
/// once per call ([`gate_per_call`](crate::PipelineBuilder::gate_per_call), or
/// [`all_gates_per_call`](crate::PipelineBuilder::all_gates_per_call)), they see a call as one, retries included: a bulkhead
/// then bounds calls that wait for their retries too, which keeps memory bounded, and a breaker judges what the user of the
/// pipeline gets.
///
/// # The line
/// With a line ([`fair`](Pipeline::fair)) attempts ask the gates one after the other, first come, first served; combine
/// it with [`wait_for_gates`](fusebox::retry::RetryBuilder::wait_for_gates), else the first in line is refused at once.
/// The first in line waits for the gate's `retry_at`, and where a release may help (a full bulkhead) for whatever comes
/// back to this pipeline; so use the gates through one pipeline only. A hedge never waits: where others do, there is none.
///
/// # The budget
/// With a [budget](fusebox::budget) a call pays in when its first attempt starts, each retry is paid for before its delay,
/// and each hedge when it is due; when a retry cannot be paid, the call ends with its last error and
/// [`Cause::BudgetExhausted`](fusebox::Cause::BudgetExhausted). Give all pipelines to one callee the same budget.
pub struct Pipeline<T, G, W = NoTurns, B = NoBudget, P = RetryPolicy, C = ()> {
    pub(crate) layers: Layers<T, G, W, B, P, C>,
}

/// What a [`Pipeline`] is made of, for one in a `static`; elsewhere the [`builder`](Pipeline::builder) is shorter.
///
/// ```
/// # use core::cell::RefCell;
/// use fusebox_drive::fusebox::{Bulkhead, Entropy, NoBudget, RetryPolicy, sync};
/// use fusebox_drive::{Layers, NoTurns, Pipeline, ThreadTimer};
///
/// # fn main() {
/// # let (timer, seed) = (ThreadTimer::new(), 1);
/// let pipeline = Pipeline::of(Layers {
///     timer,
///     call_gate: sync::Bulkhead::new(8.try_into().unwrap()),
///     gate: (),
///     turns: NoTurns,
///     budget: NoBudget,
///     policy: RetryPolicy::ONCE,
///     entropy: Entropy::new(seed),
/// });
/// assert_eq!(pipeline.call_blocking(|_| Ok::<_, ()>(7)), Ok(7));
/// # }
/// ```
#[derive(Debug)]
pub struct Layers<T, G, W = NoTurns, B = NoBudget, P = RetryPolicy, C = ()> {
    /// Clock and sleep.
    pub timer: T,
    /// The gates asked once per call; `()` for none.
    pub call_gate: C,
    /// The gates that each attempt asks; `()` for none.
    pub gate: G,
    /// The line in front of the gates; [`NoTurns`] for none.
    pub turns: W,
    /// What pays for further attempts; [`NoBudget`] for nothing.
    pub budget: B,
    /// A [`RetryPolicy`] or a [`HedgePolicy`](fusebox::HedgePolicy).
    pub policy: P,
    /// Feeds the jitter.
    pub entropy: Entropy,
}

impl<T, G, P> Pipeline<T, G, NoTurns, NoBudget, P> {
    /// A pipeline in which a refusal is known at once. `entropy` feeds the jitter of retries.
    pub const fn new(timer: T, gate: G, policy: P, entropy: Entropy) -> Self {
        Self::budgeted(timer, gate, NoTurns, NoBudget, policy, entropy)
    }
}

impl<T, G, W, P> Pipeline<T, G, W, NoBudget, P> {
    /// A pipeline whose callers stand in line for the gates.
    pub const fn fair(timer: T, gate: G, turns: W, policy: P, entropy: Entropy) -> Self {
        Self::budgeted(timer, gate, turns, NoBudget, policy, entropy)
    }
}

impl<T, G, W, B, P> Pipeline<T, G, W, B, P> {
    /// A pipeline with a line and a budget: [`NoTurns`] and [`NoBudget`] for what is not wanted.
    pub const fn budgeted(timer: T, gate: G, turns: W, budget: B, policy: P, entropy: Entropy) -> Self {
        Self::of(Layers { timer, call_gate: (), gate, turns, budget, policy, entropy })
    }
}

impl<T, G, W, B, P, C> Pipeline<T, G, W, B, P, C> {
    /// A pipeline of these layers.
    pub const fn of(layers: Layers<T, G, W, B, P, C>) -> Self {
        Self { layers }
    }

    /// The same pipeline, in which `budget` pays for further attempts.
    pub fn with_budget<B2>(self, budget: B2) -> Pipeline<T, G, W, B2, P, C> {
        let Layers { timer, call_gate, gate, turns, policy, entropy, .. } = self.layers;
        Pipeline::of(Layers { timer, call_gate, gate, turns, budget, policy, entropy })
    }

    /// The gates that each attempt asks: to read a snapshot, take an event, force a state.
    pub const fn gate(&self) -> &G {
        &self.layers.gate
    }

    /// The gates asked once per call.
    pub const fn call_gate(&self) -> &C {
        &self.layers.call_gate
    }

    /// The budget.
    pub const fn budget(&self) -> &B {
        &self.layers.budget
    }

    /// The policy.
    pub const fn policy(&self) -> &P {
        &self.layers.policy
    }

    /// The timer.
    pub const fn timer(&self) -> &T {
        &self.layers.timer
    }
}

/// Reads in the order of the layers, outermost first.
impl<T, G: fmt::Debug, W: Turns, B: fmt::Debug, P: Policy + fmt::Debug, C: fmt::Debug> fmt::Debug
    for Pipeline<T, G, W, B, P, C>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layers { call_gate, gate, budget, policy, .. } = &self.layers;
        f.debug_struct("Pipeline")
            .field("deadline", &policy.deadline())
            .field("gates_per_call", call_gate)
            .field("policy", policy)
            .field("budget", budget)
            .field("stands_in_line", &W::WAITS)
            .field("gates_per_attempt", gate)
            .field("attempt_timeout", &policy.attempt_timeout())
            .finish()
    }
}

impl<T: Timer, G: SharedGate, W: Turns, B: SharedBudget, P: Drive, C: SharedGate> Pipeline<T, G, W, B, P, C> {
    /// Calls `operation` until it succeeds or the policy gives up; every error may be tried again.
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error.
    ///
    /// # Cancel safety
    /// As [`call_with`](Self::call_with).
    pub fn call<V, E, F>(&self, operation: impl FnMut(Attempt) -> F) -> impl Future<Output = Result<V, CallError<E>>>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.run(Terms::NONE, Errors, operation)
    }

    /// Calls `operation` until `classify` is content or the policy gives up.
    ///
    /// An answer that is a value is never lost: if the last one was `Ok`, although classified as failed, it is returned
    /// as `Ok`.
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error.
    ///
    /// # Cancel safety
    /// May be dropped at any await. While waiting (for a turn, a gate, a delay) nothing is held but the place in line and
    /// the permit of the gates asked once per call; both are given back. During attempts the operations are dropped and
    /// their permits go back as [`Outcome::Ignored`](fusebox::Outcome::Ignored); if an operation panics, its permit goes
    /// back as [`Outcome::Failure`](fusebox::Outcome::Failure), at once. An attempt that was paid for and has not started is
    /// given back to the budget. Polled again when it is over, the future does nothing and is pending for ever.
    pub fn call_with<V, E, F>(
        &self,
        classify: impl Classify<V, E>,
        operation: impl FnMut(Attempt) -> F,
    ) -> impl Future<Output = Result<V, CallError<E>>>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.run(Terms::NONE, classify, operation)
    }
}
