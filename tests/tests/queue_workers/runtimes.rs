//! Real threads, async-std, embassy.

use super::*;

/// Many submitters and workers on real threads; some workers are aborted in between. Every item has one end.
#[test]
fn on_many_threads_every_item_has_one_end() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let (ends, seen) = runtime.block_on(async {
        let setup = LevelConfig::builder()
            .rate(Quota::per_second(200_000).unwrap().with_burst(8).unwrap())
            .max_wait(ms(2))
            .codel(Codel::new(Duration::from_micros(50), ms(1)).unwrap())
            .order(Order::LifoFrom(NonZeroU16::new(3).unwrap()))
            .overflow(Overflow::DropLowest);
        let queue: Leveler<u32, u32, 4, 3> = Leveler::new(config(setup));
        let worker = |queue: &Leveler<u32, u32, 4, 3>| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let serve = |queued: Queued<u32>| async move {
                    tokio::task::yield_now().await;
                    queued.item
                };
                queue.work(serve).await;
            })
        };
        let mut workers: Vec<_> = (0..3).map(|_| worker(&queue)).collect();
        let submitters: Vec<_> = (0..8)
            .map(|part| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut ends = [0_u32; 5];
                    for n in 0..4_000 {
                        let (item, class) = (part * 4_000 + n, u8::try_from(n % 3).unwrap());
                        let submitted = if n % 4 == 0 {
                            queue.submit(item, Terms::class(class)).await
                        } else {
                            queue.try_submit(item, Terms::class(class))
                        };
                        let end = match submitted {
                            Err(refused) => {
                                assert_eq!(refused.item, item);
                                tokio::task::yield_now().await;
                                0
                            }
                            Ok(answer) => match answer.await {
                                Ok(answer) => {
                                    assert_eq!(answer, item);
                                    1
                                }
                                Err(Unanswered::Unserved(not)) => {
                                    assert_eq!(not.queued.item, item);
                                    2
                                }
                                Err(Unanswered::HandedBack(_)) => 3,
                                Err(Unanswered::Lost) => 4,
                            },
                        };
                        ends[end] += 1;
                    }
                    ends
                })
            })
            .collect();
        for n in 0..40 {
            tokio::time::sleep(ms(1)).await;
            workers[n % 3].abort();
            workers[n % 3] = worker(&queue);
        }
        let mut ends = [0; 5];
        for submitter in submitters {
            for (sum, n) in ends.iter_mut().zip(submitter.await.unwrap()) {
                *sum += n;
            }
        }
        queue.close();
        for worker in workers {
            let _ = worker.await;
        }
        (ends, queue.snapshot())
    });
    println!("refused, answered, unserved, handed back, lost: {ends:?}; {seen:?}");
    assert_eq!(ends.iter().sum::<u32>(), 32_000);
    let [_, answered, unserved, back, lost] = ends;
    assert_eq!((seen.served, seen.lost, seen.len), (answered + lost, lost, 0));
    assert_eq!((unserved, back), (seen.expired + seen.shed + seen.displaced, seen.handed_back));
}

#[test]
fn async_std_drains_too() {
    let queue: Arc<fusebox_async_std::Leveler<u32, 8>> = Arc::new(fusebox_async_std::leveler(config(paced())));
    let sum = Arc::new(AtomicU32::new(0));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (queue, sum) = (Arc::clone(&queue), Arc::clone(&sum));
            async_std::task::spawn(async move {
                let add = |queued: Queued<u32>| {
                    sum.fetch_add(queued.item, Ordering::SeqCst);
                    async {}
                };
                queue.run(add, |_| {}).await;
            })
        })
        .collect();
    let start = std::time::Instant::now();
    for item in 1..6 {
        assert!(queue.try_push(item, Terms::NONE).is_ok());
    }
    queue.close();
    async_std::task::block_on(async {
        for worker in workers {
            worker.await;
        }
    });
    assert_eq!((sum.load(Ordering::SeqCst), queue.snapshot().served), (15, 5));
    assert!(start.elapsed() >= ms(40), "the rate was kept");
}

#[test]
fn embassy_drains_too() {
    use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
    static QUEUE: fusebox_embassy::Leveler<CriticalSectionRawMutex, u32, 4> =
        fusebox_embassy::leveler(fusebox::checked!(
            LevelConfig::builder()
                .rate(fusebox::checked!(fusebox::checked!(Quota::per_second(100)).with_burst(1)))
                .max_wait(Duration::from_millis(25))
                .overflow(Overflow::DropOldest)
                .build()
        ));
    let passed = Cell::new(0_u64);
    let idle = || {
        passed.set(passed.get() + 1);
        embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(1));
        match passed.get() {
            // From an interrupt, as it were, while the task waits.
            5 => assert!((0..5).all(|item| QUEUE.try_push(item, Terms::NONE).is_ok())),
            100 => QUEUE.close(),
            _ => {}
        }
        Some(())
    };
    let log = RefCell::new(Vec::new());
    let serve = |queued: Queued<u32>| {
        log.borrow_mut().push((queued.item, true, passed.get()));
        std::future::ready(())
    };
    let unserved = |not: fusebox::queue::Unserved<u32>| log.borrow_mut().push((not.queued.item, false, passed.get()));
    block_on(QUEUE.run(serve, unserved), idle).unwrap();
    assert_eq!(*log.borrow(), [(1, true, 5), (2, true, 15), (3, true, 25), (4, false, 30)]);
    assert_eq!((QUEUE.snapshot().displaced, QUEUE.snapshot().expired), (1, 1));
}
