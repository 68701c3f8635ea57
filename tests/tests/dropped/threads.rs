//! Calls that are dropped on many threads at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fusebox::{Bulkhead, Clock, ConcurrencyBudget, Entropy, HedgePolicy, RetryBudget, Shared};
use fusebox_drive::{Attempt, Drive, Pipeline};
use fusebox_tokio::{FairTurns, TokioTimer};
use tokio::task::yield_now;

use super::cut::{Task, at_once};
use super::retry::{MINUTE, places, policy};
use super::{Purse, ms};

const CALLS: u32 = 2_000;

/// What all calls share.
struct World<B, P> {
    pipeline: Pipeline<TokioTimer, Shared<Mutex<Bulkhead>>, FairTurns, Shared<Mutex<B>>, P>,
    /// Attempts: first ones, and further ones.
    started: [AtomicU64; 2],
    cuts: AtomicU64,
}

impl<B: Purse, P: Drive> World<B, P> {
    fn new(policy: P) -> Self {
        let (gate, budget) = (Shared::new(Mutex::new(places(3))), Shared::new(Mutex::new(B::fresh())));
        let pipeline = Pipeline::budgeted(TokioTimer::new(), gate, FairTurns::new(), budget, policy, Entropy::new(1));
        Self { pipeline, started: [const { AtomicU64::new(0) }; 2], cuts: AtomicU64::new(0) }
    }

    fn note(&self, attempt: Attempt) {
        self.started[usize::from(attempt.number > 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// That everything is back.
    fn check(&self) {
        let [calls, further] = [0, 1].map(|n| self.started[n].load(Ordering::Relaxed));
        let cuts = self.cuts.load(Ordering::Relaxed);
        println!("{cuts} of {CALLS} calls dropped; {calls} had begun, with {further} further attempts");
        assert!(cuts.min(calls) > 500 && further > 0);
        assert_eq!(self.pipeline.gate().with(|bulkhead| bulkhead.in_flight()), 0);
        self.pipeline.budget().with(|budget| budget.check(calls, further, self.pipeline.timer().now()));
        assert_eq!(at_once(self.pipeline.call(async |_| Ok::<_, ()>(7))), Some(Ok(7)), "the line is free");
    }
}

/// The same call often at once, each dropped after another number of polls: a first attempt that fails, and a second one.
macro_rules! storm {
    ($budget:ty, $policy:expr) => {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
        let world = runtime.block_on(async {
            let world = Arc::new(World::<$budget, _>::new($policy));
            let spawn = |n: u32| {
                let world = world.clone();
                tokio::spawn(async move {
                    let operation = |attempt: Attempt| {
                        world.note(attempt);
                        async move {
                            yield_now().await;
                            yield_now().await;
                            if attempt.number == 1 { Err(()) } else { Ok(()) }
                        }
                    };
                    let end = Task::new(world.pipeline.call(operation)).polled(n % 9).await;
                    world.cuts.fetch_add(u64::from(end.is_err()), Ordering::Relaxed);
                })
            };
            let tasks: Vec<_> = (0..CALLS).map(spawn).collect();
            for task in tasks {
                tokio::time::timeout(MINUTE, task).await.expect("nobody is left asleep").unwrap();
            }
            world
        });
        // Not in the runtime: what is ready is said to be pending there to one who has had a lot.
        world.check();
    };
}

#[test]
fn retried() {
    storm!(RetryBudget, policy(2));
    storm!(ConcurrencyBudget, policy(2));
}

#[test]
fn hedged() {
    let policy = HedgePolicy::<2>::builder(ms(1)).deadline(MINUTE).wait_for_gates().build().unwrap();
    storm!(RetryBudget, policy);
    storm!(ConcurrencyBudget, policy);
}
