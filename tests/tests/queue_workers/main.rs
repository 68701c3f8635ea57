//! Law: an item that was taken in comes to exactly one end, whoever is dropped, wherever; and workers sleep when there
//! is nothing to do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, reason = "a test needs no const")]

mod drainer;
mod runtimes;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::num::NonZeroU16;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox::queue::{
    Codel, LevelBuilder, LevelConfig, LevelSnapshot, LevelingQueue, Order, Overflow, Queued, Terms, Why,
};
use fusebox::{Quota, Reason};
use fusebox_drive::{Bell, Drainer};
use fusebox_tests::{ManualTimer, block_on};
use fusebox_tokio::{Leveler, NotifyBell, Unanswered};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One every 10 ms.
fn paced() -> LevelBuilder {
    LevelConfig::builder().rate(Quota::per_second(100).unwrap().with_burst(1).unwrap())
}

fn config(builder: LevelBuilder) -> LevelConfig {
    builder.build().unwrap()
}

fn paused<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // Virtual: over at once when all sleep.
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(3_600), future).await.unwrap() })
}

/// All that was taken in and has come out, or waits.
fn accounted(seen: LevelSnapshot) -> u32 {
    seen.served + seen.expired + seen.shed + seen.displaced + seen.handed_back + u32::try_from(seen.len).unwrap()
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

async fn echo(queued: Queued<u32>) -> u32 {
    queued.item + 100
}

#[test]
fn answers_come_back_at_the_rate() {
    paused(async {
        let queue: Leveler<u32, u32, 8> = Leveler::new(config(paced()));
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.work(echo).await }
        });
        let start = queue.now();
        let answers: Vec<_> = (0..4).map(|item| queue.try_submit(item, Terms::NONE).unwrap()).collect();
        for (n, answer) in (0..).zip(answers) {
            assert_eq!(answer.await, Ok(u32::try_from(n).unwrap() + 100));
            assert_eq!(queue.now().saturating_since(start), ms(n * 10));
        }
        queue.close();
        worker.await.unwrap();
        let refused = queue.submit(9, Terms::NONE).await.unwrap_err();
        assert_eq!((refused.item, refused.rejected.reason), (9, Reason::Closed));
    });
}

#[test]
fn as_many_in_service_as_there_are_workers() {
    paused(async {
        let queue: Leveler<u32, (), 32> = Leveler::new(config(LevelConfig::builder()));
        let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (queue, now, most) = (queue.clone(), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    let serve = |_| async {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::time::sleep(ms(10)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                    };
                    queue.work(serve).await;
                })
            })
            .collect();
        tokio::time::sleep(ms(1)).await; // all of them wait now
        let start = queue.now();
        let answers: Vec<_> = (0..12).map(|item| queue.try_submit(item, Terms::NONE).unwrap()).collect();
        for answer in answers {
            answer.await.unwrap();
        }
        assert_eq!((most.load(Ordering::SeqCst), queue.now().saturating_since(start)), (3, ms(40)));
        queue.close();
        for worker in workers {
            worker.await.unwrap();
        }
    });
}

#[test]
fn who_is_not_served_is_told_why_and_gets_the_item_back() {
    paused(async {
        let setup = paced().codel(Codel::DEFAULT).order(Order::LifoOverloaded).overflow(Overflow::DropLowest);
        let queue: Leveler<u32, u32, 2, 2> = Leveler::new(config(setup));
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.work(echo).await }
        });
        let first = queue.try_submit(0, Terms::NONE).unwrap();
        assert_eq!(first.await, Ok(100));
        let late = queue.try_submit(1, Terms::class(1).until(queue.now().saturating_add(ms(3)))).unwrap();
        let displaced = queue.try_submit(2, Terms::class(1)).unwrap();
        let high = queue.try_submit(3, Terms::class(0)).unwrap();
        let Err(Unanswered::Unserved(not)) = displaced.await else { panic!() };
        assert_eq!((not.queued.item, not.why), (2, Why::Displaced));
        let start = queue.now();
        let Err(Unanswered::Unserved(not)) = late.await else { panic!() };
        assert_eq!((not.queued.item, not.why, queue.now().saturating_since(start)), (1, Why::Expired, ms(3)));
        assert_eq!(high.await, Ok(103));
        queue.close();
        worker.await.unwrap();
    });
}

#[test]
fn submitters_wait_for_a_place() {
    paused(async {
        let queue: Leveler<u32, u32, 2> = Leveler::new(config(paced()));
        let submitters: Vec<_> = (0..20)
            .map(|item| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.submit(item, Terms::NONE).await.unwrap().await.unwrap() })
            })
            .collect();
        tokio::task::yield_now().await;
        let given_up = queue.submit(99, Terms::by(queue.now().saturating_add(ms(5)))).await.unwrap_err();
        assert_eq!((given_up.item, given_up.rejected.reason), (99, Reason::TooLate));
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.work(echo).await }
        });
        for (item, submitter) in (0..).zip(submitters) {
            assert_eq!(submitter.await.unwrap(), item + 100);
        }
        assert_eq!(queue.now().saturating_since(fusebox::Instant::EPOCH), ms(195));
        queue.close();
        worker.await.unwrap();
    });
}

