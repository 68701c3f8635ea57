//! Builds pipelines step by step.

use fusebox::{ConfigError, Entropy, HedgePolicy, NoBudget, Policy, RetryPolicy};

use crate::{Layers, NoTurns, Pipeline, Turns, WithClock};

/// Builds a [`Pipeline`]. Gates are added outermost first.
///
/// ```
/// use std::sync::Mutex;
/// use core::time::Duration;
/// use fusebox_drive::fusebox::{
///     Backoff, Breaker, BreakerConfig, Bulkhead, Consecutive, Jitter, RetryPolicy, Shared, checked, sync,
/// };
/// use fusebox_drive::{Pipeline, ThreadTimer, entropy};
///
/// const RETRY: RetryPolicy = checked!(
///     RetryPolicy::builder()
///         .backoff(checked!(Backoff::exponential(Duration::from_millis(5), Duration::from_millis(50))).with_jitter(Jitter::Full))
///         .deadline(Duration::from_secs(1))
///         .build()
/// );
/// let breaker = Breaker::new(checked!(BreakerConfig::builder(checked!(Consecutive::new(5))).build()));
/// let database = Pipeline::builder(ThreadTimer::new(), entropy())
///     .gate_per_call(sync::Bulkhead::new(8.try_into().unwrap()))
///     .retry(RETRY)
///     .gate(Shared::new(Mutex::new(breaker)))
///     .build()
///     .unwrap();
/// assert_eq!(database.call_blocking(|_| Ok::<_, ()>(7)), Ok(7));
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct PipelineBuilder<T, G = (), W = NoTurns, B = NoBudget, P = RetryPolicy, C = ()> {
    layers: Layers<T, G, W, B, P, C>,
}

impl<T> Pipeline<T, ()> {
    /// A builder: no gates, no line, no budget, one attempt. `entropy` feeds the jitter of retries.
    pub const fn builder(timer: T, entropy: Entropy) -> PipelineBuilder<T> {
        PipelineBuilder::new(timer, entropy)
    }
}

impl<T> PipelineBuilder<T> {
    /// No gates, no line, no budget, one attempt. `entropy` feeds the jitter of retries.
    pub const fn new(timer: T, entropy: Entropy) -> Self {
        let (gate, call_gate, turns, budget, policy) = ((), (), NoTurns, NoBudget, RetryPolicy::ONCE);
        Self { layers: Layers { timer, call_gate, gate, turns, budget, policy, entropy } }
    }
}

impl<T, G, W, B, P, C> PipelineBuilder<T, G, W, B, P, C> {
    /// Another clock than the timer's own, which then only sleeps: see [`WithClock`].
    pub fn clock<K>(self, clock: K) -> PipelineBuilder<WithClock<K, T>, G, W, B, P, C> {
        let Layers { timer, call_gate, gate, turns, budget, policy, entropy } = self.layers;
        let timer = WithClock { clock, timer };
        PipelineBuilder { layers: Layers { timer, call_gate, gate, turns, budget, policy, entropy } }
    }

    /// Each attempt asks `gate`, after those that are there already.
    pub fn gate<G2>(self, gate: G2) -> PipelineBuilder<T, (G, G2), W, B, P, C> {
        let Layers { timer, call_gate, gate: outer, turns, budget, policy, entropy } = self.layers;
        PipelineBuilder { layers: Layers { timer, call_gate, gate: (outer, gate), turns, budget, policy, entropy } }
    }

    /// Each call asks `gate` once, before any attempt and after those that are there already.
    pub fn gate_per_call<C2>(self, gate: C2) -> PipelineBuilder<T, G, W, B, P, (C, C2)> {
        let Layers { timer, call_gate, gate: inner, turns, budget, policy, entropy } = self.layers;
        let call_gate = (call_gate, gate);
        PipelineBuilder { layers: Layers { timer, call_gate, gate: inner, turns, budget, policy, entropy } }
    }

    /// The other order: all gates so far are asked once per call, with the retries inside. A breaker then counts calls and
    /// not attempts, and a bulkhead bounds the calls there are, those included that wait for a retry.
    pub fn all_gates_per_call(self) -> PipelineBuilder<T, (), W, B, P, (C, G)> {
        let Layers { timer, call_gate, gate, turns, budget, policy, entropy } = self.layers;
        let call_gate = (call_gate, gate);
        PipelineBuilder { layers: Layers { timer, call_gate, gate: (), turns, budget, policy, entropy } }
    }

    /// Retries. Default: one attempt.
    pub fn retry(self, policy: RetryPolicy) -> PipelineBuilder<T, G, W, B, RetryPolicy, C> {
        self.policy(policy)
    }

    /// Hedges, instead of retries.
    pub fn hedge<const N: usize, D>(
        self,
        policy: HedgePolicy<N, D>,
    ) -> PipelineBuilder<T, G, W, B, HedgePolicy<N, D>, C> {
        self.policy(policy)
    }

    fn policy<P2>(self, policy: P2) -> PipelineBuilder<T, G, W, B, P2, C> {
        let Layers { timer, call_gate, gate, turns, budget, entropy, .. } = self.layers;
        PipelineBuilder { layers: Layers { timer, call_gate, gate, turns, budget, policy, entropy } }
    }

    /// Callers stand in line for the gates: first come, first served. Needs a policy that waits for gates.
    pub fn line<W2>(self, turns: W2) -> PipelineBuilder<T, G, W2, B, P, C> {
        let Layers { timer, call_gate, gate, budget, policy, entropy, .. } = self.layers;
        PipelineBuilder { layers: Layers { timer, call_gate, gate, turns, budget, policy, entropy } }
    }

    /// `budget` pays for further attempts. Share one among all pipelines to one callee.
    pub fn budget<B2>(self, budget: B2) -> PipelineBuilder<T, G, W, B2, P, C> {
        let Layers { timer, call_gate, gate, turns, policy, entropy, .. } = self.layers;
        PipelineBuilder { layers: Layers { timer, call_gate, gate, turns, budget, policy, entropy } }
    }
}

impl<T, G, W: Turns, B, P: Policy, C> PipelineBuilder<T, G, W, B, P, C> {
    /// The pipeline.
    ///
    /// # Errors
    /// When callers stand in line, but the policy does not wait for gates: the first in line would be refused at once.
    pub fn build(self) -> Result<Pipeline<T, G, W, B, P, C>, ConfigError> {
        if W::WAITS && !self.layers.policy.waits_for_gates() {
            let problem = "needs a policy that waits for gates, else the first in line is refused at once";
            return Err(ConfigError { setting: "line", problem });
        }
        Ok(Pipeline::of(self.layers))
    }
}
