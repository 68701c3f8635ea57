//! One exported function per operation. `measure.sh` links each alone, drops what it does not reach, and reads its size.
//! The panic handler calls a function that does not exist, so an operation that can panic does not link.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::time::Duration;

use fusebox::idempotency::{self, Begun, Fingerprint};
use fusebox::fallback::Stale;
use fusebox::health::{self, Health};
use fusebox::latency::Bound;
use fusebox::outlier::EndpointPermit;
use fusebox::queue::{Popped, Terms};
use fusebox::wait::Asked;
use fusebox::{
    AdaptiveLimit, AdaptiveRate, Aimd, Backoff, Breaker, BreakerConfig, Bulkhead, Consecutive, CountWindow, Either, Ended, Ewma,
    FailureRate, Faults, FixedWindow, Gate, Gradient2, Hedge, Idempotency, Instant, Keyed, KeyedPermit, Ladder, LatencySketch,
    LeasedBulkhead, LevelingQueue, Limiter, Outcome, Outliers, Plan, Quotas, Reservation, Retry, RetryBudget,
    RetryPolicy, Schedule, SlidingCounter, SlidingLog, SlowRate, Throttle, TimeWindow, TokenBucket, WaitQueue, WarmUp,
    breaker, bucket, bulkhead, checked, fault, hedge, recovery, window_limit,
};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn fusebox_has_a_way_to_panic() -> !;
    }
    // SAFETY: never linked; see above.
    unsafe { fusebox_has_a_way_to_panic() }
}

/// What the linker needs and no operation does: the baseline.
#[unsafe(no_mangle)]
pub extern "C" fn nothing() {}

macro_rules! operation {
    ($name:ident($machine:ident: $type:ty $(, $arg:ident: $arg_type:ty)*) $body:expr) => {
        /// # Safety
        /// Never called.
        #[unsafe(no_mangle)]
        pub unsafe fn $name($machine: &mut $type $(, $arg: $arg_type)*) { $body }
    };
}

/// A permit goes back and another one is asked for: the whole of a gate.
macro_rules! gate {
    ($name:ident: $type:ty) => {
        operation!($name(gate: $type, now: Instant, permit: &mut Option<<$type as Gate>::Permit>, outcome: Outcome) {
            if let Some(permit) = permit.take() {
                gate.release(permit, outcome, now);
            }
            *permit = gate.try_acquire(now).ok();
        });
    };
}

type Few = Breaker<Consecutive>;
type Window = Breaker<FailureRate<CountWindow<2>>>;
type Every = Breaker<Either<Ewma, Either<FailureRate<TimeWindow<10>>, SlowRate<TimeWindow<10>>>>, 4>;

