//! One exported function per operation. `measure.sh` links each alone, drops what it does not reach, and reads its size.
//! The panic handler calls a function that does not exist, so an operation that can panic does not link.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use fusebox::{
    Backoff, Breaker, Consecutive, CountWindow, Either, Ended, Ewma, FailureRate, Gate, Instant, Outcome, Plan, Retry,
    RetryPolicy, Schedule, SlowRate, TimeWindow, TokenBucket, breaker, bucket,
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

type Few = Breaker<Consecutive>;
type Window = Breaker<FailureRate<CountWindow<2>>>;
type Every = Breaker<Either<Ewma, Either<FailureRate<TimeWindow<10>>, SlowRate<TimeWindow<10>>>>, 4>;

operation!(breaker_try_acquire(b: Few, now: Instant, to: &mut MaybeUninit<breaker::Permit>) if let Ok(p) = b.try_acquire(now) { to.write(p); });
operation!(breaker_release(b: Few, now: Instant, p: &mut Option<breaker::Permit>, outcome: Outcome) if let Some(p) = p.take() {
    b.release(p, outcome, now);
});
operation!(breaker_all(b: Few, now: Instant, p: &mut Option<breaker::Permit>, outcome: Outcome) {
    if let Some(p) = p.take() {
        b.release(p, outcome, now);
    }
    *p = b.try_acquire(now).ok();
});
operation!(window_breaker_all(b: Window, now: Instant, p: &mut Option<breaker::Permit>, outcome: Outcome) {
    if let Some(p) = p.take() {
        b.release(p, outcome, now);
    }
    *p = b.try_acquire(now).ok();
});
operation!(every_rule_breaker_all(b: Every, now: Instant, p: &mut Option<breaker::Permit>, outcome: Outcome) {
    if let Some(p) = p.take() {
        b.release(p, outcome, now);
    }
    *p = b.try_acquire(now).ok();
});
operation!(bucket_try_acquire(b: TokenBucket, now: Instant, to: &mut MaybeUninit<bucket::Tokens>) if let Ok(t) = b.try_acquire(now) { to.write(t); });
operation!(bucket_try_acquire_n(b: TokenBucket, n: u32, now: Instant, to: &mut MaybeUninit<bucket::Tokens>) if let Ok(t) = b.try_acquire_n(n, now) { to.write(t); });
operation!(bucket_cancel(b: TokenBucket, now: Instant, t: &mut Option<bucket::Tokens>) if let Some(t) = t.take() { b.cancel(t, now); });
operation!(backoff_next(b: Backoff, s: &mut Schedule, entropy: u32, to: &mut u64) *to = b.next(s, entropy));
operation!(retry_all(r: Retry<'static>, now: Instant, e: &Ended, attempt: u16, to: &mut MaybeUninit<fusebox::Step>) {
    r.ended(attempt, *e, now);
    to.write(r.next(now));
});
operation!(retry_start(r: RetryPolicy, now: Instant, to: &mut MaybeUninit<Retry<'static>>) {
    // SAFETY: never called.
    let policy: &'static RetryPolicy = unsafe { &*core::ptr::from_ref(r) };
    to.write(policy.start(now, 0));
});
