//! The runtimes, and what needs one.

use super::*;

/// Callers who wait in line (or, without one, each for himself) behind lost trials: the first are let in when the
/// leases are over, all of them as many leases later as it takes to close; unless the machine is so slow that theirs lapse too.
pub(crate) async fn line<T: Timer, L: Lock<Value: Gates>, W: Turns>(way: &Calls<'_, T, L, W>, loss: Loss, exact: bool) {
    trip(way).await;
    way.until(way.now().after(OPEN)).await;
    let (out, end) = (fill(way).await, way.now().after(TTL));
    let (all, ran) = (out.len(), RefCell::new(vec![]));
    let operation = async |number: usize| {
        ran.borrow_mut().push((number, way.now()));
        // No sleep: one that is late already would end before the others have been polled.
        yield_now().await;
        Ok::<_, &str>(())
    };
    let mut waiters: Vec<_> = (0..5).map(|n| Some(Box::pin(way.0.call(move |_| operation(n))))).collect();
    for waiter in waiters.iter_mut().flatten() {
        assert!(once(waiter.as_mut()).await.is_pending());
    }
    // On a slow machine the leases may be over by now.
    let dropped = loss == Loss::Dropped && way.now() < end;
    let _kept = lose(way, loss, out).await;
    if dropped {
        // Whether or not the first in line is told so, the place is free.
        let permit = way.0.gate().try_acquire(way.now()).ok().unwrap();
        way.0.gate().cancel(permit, way.now());
    }
    poll_fn(|cx| {
        for slot in &mut waiters {
            if let Some(Poll::Ready(answer)) = slot.as_mut().map(|waiter| waiter.as_mut().poll(cx)) {
                answer.unwrap();
                *slot = None;
            }
        }
        if waiters.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let (ran, lapsed) = (ran.take(), if dropped { 0 } else { all });
    let in_time = |(_, at): &(_, Instant)| *at == end || loss == Loss::Dropped && *at < end;
    assert!(ran.len() == 5 && in_time(&ran[0]) && (!W::WAITS || ran.is_sorted()), "{loss:?}, until {end}: {ran:?}");
    if exact {
        assert_eq!(way.told().state, State::Closed);
        assert!(ran[..all].iter().all(in_time), "{loss:?}, until {end}: {ran:?}");
        let rounds = <L::Value as Gates>::TO_CLOSE.div_ceil(all) as u64;
        assert!(ran.iter().all(|(_, at)| *at <= end.after(rounds * TTL)), "{loss:?}, until {end}: {ran:?}");
        assert_eq!(way.told().lapsed as usize, lapsed);
    }
    for _ in 0..<L::Value as Gates>::TO_CLOSE {
        way.0.call(|_| ready(Ok::<_, &str>(()))).await.unwrap();
    }
    assert_eq!(way.told().state, State::Closed);
}

/// With an attempt timeout a hung trial ends by itself and counts as a failure, however often.
pub(crate) async fn timed_out<T: Timer, L: Lock<Value: Gates>, W: Turns>(way: &Calls<'_, T, L, W>) {
    way.0.call(|_| ready(Err::<(), _>("down"))).await.unwrap_err();
    refused_until(way, Reason::Open, way.now().after(OPEN)).await;
    for round in 2..5 {
        for _ in 0..<Calls<'_, T, L, W> as Way>::TO_REOPEN {
            let error = way.0.call(|_| pending::<Result<(), &str>>()).await.unwrap_err();
            assert_eq!((error.cause, error.timed_out, error.last), (Cause::Exhausted, 1, None));
        }
        assert_eq!((way.told().state, way.told().trips, way.told().lapsed), (State::Open, round, 0));
        refused_until(way, Reason::Open, way.now().after(OPEN)).await;
    }
    for _ in 0..<L::Value as Gates>::TO_CLOSE {
        way.0.call(|_| ready(Ok::<_, &str>(()))).await.unwrap();
    }
    assert_eq!(way.told().state, State::Closed);
}

pub(crate) fn with_timeout() -> RetryPolicy {
    RetryPolicy::builder().attempts(1).attempt_timeout(Duration::from_nanos(GAP)).build().unwrap()
}

pub(crate) fn patient(deadline: u64) -> RetryPolicy {
    RetryPolicy::builder().attempts(1).deadline(Duration::from_nanos(deadline)).wait_for_gates().build().unwrap()
}

/// What a runtime supplies.
pub(crate) trait Runtime {
    fn timer(&self) -> impl Timer;
    fn block_on<F: Future>(&self, future: F) -> F::Output;

    fn lock<G: Gates>(gates: G) -> impl Lock<Value = G> {
        Mutex::new(gates)
    }

    fn turns() -> impl Turns {
        fusebox_tokio::FairTurns::new()
    }
}

/// Everything on `runtime`; `exact` when its time waits for the machine, however slow that is.
pub(crate) fn run<R: Runtime>(runtime: &R, exact: bool) {
    run_with::<R, Breaker<Consecutive>>(runtime, exact);
    run_with::<R, Breaker<Consecutive, 2>>(runtime, exact);
    run_with::<R, Breaker<Consecutive, 3>>(runtime, exact);
    run_with::<R, (Breaker<Consecutive>, TokenBucket)>(runtime, exact);
    run_with::<R, (Breaker<Consecutive, 3>, TokenBucket)>(runtime, exact);
}

pub(crate) fn run_with<R: Runtime, G: Gates>(runtime: &R, exact: bool) {
    run_in::<R, G, _>(runtime, exact, || NoTurns);
    run_in::<R, G, _>(runtime, exact, R::turns);
}

pub(crate) fn run_in<R: Runtime, G: Gates, W: Turns>(runtime: &R, exact: bool, turns: impl Fn() -> W) {
    let gates = |limit| Shared::new(R::lock(G::fresh(TTL, limit)));
    runtime.block_on(async {
        let time = Logical::new(runtime.timer());
        let calls = |limit, retry| Calls(Pipeline::fair(&time, gates(limit), turns(), retry, Entropy::new(1)));
        suite(|limit| calls(limit, RetryPolicy::ONCE)).await;
        timed_out(&calls(None, with_timeout())).await;
        for loss in LOSSES {
            // Sleeps that are forgotten stay in the clock's list: another clock for each.
            let time = Logical::new(runtime.timer());
            line(&Calls(Pipeline::fair(&time, gates(None), turns(), patient(MINUTE), Entropy::new(1))), loss, exact)
                .await;
        }
    });
}

impl Runtime for ManualTimer {
    fn timer(&self) -> impl Timer {
        self
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        Self::block_on(self, future).unwrap()
    }

    fn lock<G: Gates>(gates: G) -> impl Lock<Value = G> {
        RefCell::new(gates)
    }
}

impl Runtime for tokio::runtime::Runtime {
    fn timer(&self) -> impl Timer {
        fusebox_tokio::TokioTimer::new()
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        Self::block_on(self, future)
    }
}

/// async-std if true, else smol.
pub(crate) struct AsyncIo<const ASYNC_STD: bool>;

impl<const ASYNC_STD: bool> Runtime for AsyncIo<ASYNC_STD> {
    fn timer(&self) -> impl Timer {
        fusebox_async_std::AsyncIoTimer::new()
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        if ASYNC_STD { async_std::task::block_on(future) } else { smol::block_on(future) }
    }

    fn turns() -> impl Turns {
        fusebox_async_std::FairTurns::new()
    }
}

pub(crate) struct Embassy;

impl Runtime for Embassy {
    fn timer(&self) -> impl Timer {
        fusebox_embassy::EmbassyTimer::new()
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let idle = || {
            embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(1));
            Some(())
        };
        fusebox_tests::block_on(future, idle).unwrap()
    }

    fn lock<G: Gates>(gates: G) -> impl Lock<Value = G> {
        fusebox_embassy::EmbassyLock::<CriticalSectionRawMutex, _>::new(gates)
    }

    fn turns() -> impl Turns {
        fusebox_embassy::FairTurns::<CriticalSectionRawMutex, 8>::new()
    }
}
