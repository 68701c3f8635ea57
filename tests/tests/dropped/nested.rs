//! A pipeline within the attempts of another one.

use fusebox::{ConcurrencyBudget, Entropy, RetryBudget, Shared};
use fusebox_drive::{Attempt, Pipeline};
use tokio::join;

use super::Purse;
use super::cut::{Scene, Task, at_once, sweep};
use super::retry::{CUT, Started, places, policy};
use super::runtimes::Runtime;

pub(crate) fn all<R: Runtime>(runtime: &R) {
    let points = ["in line", "waits for a release", "1.1", "after 1.1", "1.2", "after 1.2", "2.1", "after 2.1", "2.2"];
    sweep(runtime, "a pipeline within another, paid with tokens", &points, nested::<R, RetryBudget>);
    sweep(runtime, "a pipeline within another, paid by concurrency", &points, nested::<R, ConcurrencyBudget>);
}

const NAMES: [[&str; 3]; 3] = [[""; 3], ["", "1.1", "1.2"], ["", "2.1", "2.2"]];

/// Two attempts of the outer pipeline, of which each is up to two of the inner one: all but the last fail.
async fn nested<R: Runtime, B: Purse>(scene: &Scene<R>) {
    let budget = Shared::new(R::lock(B::fresh()));
    let gates = [(); 2].map(|()| Shared::new(R::lock(places(1))));
    let pipelines = [&gates[0], &gates[1]]
        .map(|gate| Pipeline::budgeted(&scene.timer, gate, scene.line(), &budget, policy(2), Entropy::new(1)));
    let [outer, inner] = &pipelines;
    let started = Started::default();
    let call = outer.call(|outer: Attempt| {
        let started = &started;
        started.note(CUT, outer.number);
        inner.within(outer, &scene.timer).call(move |attempt: Attempt| {
            // The first attempt of the inner pipeline is the outer one's.
            (attempt.number > 1).then(|| started.note(CUT, attempt.number));
            let (name, is_last) =
                (NAMES[usize::from(outer.number)][usize::from(attempt.number)], outer.number + attempt.number == 4);
            async move {
                scene.at(name, scene.sleep(1)).await;
                if is_last { Ok(7) } else { Err(()) }
            }
        })
    });
    let other = |caller, takes| {
        let started = &started;
        Task::new(inner.call(move |attempt: Attempt| {
            started.note(caller, attempt.number);
            async move {
                scene.sleep(takes).await;
                Ok::<_, ()>(0)
            }
        }))
    };
    let [first, ahead, behind] = [(0, 2), (1, 2), (3, 2)].map(|(caller, takes)| other(caller, takes));
    let ends = join!(biased; first.run(), ahead.run(), scene.cut(call), behind.run());
    assert!(matches!(ends, (Ok(0), Ok(0), None | Some(Ok(7)), Ok(0))), "{ends:?}");
    assert_eq!(gates.each_ref().map(|gate| gate.with(|bulkhead| bulkhead.in_flight())), [0, 0]);
    let (calls, further) = started.counts();
    budget.with(|budget| budget.check(calls, further, scene.now()));
    for pipeline in &pipelines {
        assert_eq!(at_once(pipeline.call(async |_| Ok::<_, ()>(7))), Some(Ok(7)), "the line is free");
    }
}