operation!(breaker_try_acquire(b: Few, now: Instant, to: &mut MaybeUninit<breaker::Permit>) if let Ok(p) = b.try_acquire(now) { to.write(p); });
operation!(breaker_release(b: Few, now: Instant, p: &mut Option<breaker::Permit>, outcome: Outcome) if let Some(p) = p.take() {
    b.release(p, outcome, now);
});
gate!(breaker_all: Few);
gate!(window_breaker_all: Window);
gate!(every_rule_breaker_all: Every);
gate!(bulkhead_all: Bulkhead);
gate!(leased_bulkhead_all: LeasedBulkhead<4>);
gate!(adaptive_aimd_all: AdaptiveLimit<Aimd>);
gate!(adaptive_gradient_all: AdaptiveLimit<Gradient2>);
gate!(throttle_all: Throttle);
gate!(adaptive_rate_all: AdaptiveRate);
gate!(retry_budget_all: RetryBudget);
gate!(sliding_log_all: Limiter<SlidingLog<16>>);
gate!(sliding_counter_all: Limiter<SlidingCounter>);
gate!(quotas_all: Limiter<Quotas<2>>);
gate!(warm_up_all: Limiter<WarmUp>);
gate!(fixed_window_all: Limiter<FixedWindow>);
operation!(keyed_breaker_all(k: Keyed<u32, BreakerConfig<Consecutive>, 8>, key: u32, now: Instant, p: &mut Option<KeyedPermit<breaker::Permit>>, outcome: Outcome) {
    if let Some(p) = p.take() {
        k.release(p, outcome, now);
    }
    *p = k.try_acquire(&key, now).ok();
});
operation!(outliers_all(o: Outliers<8>, endpoint: usize, now: Instant, p: &mut Option<EndpointPermit>, outcome: Outcome) {
    if let Some(p) = p.take() {
        o.release(p, outcome, now);
    }
    *p = o.try_acquire(endpoint, now).ok();
});
operation!(health_all(h: Health<8>, component: usize, reading: &health::Reading, now: Instant, to: &mut Option<health::HealthChange>) {
    if h.record(component, *reading, now).is_none() {
        h.pause(component, now);
    }
    if h.may_feed(now).is_ok() {
        *to = h.poll_event();
    }
});
operation!(health_report(h: Health<8>, component: usize, now: Instant, to: &mut MaybeUninit<Option<health::ComponentReport<'static>>>) { to.write(h.component(component, now)); });
operation!(health_pulse(p: health::Pulse, now: Instant, to: &mut MaybeUninit<health::Beat>) { to.write(p.next(now)); });
operation!(wait_queue_enter(q: WaitQueue<8>, gate: &mut Bulkhead, now: Instant, to: &mut MaybeUninit<Asked<bulkhead::Permit>>) {
    if let Ok(asked) = q.enter(None, now, |now| gate.try_acquire(now)) { to.write(asked); }
});
operation!(leveling_queue_all(q: LevelingQueue<u32, 8>, item: u32, terms: Terms, now: Instant, to: &mut MaybeUninit<Popped<u32>>) {
    let _ = q.push(item, terms, now);
    to.write(q.pop(now));
});
gate!(ladder_gate: Ladder<u8, 4>);
operation!(ladder_all(l: Ladder<u8, 4>, now: Instant, turn: &mut Option<recovery::Turn<u8>>, permit: &mut Option<recovery::Permit>, outcome: Outcome) {
    if let Some(turn) = turn.take() {
        l.acted(turn, recovery::Acted::Done, now);
    }
    if let Some(permit) = permit.take() {
        l.release(permit, outcome, now);
    }
    match l.next(now) {
        Ok(recovery::Next::Act(next)) => *turn = Some(next),
        _ => *permit = l.try_acquire(now).ok(),
    }
});
operation!(faults_next(f: Faults<2>, now: Instant, to: &mut MaybeUninit<fault::Fault>) { to.write(f.next(now)); });
operation!(idempotency_all(i: Idempotency<u32, u32, 8>, key: u32, value: &mut u32, now: Instant, p: &mut Option<idempotency::Permit>) {
    match p.take() {
        Some(p) if i.renew(&p, now).is_none() => i.cancel(p, now),
        Some(p) => drop(i.finish(p, *value, now)),
        None => i.handle_timeout(now),
    }
    match i.begin(&key, Fingerprint::of(&key.to_le_bytes()), now) {
        Ok(Begun::Run(run)) => *p = Some(run),
        Ok(Begun::Stored(stored)) => *value = *stored,
        Err(_) => {}
    }
});
operation!(bucket_try_acquire(b: TokenBucket, now: Instant, to: &mut MaybeUninit<bucket::Tokens>) if let Ok(t) = b.try_acquire(now) { to.write(t); });
operation!(bucket_try_acquire_n(b: TokenBucket, n: u32, now: Instant, to: &mut MaybeUninit<bucket::Tokens>) if let Ok(t) = b.try_acquire_n(n, now) { to.write(t); });
operation!(bucket_cancel(b: TokenBucket, now: Instant, t: &mut Option<bucket::Tokens>) if let Some(t) = t.take() { b.cancel(t, now); });
operation!(bucket_reserve(b: TokenBucket, n: u32, until: Instant, now: Instant, to: &mut MaybeUninit<Reservation<bucket::Tokens>>) if let Ok(t) = b.reserve_until(n, until, now) { to.write(t); });
operation!(bucket_settle(b: TokenBucket, now: Instant, t: &mut Option<bucket::Tokens>, actual: u32) if let Some(t) = t.take() { b.settle(t, actual, now); });
operation!(bucket_set_quota(b: TokenBucket, quota: &fusebox::Quota, now: Instant) b.set_quota(*quota, now));
operation!(bucket_all(b: TokenBucket, n: u32, now: Instant, t: &mut Option<bucket::Tokens>, outcome: Outcome) {
    if let Some(t) = t.take() {
        b.release(t, outcome, now);
    }
    b.pause_until(now, now);
    b.resume();
    if b.available(now) > n {
        *t = Some(b.drain(now));
    }
});
operation!(quotas_cancel(b: Limiter<Quotas<2>>, n: u32, now: Instant, t: &mut Option<bucket::JointTokens<2>>) {
    if let Some(t) = t.take() {
        b.cancel(t, now);
    }
    *t = b.try_acquire_n(n, now).ok();
});
operation!(warm_up_cancel(b: Limiter<WarmUp>, n: u32, now: Instant, t: &mut Option<bucket::WarmTokens>) {
    if let Some(t) = t.take() {
        b.cancel(t, now);
    }
    *t = b.try_acquire_n(n, now).ok();
});
operation!(sliding_counter_cancel(b: Limiter<SlidingCounter>, n: u32, now: Instant, t: &mut Option<window_limit::CounterTokens>) {
    if let Some(t) = t.take() {
        b.cancel(t, now);
    }
    *t = b.try_acquire_n(n, now).ok();
});
operation!(sliding_log_cancel(b: Limiter<SlidingLog<16>>, n: u32, now: Instant, t: &mut Option<window_limit::LogTokens>) {
    if let Some(t) = t.take() {
        b.cancel(t, now);
    }
    *t = b.try_acquire_n(n, now).ok();
});
operation!(fixed_window_cancel(b: Limiter<FixedWindow>, n: u32, now: Instant, t: &mut Option<window_limit::FixedTokens>) {
    if let Some(t) = t.take() {
        b.cancel(t, now);
    }
    *t = b.reserve(n, now).ok().map(Reservation::into_permit);
});
operation!(backoff_next(b: Backoff, s: &mut Schedule, entropy: u32, to: &mut u64) *to = b.next(s, entropy));
operation!(backoff_polly_next(s: Schedule, entropy: u32, to: &mut u64) {
    const POLLY: Backoff = checked!(Backoff::polly_exponential(Duration::from_secs(2), Duration::from_secs(30)));
    *to = POLLY.next(s, entropy);
});
operation!(backoff_total(b: Backoff, attempts: u16, to: &mut u64) *to = b.total(attempts));
operation!(latency_record(l: LatencySketch, nanos: u64, now: Instant) l.record(nanos, now));
operation!(latency_all(l: LatencySketch, nanos: u64, now: Instant, to: &mut Option<Bound>) {
    l.record_censored(nanos, now);
    *to = l.quantile(950, now);
});
operation!(retry_all(r: Retry<'static>, now: Instant, e: &Ended, attempt: u16, to: &mut MaybeUninit<fusebox::Step>) {
    r.ended(attempt, *e, now);
    to.write(r.next(now));
});
operation!(hedge_all(h: Hedge<'static, 2, hedge::Fixed>, now: Instant, e: &Ended, attempt: u16, to: &mut MaybeUninit<fusebox::Step>) {
    h.ended(attempt, *e, now);
    to.write(h.next(now));
});
operation!(stale_all(s: Stale<u32>, value: u32, now: Instant, to: &mut Option<u32>) {
    *to = s.get(now).map(|kept| *kept.value);
    s.keep(value, now);
});
operation!(retry_start(r: RetryPolicy, now: Instant, to: &mut MaybeUninit<Retry<'static>>) {
    // SAFETY: never called.
    let policy: &'static RetryPolicy = unsafe { &*core::ptr::from_ref(r) };
    to.write(policy.start(now, 0));
});
