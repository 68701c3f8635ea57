//! Calls of which several attempts are out.

use fusebox::hedge::Quantile;
use fusebox::latency::{LatencyConfig, LatencySketch};
use fusebox::{ConcurrencyBudget, Entropy, HedgePolicy, NoBudget, RetryBudget, RetryPolicy, Shared};
use fusebox_drive::{Attempt, Layers, Pipeline};
use tokio::join;

use super::cut::{Scene, Task, at_once, sweep};
use super::retry::{ATTEMPTS, MINUTE, Started, check_untold, half_open, places, policy};
use super::runtimes::Runtime;
use super::{Purse, ms};

pub(crate) fn all<R: Runtime>(runtime: &R) {
    let points = ["attempt 1", "attempt 1 + attempt 2", "attempt 1 + attempt 2 + attempt 3"];
    let in_line = ["in line", "waits for a release"].iter().chain(&points).copied().collect::<Vec<_>>();
    sweep(runtime, "a hedged call that pays with tokens", &in_line, hedged::<R, RetryBudget>);
    sweep(runtime, "a hedged call that pays by concurrency", &in_line, hedged::<R, ConcurrencyBudget>);
    sweep(runtime, "hedged trials", &["attempt 1", "attempt 1 + attempt 2"], trials::<R>);
}

const CUT: u32 = 3;

fn hedges<const N: usize>() -> HedgePolicy<N> {
    HedgePolicy::builder(ms(2)).deadline(MINUTE).wait_for_gates().build().unwrap()
}

/// The last of three attempts answers.
async fn answers<R: Runtime, const N: u16>(scene: &Scene<R>, attempt: Attempt) -> Result<u16, ()> {
    let takes = if attempt.number == N { 2 } else { 1_000 };
    scene.at(ATTEMPTS[usize::from(attempt.number)], scene.sleep(takes)).await;
    Ok(attempt.number)
}

/// Five places are taken. The next owner of the first stands ahead of the one who is cut, and one stands behind; there is
/// room for all attempts then, however late the others end.
async fn hedged<R: Runtime, B: Purse>(scene: &Scene<R>) {
    let (gate, budget) = (Shared::new(R::lock(places(5))), Shared::new(R::lock(B::fresh())));
    let latencies = Shared::new(R::lock(LatencySketch::new(LatencyConfig::builder().build().unwrap())));
    let (line, once): (_, RetryPolicy) = (scene.line(), policy(1));
    let others = Pipeline::fair(&scene.timer, &gate, &line, once, Entropy::new(1));
    let pipeline = Pipeline::of(Layers {
        timer: &scene.timer,
        call_gate: (),
        gate: &gate,
        turns: &line,
        budget: &budget,
        policy: hedges::<3>().measured(Quantile::new(900).unwrap(), &latencies),
        entropy: Entropy::new(1),
    });
    let started = Started::default();
    let other = |takes| {
        Task::new(others.call(move |_| async move {
            scene.sleep(takes).await;
            Ok::<_, ()>(())
        }))
    };
    let call = pipeline.call(|attempt: Attempt| {
        started.note(CUT, attempt.number);
        answers::<R, 3>(scene, attempt)
    });
    let holders = [2, 4, 4, 4, 4].map(|takes| other(takes).run());
    let [ahead, behind] = [1, 1].map(other);
    // It comes later, but is polled before the one who is cut, whose hedges must not find it in line.
    let behind = Task::new(async {
        scene.sleep(1).await;
        behind.run().await
    });
    let [first, second, third, fourth, fifth] = holders;
    let holders = async { join!(biased; first, second, third, fourth, fifth) };
    let (ends, ahead, behind, end) = join!(biased; holders, ahead.run(), behind.run(), scene.cut(call));
    assert_eq!((ends, ahead, behind), ((Ok(()), Ok(()), Ok(()), Ok(()), Ok(())), Ok(()), Ok(())));
    // On a machine that stands still a hedge may find somebody in line all the same, and is none then.
    assert!(matches!(end, None | Some(Ok(3))) || !R::EXACT && matches!(end, Some(Ok(_))), "{end:?}");
    assert_eq!(gate.with(|bulkhead| bulkhead.in_flight()), 0);
    let (calls, further) = started.counts();
    budget.with(|budget| budget.check(calls, further, scene.now()));
    let recorded = latencies.with(|sketch| sketch.snapshot());
    let ended = u32::from(end.is_some());
    let all = u64::from(recorded.ended) + u64::from(recorded.censored);
    assert_eq!((all, recorded.ended), (calls + further, ended), "what was dropped is known to have taken so long");
    assert_eq!(at_once(others.call(async |_| Ok::<_, ()>(7))), Some(Ok(7)), "the line is free");
}

async fn trials<R: Runtime>(scene: &Scene<R>) {
    let gate = Shared::new(R::lock((half_open(scene), places(2))));
    let pipeline = Pipeline::new(&scene.timer, &gate, hedges::<2>(), Entropy::new(1)).with_budget(NoBudget);
    let end = scene.cut(pipeline.call(|attempt| answers::<R, 2>(scene, attempt))).await;
    gate.with(|(breaker, bulkhead)| {
        assert_eq!(bulkhead.in_flight(), 0);
        if end.is_none() {
            check_untold(breaker, scene.now());
        }
    });
}
