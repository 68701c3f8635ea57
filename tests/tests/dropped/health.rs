//! Probes, heartbeats, and who listens.

use std::cell::Cell;

use fusebox::Health;
use fusebox::health::{Component, ProbeConfig, Status};
use fusebox_drive::{Monitor, timeout_at};
use tokio::join;

use super::cut::{Scene, Task, at_once, sweep};
use super::ms;
use super::runtimes::Runtime;
use super::watch::Watched;

pub(crate) fn all<R: Runtime>(runtime: &R) {
    sweep(runtime, "probes", &["begun", "probes", "after probes"], probes::<R>);
    sweep(runtime, "a heartbeat", &["begun"], heartbeat::<R>);
    sweep(runtime, "who feeds a watchdog", &["begun"], watchdog::<R>);
    sweep(runtime, "who listens to health", &["listens"], changed::<R>);
}

type Monitored<R> = Monitor<<R as Runtime>::Timer, <R as Runtime>::Locked<Health<1>>, Watched<<R as Runtime>::Bell>>;

fn monitor<R: Runtime>(scene: &Scene<R>) -> Monitored<R> {
    let component = Component::task("task", ms(10_000)).failures(1).successes(1).build().unwrap();
    Monitor::new(scene.timer.clone(), R::lock(Health::new([component])), scene.watched(R::Bell::default()))
}

/// What would never end by itself ends after so long.
async fn for_millis<R: Runtime>(scene: &Scene<R>, millis: u64, future: impl Future) {
    timeout_at(&scene.timer, scene.now().saturating_add(ms(millis)), future).await;
}

/// A probe that is dropped gives no reading; another task can go on.
async fn probes<R: Runtime>(scene: &Scene<R>) {
    let monitor = monitor(scene);
    let config = ProbeConfig::builder().initial_delay(ms(2)).stagger(ms(0)).period(ms(20)).timeout(ms(20));
    let config = config.build().unwrap();
    let made = Cell::new(0);
    let probe = async || {
        scene.at("probes", scene.sleep(2)).await;
        made.set(made.get() + 1);
        true
    };
    scene.cut(for_millis(scene, 30, monitor.probe(0, config, 1, probe))).await;
    let readings = |monitor: &Monitored<R>| {
        monitor.with(|health, now| health.component(0, now).map(|report| report.successes_in_a_row)).unwrap()
    };
    assert!(!R::EXACT || readings(&monitor) == made.get());
    let before = made.get();
    for_millis(scene, 10_000, async {
        let again = monitor.probe(0, config, 1, probe);
        let done = async {
            while made.get() == before || readings(&monitor) == 0 {
                scene.sleep(1).await;
            }
        };
        tokio::select! { () = again => {}, () = done => {} }
    })
    .await;
    assert_eq!(monitor.snapshot().status, Status::Healthy);
}

async fn heartbeat<R: Runtime>(scene: &Scene<R>) {
    let monitor = monitor(scene);
    scene.cut(for_millis(scene, 5, monitor.heartbeat(0, ms(2)))).await;
    for_millis(scene, 1, monitor.heartbeat(0, ms(60_000))).await;
    assert_eq!(monitor.snapshot().status, Status::Healthy);
}

async fn watchdog<R: Runtime>(scene: &Scene<R>) {
    let (monitor, fed) = (monitor(scene), Cell::new(0));
    scene.cut(for_millis(scene, 5, monitor.guard_watchdog(ms(2), |_| fed.set(fed.get() + 1)))).await;
    let before = fed.get();
    for_millis(scene, 1, monitor.guard_watchdog(ms(60_000), |_| fed.set(fed.get() + 1))).await;
    assert_eq!(fed.get(), before + 1);
}

/// What the one who is dropped was woken for, the next one is told.
async fn changed<R: Runtime>(scene: &Scene<R>) {
    let monitor = monitor(scene);
    let reports = async {
        scene.sleep(2).await;
        monitor.check_in(0);
    };
    let (change, ()) = join!(biased; scene.cut(monitor.changed()), Task::new(reports).run());
    let next = at_once(monitor.changed());
    assert!(change.is_some() != next.is_some(), "once");
    assert_eq!(change.or(next).unwrap().to.status, Status::Healthy);
}