#[test]
fn a_submitter_may_be_dropped_anywhere() {
    paused(async {
        let queue: Leveler<u32, u32, 1> = Leveler::new(config(LevelConfig::builder()));
        let kept = queue.try_submit(0, Terms::NONE).unwrap();
        {
            // It waits for a place, which is then freed and told of to it, and goes away.
            let mut waits = pin!(queue.submit(1, Terms::NONE));
            assert!(poll(waits.as_mut()).is_pending());
            let mut next = pin!(queue.submit(2, Terms::NONE));
            assert!(poll(next.as_mut()).is_pending());
            let mut work = Box::pin(queue.work(echo));
            assert!(poll(work.as_mut()).is_pending());
            assert_eq!(kept.await, Ok(100));
        }
        assert!(queue.snapshot().len == 0, "neither had the place yet");
        let dropped = queue.try_submit(3, Terms::NONE).unwrap();
        drop(dropped);
        queue.close();
        queue.work(echo).await;
        let seen = queue.snapshot();
        assert_eq!((seen.served, seen.lost), (2, 0), "its item is served all the same");
    });
}

/// The place that the first of those who wait was told of goes to the next one when it goes away.
#[test]
fn a_freed_place_is_not_forgotten_with_who_was_told() {
    paused(async {
        let queue: Leveler<u32, u32, 1> = Leveler::new(config(LevelConfig::builder()));
        let _first = queue.try_submit(0, Terms::NONE).unwrap();
        let mut gone = Box::pin(queue.submit(1, Terms::NONE));
        assert!(poll(gone.as_mut()).is_pending());
        let waits = tokio::spawn({
            let queue = queue.clone();
            async move { queue.submit(2, Terms::NONE).await.unwrap().await }
        });
        tokio::task::yield_now().await;
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.work(echo).await }
        });
        while queue.snapshot().len > 0 {
            tokio::task::yield_now().await;
        }
        drop(gone);
        assert_eq!(tokio::time::timeout(ms(1_000), waits).await.unwrap().unwrap(), Ok(102));
        queue.close();
        worker.await.unwrap();
    });
}

#[test]
fn a_dropped_worker_loses_what_it_serves_and_says_so() {
    paused(async {
        let queue: Leveler<u32, u32, 8> = Leveler::new(config(LevelConfig::builder()));
        let answers: Vec<_> = (0..3).map(|item| queue.try_submit(item, Terms::NONE).unwrap()).collect();
        let [first, second, third] = answers.try_into().unwrap();
        {
            let mut work = pin!(queue.work(|_| pending()));
            assert!(poll(work.as_mut()).is_pending());
        }
        assert_eq!(first.await, Err(Unanswered::Lost));
        let panics = tokio::spawn({
            let queue = queue.clone();
            async move { queue.work(|_| async { std::panic::resume_unwind(Box::new("boom")) }).await }
        });
        assert!(panics.await.is_err());
        assert_eq!(second.await, Err(Unanswered::Lost));
        assert_eq!((queue.snapshot().lost, queue.snapshot().len), (2, 1));
        // The next worker finds the rest.
        queue.close();
        queue.work(echo).await;
        assert_eq!(third.await, Ok(102));
    });
}

#[test]
fn shutdown_hands_back_what_waits_and_answers_what_is_in_service() {
    paused(async {
        let queue: Leveler<u32, u32, 3> = Leveler::new(config(LevelConfig::builder()));
        let slow = |queued: Queued<u32>| async move {
            tokio::time::sleep(ms(10)).await;
            queued.item
        };
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.work(slow).await }
        });
        let served = queue.try_submit(0, Terms::NONE).unwrap();
        tokio::time::sleep(ms(5)).await;
        let waits = queue.try_submit(1, Terms::NONE).unwrap();
        let more: Vec<_> = (2..4).map(|item| queue.try_submit(item, Terms::NONE).unwrap()).collect();
        let outside: Vec<_> = (4..8)
            .map(|item| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.submit(item, Terms::NONE).await.unwrap_err() })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.close_now();
        let Err(Unanswered::HandedBack(back)) = waits.await else { panic!() };
        assert_eq!(back.item, 1);
        for answer in more {
            assert!(matches!(answer.await, Err(Unanswered::HandedBack(_))));
        }
        for (item, refused) in (4..).zip(outside) {
            let refused = refused.await.unwrap();
            assert_eq!((refused.item, refused.rejected.reason), (item, Reason::Closed));
        }
        assert_eq!(served.await, Ok(0));
        worker.await.unwrap();
        assert_eq!(queue.snapshot().handed_back, 3);
    });
}

#[test]
fn the_last_one_to_let_go_hands_back() {
    paused(async {
        let queue: Leveler<u32, u32, 3> = Leveler::new(config(LevelConfig::builder()));
        let answer = queue.try_submit(7, Terms::NONE).unwrap();
        drop(queue);
        let Err(Unanswered::HandedBack(back)) = answer.await else { panic!() };
        assert_eq!(back.item, 7);
    });
}
