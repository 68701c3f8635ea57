//! Who listens is woken for news, and for nothing else.

use super::*;

/// The listener looks up once in a silence, however often the task checks in.
#[test]
fn the_listener_sleeps() {
    let wakes = std::rc::Rc::new(Cell::new(0));
    paused(10_000, async {
        let health: std::rc::Rc<HealthMonitor<1>> = std::rc::Rc::new(monitor([task(100)]));
        let local = tokio::task::LocalSet::new();
        let (heard, counted) = (std::rc::Rc::clone(&health), std::rc::Rc::clone(&wakes));
        local.spawn_local(async move {
            let mut listen = pin!(async {
                loop {
                    heard.changed().await;
                }
            });
            poll_fn(|cx| {
                counted.set(counted.get() + 1);
                let _: Poll<()> = listen.as_mut().poll(cx);
                Poll::<()>::Pending
            })
            .await;
        });
        local.spawn_local(async move { health.heartbeat(0, ms(5)).await });
        local.await;
    });
    // The first check-in is a change.
    assert!((100..=110).contains(&wakes.get()), "{}", wakes.get());
}

#[test]
fn a_pending_bell_is_not_forgotten() {
    paused(1_000, async {
        let health: HealthMonitor<1> = monitor([task(100)]);
        {
            let mut gone = pin!(health.changed());
            assert!(poll(gone.as_mut()).is_pending());
            health.check_in(0);
        } // told, and dropped before it looked
        assert_eq!(told(health.changed().await), (Status::Unknown, Status::Healthy, 0));
        // It arms no timer of its own until it hears of one: the task is paused now.
        health.with(|health, now| health.pause(0, now));
        assert_eq!(told(health.changed().await), (Status::Healthy, Status::Unknown, 0));
        let mut waits = pin!(health.changed());
        assert!(poll(waits.as_mut()).is_pending());
        health.with(|health, now| health.restart(0, now));
        assert_eq!(told(waits.await), (Status::Unknown, Status::Unhealthy, 100));
    });
}

/// Rings are counted: none while nothing is due earlier and nothing has changed.
#[test]
fn the_bell_rings_only_for_news() {
    struct Counting(Cell<u32>);
    impl Bell for Counting {
        fn ring(&self) {
            self.0.set(self.0.get() + 1);
        }
        async fn heard(&self) {
            pending::<()>().await;
        }
    }
    let rings = Counting(Cell::new(0));
    let manual = fusebox_tests::ManualTimer::default();
    let health = Monitor::new(&manual, RefCell::new(Health::new([task(100), database()])), &rings);
    let rung = || rings.0.replace(0);
    health.with(Health::handle_timeout);
    assert_eq!(rung(), 1, "there is something due now");
    health.check_in(0);
    assert_eq!(rung(), 0);
    health.record(1, true);
    assert_eq!(rung(), 1, "a change");
    assert!(health.with(|health, _| health.poll_event()).is_some());
    assert_eq!(rung(), 0);
    for _ in 0..10 {
        assert!(health.check_in(0).is_some() && health.record(1, true).is_some());
        assert_eq!(health.snapshot().status, Status::Healthy);
    }
    assert_eq!(rung(), 0);
    assert_eq!((health.record(2, true), health.check_in(9)), (None, None));
    health.with(|health, now| health.pause(0, now));
    assert_eq!(rung(), 0);
    health.check_in(0);
    assert_eq!(rung(), 1, "due before the other one");
}
