//! tokio, async-std, embassy.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use fusebox_async_std::AsyncIoTimer;
use fusebox_embassy::{EmbassyLock, EmbassyTimer};
use fusebox_tests::block_on;
use fusebox_tokio::TokioTimer;

use super::*;

/// The same, for real clocks on a machine that others use too: only what must take its time takes any.
const PATIENT: LadderConfig<Do, 3> = checked!(
    LadderConfig::builder(
        ms(10_000),
        [
            Rung::retry(ms(5)),
            Rung::action(Do::ClearBus, ms(10_000), ms(2)),
            Rung::action(Do::PowerCycle, ms(10_000), ms(30)).times(2),
        ]
    )
    .build()
);

#[test]
fn on_tokio() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let guarded = recovering(TokioTimer::new(), NoTurns);
        let device = Device::new(Fault::Hangs(Do::PowerCycle));
        assert_eq!(device.call(&guarded).await, Ok(4));
        let expected = [(0, "read"), (15, "read"), (25, "clear"), (35, "read"), (45, "power"), (83, "read")];
        assert_eq!(*device.log.borrow(), expected);
    });
}

/// Many threads call at once; the device needs one power cycle and gets one.
#[test]
fn on_many_threads_one_helps() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let fixes = AtomicU32::new(0);
    let (answered, refused) = runtime.block_on(async {
        let guarded = Recovering::new(TokioTimer::new(), Mutex::new(Ladder::new(PATIENT)));
        let shared = std::sync::Arc::new((guarded, fixes));
        let callers: Vec<_> = (0..16)
            .map(|_| {
                let shared = std::sync::Arc::clone(&shared);
                tokio::spawn(async move {
                    let (guarded, fixes) = &*shared;
                    let read = |_| async { if fixes.load(Ordering::SeqCst) > 0 { Ok(()) } else { Err(()) } };
                    let recover = |act: Act<Do>| async move {
                        tokio::task::yield_now().await;
                        if act.action == Do::PowerCycle {
                            fixes.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok::<(), ()>(())
                    };
                    guarded.call(read, recover).await
                })
            })
            .collect();
        let mut sums = (0, 0);
        for caller in callers {
            match caller.await.unwrap() {
                Ok(()) => sums.0 += 1,
                Err(error) => {
                    assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::Recovering));
                    sums.1 += 1;
                }
            }
        }
        assert_eq!(shared.1.load(Ordering::SeqCst), 1);
        sums
    });
    assert_eq!(answered + refused, 16);
    assert!(answered >= 1);
}

#[test]
fn on_async_std() {
    let ladder = RefCell::new(Ladder::new(PATIENT));
    let guarded = Recovering::fair(AsyncIoTimer::new(), ladder, fusebox_async_std::FairTurns::new());
    let device = Device::new(Fault::Fails(Do::PowerCycle));
    let calls = join(device.call(&guarded), device.call(&guarded));
    let (first, second) = async_std::task::block_on(calls);
    assert_eq!((first, second), (Ok(4), Ok(1)));
}

#[test]
fn on_embassy() {
    use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex as Raw;
    type Sensor = Recovering<EmbassyTimer, EmbassyLock<Raw, Ladder<Do, 3>>, fusebox_embassy::FairTurns<Raw, 2>>;
    static SENSOR: Sensor =
        Recovering::fair(EmbassyTimer, EmbassyLock::new(Ladder::new(CONFIG)), fusebox_embassy::FairTurns::new())
            .within(Duration::from_millis(500));
    let device = Device::new(Fault::Hangs(Do::ClearBus));
    let call = || SENSOR.call(|attempt| device.read(&EmbassyTimer, attempt), |act| device.recover(&EmbassyTimer, act));
    let idle = || {
        embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(1));
        Some(())
    };
    let (first, second) = block_on(join(call(), call()), idle).unwrap();
    assert_eq!((first, second), (Ok(3), Ok(1)));
    let expected = [(0, "read"), (15, "read"), (25, "clear"), (35, "read"), (37, "read")];
    assert_eq!(*device.log.borrow(), expected);
}
