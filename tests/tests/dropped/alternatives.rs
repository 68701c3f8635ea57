//! Alternatives, injected faults, and waiting itself.

use std::cell::Cell;

use fusebox::fallback::When;
use fusebox::fault::{FaultConfig, Outage};
use fusebox::{Entropy, Faults, RetryPolicy, Shared};
use fusebox_drive::{Fallback, Faulty, Pipeline, sleep_until, timeout_at};

use super::cut::{Scene, at_once, sweep};
use super::ms;
use super::retry::{MINUTE, half_open, places};
use super::runtimes::Runtime;

pub(crate) fn all<R: Runtime>(runtime: &R) {
    sweep(runtime, "an alternative", &["alternative"], alternative::<R>);
    sweep(runtime, "injected latency", &["begun", "operation"], latency::<R>);
    sweep(runtime, "an injected hang", &["begun"], hang::<R>);
    sweep(runtime, "a timeout", &["operation"], timeout::<R>);
}

async fn alternative<R: Runtime>(scene: &Scene<R>) {
    let gate = Shared::new(R::lock((half_open(scene), places(1))));
    let other = Pipeline::new(&scene.timer, &gate, RetryPolicy::ONCE, Entropy::new(1));
    let error = other.until(scene.now()).call(async |_| Ok::<u32, ()>(1)).await;
    let ask = Fallback::from(error).or_else(When::ANY, |_| {
        other.call(async |_| {
            scene.at("alternative", scene.sleep(2)).await;
            Ok::<_, ()>(2)
        })
    });
    let end = scene.cut(ask).await;
    assert!(end.is_none_or(|asked| asked.served().unwrap().value == 2));
    assert_eq!(gate.with(|gates| gates.1.in_flight()), 0);
    assert_eq!(at_once(other.call(async |_| Ok::<_, ()>(3))), Some(Ok(3)));
}

/// Nothing is held but the operation; each call has its number from its first poll.
async fn latency<R: Runtime>(scene: &Scene<R>) {
    let config = FaultConfig::builder().latency(ms(2)).build().unwrap();
    let faulty = Faulty::new(&scene.timer, R::lock(Faults::new(config, 1)));
    let (first, polled) = (faulty.call(operation(scene), || ()), Cell::new(false));
    let first = async {
        polled.set(true);
        first.await
    };
    scene.cut(first).await;
    assert_eq!(faulty.call(operation(scene), || ()).await, Ok(1));
    assert_eq!(faulty.faults().with(|faults| faults.snapshot().answered), 1 + u32::from(polled.get()));
}

async fn hang<R: Runtime>(scene: &Scene<R>) {
    let outage = Outage::hang(scene.now().saturating_since(fusebox::Instant::EPOCH), MINUTE);
    let config = FaultConfig::builder().outages([outage]).build().unwrap();
    let faulty = Faulty::new(&scene.timer, R::lock(Faults::new(config, 1)));
    let end = scene.now().saturating_add(ms(4));
    let ends = scene.cut(timeout_at(&scene.timer, end, faulty.call(operation(scene), || ()))).await;
    assert!(ends.is_none_or(|ended| ended.is_none()), "it hangs");
}

async fn operation<R: Runtime>(scene: &Scene<R>) -> Result<u32, ()> {
    scene.at("operation", scene.sleep(2)).await;
    Ok(1)
}

async fn timeout<R: Runtime>(scene: &Scene<R>) {
    let end = scene.now().saturating_add(ms(3));
    let late = scene.at("operation", sleep_until(&scene.timer, end.saturating_add(ms(60_000))));
    assert!(scene.cut(timeout_at(&scene.timer, end, late)).await.is_none_or(|ended| ended.is_none()));
}
