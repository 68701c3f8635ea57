//! Real threads, async-std, smol, embassy.

use super::*;

#[test]
fn from_many_threads() {
    // Silent never: how long this takes depends on the machine.
    let database = Component::critical("database").failures(2).successes(1).never_stale().build().unwrap();
    let health: Arc<HealthMonitor<4>> = Arc::new(monitor([database, task(600_000), task(600_000), task(600_000)]));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let changes = Arc::new(AtomicU32::new(0));
    let last = runtime.block_on(async {
        let listener = tokio::spawn({
            let (health, changes) = (Arc::clone(&health), Arc::clone(&changes));
            async move {
                loop {
                    let change = health.changed().await;
                    changes.fetch_add(1, Ordering::SeqCst);
                    if change.to.cause == Some(3) {
                        return change;
                    }
                }
            }
        });
        let reporters: Vec<_> = (0..4)
            .map(|n| {
                let health = Arc::clone(&health);
                tokio::spawn(async move {
                    for turn in 0..5_000 {
                        assert!(health.record(n, turn % 3 != 0 || turn > 4_990).is_some());
                        if turn % 16 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        for reporter in reporters {
            reporter.await.unwrap();
        }
        assert_eq!(health.snapshot().status, Status::Healthy);
        health.record(3, false);
        tokio::time::timeout(Duration::from_secs(20), listener).await
    });
    // It may have been the cause before as well; but never is the last change missed.
    assert!(last.unwrap().is_ok());
    assert!(changes.load(Ordering::SeqCst) > 0);
}

#[test]
fn async_std_and_smol_probe_too() {
    let probes = checked!(
        ProbeConfig::builder()
            .stagger(Duration::from_millis(5))
            .period(Duration::from_millis(10))
            .timeout(Duration::from_millis(5))
            .build()
    );
    let component =
        || Component::critical("x").failures(1).successes(1).stale_after(Duration::from_secs(60)).build().unwrap();
    let run = || async move {
        let health: fusebox_async_std::HealthMonitor<1> = fusebox_async_std::monitor([component()]);
        let works = Cell::new(true);
        let probe = || {
            let works = works.get();
            async move { if works { true } else { pending().await } }
        };
        let life = async {
            assert_eq!(health.changed().await.to.status, Status::Healthy);
            works.set(false);
            assert_eq!(health.changed().await.to.status, Status::Unhealthy);
        };
        race([Box::pin(health.probe(0, probes, fusebox_async_std::entropy().draw(), probe)), Box::pin(life)]).await;
    };
    async_std::task::block_on(run());
    smol::block_on(run());
}

#[test]
fn embassy_probes_and_feeds_too() {
    use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
    static HEALTH: fusebox_embassy::HealthMonitor<CriticalSectionRawMutex, 2> = fusebox_embassy::monitor([
        checked!(Component::task("sampling", Duration::from_millis(50)).build()),
        checked!(Component::optional("modem").failures(1).successes(1).probed(&PROBES).build()),
    ]);
    let passed = Cell::new(0_u64);
    let idle = || {
        passed.set(passed.get() + 1);
        embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(1));
        if passed.get().is_multiple_of(20) && passed.get() <= 400 {
            HEALTH.check_in(0); // from an interrupt, as it were
        }
        Some(())
    };
    let (log, feeds) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let listen = async {
        loop {
            let (from, to, at) = told(HEALTH.changed().await);
            log.borrow_mut().push((from, to, at));
            if at > 400 {
                // Fed no more, until somebody resets it.
                fusebox_embassy::sleep_until(&fusebox_embassy::EmbassyTimer, Instant::from_millis(520)).await;
                return;
            }
        }
    };
    let probe = || async {
        if passed.get() >= 150 {
            pending::<()>().await;
        }
        Ok::<(), ()>(())
    };
    let feed = |may: Result<(), fusebox::health::Held<'static>>| {
        feeds.borrow_mut().push((passed.get(), may.map_err(|held| held.name)));
    };
    let all = race([
        Box::pin(listen),
        Box::pin(HEALTH.probe(1, PROBES, 0, probe)),
        Box::pin(HEALTH.guard_watchdog(ms(25), feed)),
    ]);
    block_on(all, idle).unwrap();
    let expected = [(Unknown, Healthy, 20), (Healthy, Degraded, 230), (Degraded, Unhealthy, 450)];
    assert_eq!(*log.borrow(), expected);
    let feeds = feeds.into_inner();
    assert!(feeds.iter().all(|(at, may)| *may == if *at < 450 { Ok(()) } else { Err("sampling") }), "{feeds:?}");
    assert!((20..=22).contains(&feeds.len()));
}
