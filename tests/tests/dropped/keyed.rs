//! Guards and calls through a table of keys.

use fusebox::{BulkheadConfig, Entropy, Guard, Outcome};
use fusebox_drive::{Attempt, NoTurns, Pipeline};
use fusebox_tokio::ShardedKeyed;

use super::cut::{Scene, at_once, sweep};
use super::retry::{ATTEMPTS, policy};
use super::runtimes::Runtime;

pub(crate) fn all<R: Runtime>(runtime: &R) {
    sweep(runtime, "a call through a table of keys", &["attempt 1", "after attempt 1", "attempt 2"], called::<R>);
    sweep(runtime, "a guard of a table of keys", &["holds"], guarded::<R>);
}

type Table = ShardedKeyed<String, BulkheadConfig>;

fn table() -> Table {
    Table::builder(BulkheadConfig::new(1.try_into().unwrap()), 1).build().unwrap()
}

/// Nothing of `key` is out, so that the only place in the table is free for another key.
fn check<R: Runtime>(scene: &Scene<R>, table: &Table, key: &str) {
    let in_flight = table.get(key, |config, state| state.snapshot(config).in_flight);
    assert!(matches!(in_flight, None | Some(0)), "{in_flight:?}");
    let other = Pipeline::new(&scene.timer, table.gate("other"), policy(1), Entropy::new(1));
    assert_eq!(at_once(other.call(async |_| Ok::<_, ()>(7))), Some(Ok(7)));
    assert!(table.get(key, |_, _| ()).is_none(), "forgotten");
}

async fn called<R: Runtime>(scene: &Scene<R>) {
    let table = table();
    let gate = table.gate("key");
    let pipeline = Pipeline::fair(&scene.timer, gate, NoTurns, policy(2), Entropy::new(1));
    let call = pipeline.call(async |attempt: Attempt| {
        scene.at(ATTEMPTS[usize::from(attempt.number)], scene.sleep(2)).await;
        if attempt.number == 1 { Err(()) } else { Ok(7) }
    });
    assert!(scene.cut(call).await.is_none_or(|answer| answer == Ok(7)));
    check(scene, &table, "key");
}

async fn guarded<R: Runtime>(scene: &Scene<R>) {
    let table = table();
    let gate = table.gate("key");
    let work = async {
        let guard = Guard::try_acquire(&gate, &scene.timer).unwrap();
        scene.at("holds", scene.sleep(2)).await;
        guard.release(Outcome::Success);
    };
    scene.cut(work).await;
    check(scene, &table, "key");
}
