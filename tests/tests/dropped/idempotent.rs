//! Those who run an operation once, and those who wait for its answer.

use std::cell::Cell;

use fusebox::idempotency::{Fingerprint, IdempotencyConfig, Permit};
use fusebox::{Clock, Idempotency, Instant, Shared};
use fusebox_drive::Idempotent;
use fusebox_drive::idempotent::{Asked, Finished, Renewal, Store, Unfinished, Wakes};
use tokio::join;

use super::cut::{Scene, Task, sweep};
use super::ms;
use super::runtimes::Runtime;

pub(crate) fn all<R: Runtime>(runtime: &R) {
    let (runs, waits) = (["operation"], ["waits for an answer"]);
    sweep(runtime, "an operation whose key is held", &runs, async |scene: &Scene<R>| {
        runner(scene, Unfinished::Hold).await;
    });
    sweep(runtime, "an operation whose key is freed", &runs, async |scene: &Scene<R>| {
        runner(scene, Unfinished::Free).await;
    });
    sweep(runtime, "who waits for an answer", &waits, waiter::<R>);
    let points = ["begins", "has begun", "operation", "operation + renews", "finishes", "has finished"];
    sweep(runtime, "an operation with a remote store", &points, remote::<R>);
    let points = ["begins", "has begun", "operation", "cancels", "has cancelled"];
    sweep(runtime, "an operation that fails with a remote store", &points, remote_failure::<R>);
}

type Table = Idempotency<u32, u32, 2>;
/// Longer than anything here takes on a machine that is not too busy, and waited for by some.
const LEASE: u64 = 40;

fn table<R: Runtime>() -> Shared<R::Locked<Table>> {
    let config = IdempotencyConfig::builder().lease(ms(LEASE)).ttl(ms(60_000)).build().unwrap();
    Shared::new(R::lock(Idempotency::new(config)))
}

const KEY: (u32, Fingerprint) = (1, Fingerprint::new(1));

/// What operations did.
#[derive(Default)]
struct Effects {
    begun: Cell<u32>,
    done: Cell<u32>,
}

type Called = Result<u32, ()>;

impl Effects {
    async fn call<R: Runtime, S, W: Wakes>(
        &self,
        scene: &Scene<R>,
        calls: &Idempotent<&R::Timer, S, W>,
        takes: u64,
    ) -> Called
    where
        S: Store<Key = u32, Value = u32, Error: std::fmt::Debug>,
    {
        let operation = async || {
            self.begun.set(self.begun.get() + 1);
            scene.at("operation", scene.sleep(takes)).await;
            self.done.set(self.done.get() + 1);
            Ok::<_, ()>(self.done.get())
        };
        Ok(calls.call(&KEY.0, KEY.1, operation).await.unwrap().value)
    }
}

/// Two wait behind the one who is cut: one of them runs, and both have its answer.
async fn runner<R: Runtime>(scene: &Scene<R>, on_drop: Unfinished) {
    let (table, effects) = (table::<R>(), Effects::default());
    let calls = Idempotent::new(&scene.timer, &table, R::Wakes::default()).with_on_drop(on_drop);
    let began = scene.now();
    let cut = async {
        let answer = scene.cut(effects.call(scene, &calls, 4)).await;
        if scene.was_cut_at("operation") && scene.now() < began.saturating_add(ms(LEASE)) {
            let in_flight = table.with(|table| table.snapshot().in_flight);
            assert_eq!(in_flight, usize::from(on_drop == Unfinished::Hold));
        }
        answer
    };
    let others = [(); 2].map(|()| Task::new(effects.call(scene, &calls, 1)));
    let [second, third] = others;
    let (first, second, third) = join!(biased; cut, second.run(), third.run());
    assert_eq!((second, third.is_ok()), (third, true), "one answer");
    assert!(first.is_none_or(|first| first == second || !R::EXACT), "the same for all");
    check(&table, &effects);
    let took = scene.now().saturating_since(began);
    if R::EXACT && on_drop == Unfinished::Free {
        assert!(took < ms(LEASE), "nobody waited for a lease: {took:?}");
    }
}

/// One runs; of those who wait the first is cut, and another one comes. There are places for two.
async fn waiter<R: Runtime>(scene: &Scene<R>) {
    let (table, effects) = (table::<R>(), Effects::default());
    let calls = Idempotent::new(&scene.timer, &table, scene.watched(R::Wakes::default()));
    let cut = async {
        let answer = scene.cut(effects.call(scene, &calls, 1)).await;
        (answer, Task::new(effects.call(scene, &calls, 1)).run().await)
    };
    let [runs, behind] = [12, 1].map(|takes| Task::new(effects.call(scene, &calls, takes)));
    let ends = join!(biased; runs.run(), cut, behind.run());
    assert!(!R::EXACT || matches!(ends, (Ok(1), (None | Some(Ok(1)), Ok(1)), Ok(1))), "{ends:?}");
    check(&table, &effects);
}

/// Each operation that was not dropped had its effect, and its key is in flight no more.
fn check<L: fusebox::Lock<Value = Table>>(table: &Shared<L>, effects: &Effects) {
    let told = table.with(|table| table.snapshot());
    assert_eq!((told.in_flight, told.done), (0, 1), "{told:?}");
    assert!(effects.done.get() >= 1 && effects.begun.get() - effects.done.get() <= 1);
}

/// A store that takes a millisecond to hear, and one to answer.
struct Remote<'s, R: Runtime> {
    scene: &'s Scene<R>,
    table: Shared<R::Locked<Table>>,
}

impl<R: Runtime> Remote<'_, R> {
    async fn ask<A>(&self, names: [&'static str; 2], ask: impl AsyncFnOnce(&Shared<R::Locked<Table>>) -> A) -> A {
        self.scene.at(names[0], self.scene.sleep(1)).await;
        let answer = ask(&self.table).await;
        self.scene.at(names[1], self.scene.sleep(1)).await;
        answer
    }
}

impl<R: Runtime> Store for Remote<'_, R> {
    type Key = u32;
    type Value = u32;
    type Permit = Permit;
    type Error = std::convert::Infallible;

    async fn begin(
        &self,
        key: &u32,
        fingerprint: Fingerprint,
        clock: &impl Clock,
    ) -> Result<Asked<Permit, u32>, Self::Error> {
        self.ask(["begins", "has begun"], async |table| table.begin(key, fingerprint, clock).await).await
    }

    async fn finish(&self, permit: Permit, value: &u32, clock: &impl Clock) -> Result<Finished, Self::Error> {
        self.ask(["finishes", "has finished"], async |table| table.finish(permit, value, clock).await).await
    }

    async fn renew(&self, permit: &Permit, clock: &impl Clock) -> Result<Option<Instant>, Self::Error> {
        self.ask(["renews", "has renewed"], async |table| table.renew(permit, clock).await).await
    }

    async fn cancel(&self, permit: Permit, clock: &impl Clock) -> Result<(), Self::Error> {
        self.ask(["cancels", "has cancelled"], async |table| table.cancel(permit, clock).await).await
    }
}

/// Wherever it is dropped, the next caller has an answer when the lease is over at the latest.
async fn remote<R: Runtime>(scene: &Scene<R>) {
    let effects = Effects::default();
    let store = Remote { scene, table: table::<R>() };
    let renewal = Renewal::new(ms(2), ms(20)).unwrap();
    let calls = Idempotent::new(&scene.timer, &store, R::Wakes::default()).with_renewal(renewal);
    let first = scene.cut(effects.call(scene, &calls, 6)).await;
    in_time(scene, &store, &effects, &calls).await;
    assert!(!R::EXACT || first.is_none_or(|_| effects.begun.get() == 1));
}

async fn remote_failure<R: Runtime>(scene: &Scene<R>) {
    let effects = Effects::default();
    let store = Remote { scene, table: table::<R>() };
    let calls = Idempotent::new(&scene.timer, &store, R::Wakes::default());
    let fails = || {
        scene.at("operation", async {
            scene.sleep(1).await;
            Err::<u32, _>(())
        })
    };
    let _ = scene.cut(calls.call(&KEY.0, KEY.1, fails)).await;
    in_time(scene, &store, &effects, &calls).await;
}

async fn in_time<R: Runtime, W: Wakes>(
    scene: &Scene<R>,
    store: &Remote<'_, R>,
    effects: &Effects,
    calls: &Idempotent<&R::Timer, &Remote<'_, R>, W>,
) {
    let began = scene.now();
    effects.call(scene, calls, 1).await.unwrap();
    let took = scene.now().saturating_since(began);
    assert!(!R::EXACT || took <= ms(LEASE + 10), "{took:?}");
    check(&store.table, effects);
}
