//! Guards around devices that do as they are told and write down what reached them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use embedded_hal::{i2c, spi};
use fusebox_embedded_hal::fusebox::recovery::{Ladder, LadderConfig, Next, Rung};
use fusebox_embedded_hal::fusebox::{
    Breaker, BreakerConfig, Clock, Consecutive, Gate, Instant, Outcome, Reason, Rejected, Shared, SharedGate, checked,
};
use fusebox_embedded_hal::{Guarded, GuardedError, I2cKinds, IoKinds, Judge, SpiKinds};

#[derive(Default)]
struct Hand(Cell<u64>);

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.get())
    }
}

/// Grants unless it is shut, and writes down what it is told.
#[derive(Default)]
struct Recording {
    is_shut: Cell<bool>,
    told: RefCell<Vec<Outcome>>,
}

const SHUT: Rejected = Rejected { reason: Reason::Open, retry_at: None };

impl SharedGate for Recording {
    type Permit = ();

    fn try_acquire(&self, _: impl Clock) -> Result<(), Rejected> {
        if self.is_shut.get() { Err(SHUT) } else { Ok(()) }
    }

    fn release(&self, (): (), outcome: Outcome, _: impl Clock) {
        self.told.borrow_mut().push(outcome);
    }

    fn cancel(&self, (): (), _: impl Clock) {
        unreachable!("a guard that has a permit runs something");
    }
}

/// Says the same each time; `None` from what hangs.
struct Device<E> {
    answer: Option<Result<(), E>>,
    calls: Vec<&'static str>,
}

impl<E: Copy> Device<E> {
    const fn new(answer: Option<Result<(), E>>) -> Self {
        Self { answer, calls: vec![] }
    }

    fn says(&mut self, call: &'static str) -> Result<(), E> {
        self.calls.push(call);
        self.answer.unwrap()
    }

    async fn says_later(&mut self, call: &'static str) -> Result<(), E> {
        self.calls.push(call);
        match self.answer {
            Some(answer) => answer,
            None => pending().await,
        }
    }
}

impl i2c::ErrorType for Device<i2c::ErrorKind> {
    type Error = i2c::ErrorKind;
}

impl<A: i2c::AddressMode> i2c::I2c<A> for Device<i2c::ErrorKind> {
    fn read(&mut self, _: A, _: &mut [u8]) -> Result<(), i2c::ErrorKind> {
        self.says("read")
    }
    fn write(&mut self, _: A, _: &[u8]) -> Result<(), i2c::ErrorKind> {
        self.says("write")
    }
    fn write_read(&mut self, _: A, _: &[u8], _: &mut [u8]) -> Result<(), i2c::ErrorKind> {
        self.says("write_read")
    }
    fn transaction(&mut self, _: A, _: &mut [i2c::Operation<'_>]) -> Result<(), i2c::ErrorKind> {
        self.says("transaction")
    }
}

impl<A: i2c::AddressMode> embedded_hal_async::i2c::I2c<A> for Device<i2c::ErrorKind> {
    async fn read(&mut self, _: A, _: &mut [u8]) -> Result<(), i2c::ErrorKind> {
        self.says_later("read").await
    }
    async fn write(&mut self, _: A, _: &[u8]) -> Result<(), i2c::ErrorKind> {
        self.says_later("write").await
    }
    async fn write_read(&mut self, _: A, _: &[u8], _: &mut [u8]) -> Result<(), i2c::ErrorKind> {
        self.says_later("write_read").await
    }
    async fn transaction(&mut self, _: A, _: &mut [i2c::Operation<'_>]) -> Result<(), i2c::ErrorKind> {
        self.says_later("transaction").await
    }
}

impl spi::ErrorType for Device<spi::ErrorKind> {
    type Error = spi::ErrorKind;
}

impl<W: Copy + 'static> spi::SpiDevice<W> for Device<spi::ErrorKind> {
    fn transaction(&mut self, _: &mut [spi::Operation<'_, W>]) -> Result<(), spi::ErrorKind> {
        self.says("transaction")
    }
    fn read(&mut self, _: &mut [W]) -> Result<(), spi::ErrorKind> {
        self.says("read")
    }
    fn write(&mut self, _: &[W]) -> Result<(), spi::ErrorKind> {
        self.says("write")
    }
    fn transfer(&mut self, _: &mut [W], _: &[W]) -> Result<(), spi::ErrorKind> {
        self.says("transfer")
    }
    fn transfer_in_place(&mut self, _: &mut [W]) -> Result<(), spi::ErrorKind> {
        self.says("transfer_in_place")
    }
}

impl<W: Copy + 'static> embedded_hal_async::spi::SpiDevice<W> for Device<spi::ErrorKind> {
    async fn transaction(&mut self, _: &mut [spi::Operation<'_, W>]) -> Result<(), spi::ErrorKind> {
        self.says_later("transaction").await
    }
    async fn read(&mut self, _: &mut [W]) -> Result<(), spi::ErrorKind> {
        self.says_later("read").await
    }
    async fn write(&mut self, _: &[W]) -> Result<(), spi::ErrorKind> {
        self.says_later("write").await
    }
    async fn transfer(&mut self, _: &mut [W], _: &[W]) -> Result<(), spi::ErrorKind> {
        self.says_later("transfer").await
    }
    async fn transfer_in_place(&mut self, _: &mut [W]) -> Result<(), spi::ErrorKind> {
        self.says_later("transfer_in_place").await
    }
}

impl embedded_io::ErrorType for Device<embedded_io::ErrorKind> {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io::Read for Device<embedded_io::ErrorKind> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, embedded_io::ErrorKind> {
        self.says("read").map(|()| bytes.len())
    }
}

impl embedded_io::Write for Device<embedded_io::ErrorKind> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, embedded_io::ErrorKind> {
        self.says("write").map(|()| bytes.len().min(2))
    }
    fn flush(&mut self) -> Result<(), embedded_io::ErrorKind> {
        self.says("flush")
    }
}

impl embedded_io_async::Read for Device<embedded_io::ErrorKind> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, embedded_io::ErrorKind> {
        self.says_later("read").await.map(|()| bytes.len())
    }
}

impl embedded_io_async::Write for Device<embedded_io::ErrorKind> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, embedded_io::ErrorKind> {
        self.says_later("write").await.map(|()| bytes.len())
    }
    async fn flush(&mut self) -> Result<(), embedded_io::ErrorKind> {
        self.says_later("flush").await
    }
}

/// What is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it hangs"),
    }
}

/// Runs each operation on a device that works, one that fails and one behind a gate that is shut, blocking and async.
/// Each is one call of the same name, one question and one report.
macro_rules! passes_on {
    ($make:ident, $error:expr, $($name:literal: |$d:ident| $blocking:expr, $later:expr;)*) => {
        $(
            for answer in [Ok(()), Err($error)] {
                let (gate, clock) = (Recording::default(), Hand::default());
                let mut $d = Guarded::$make(Device::new(Some(answer)), &gate, &clock);
                let expected = answer.map_err(GuardedError::Device);
                assert_eq!($blocking.map(drop), expected, $name);
                assert_eq!(now($later).map(drop), expected, $name);
                let told = if answer.is_ok() { Outcome::Success } else { Outcome::Failure };
                assert_eq!(*gate.told.borrow(), [told; 2], $name);
                gate.is_shut.set(true);
                assert_eq!($blocking.map(drop), Err(GuardedError::Refused(SHUT)), $name);
                assert_eq!(now($later).map(drop), Err(GuardedError::Refused(SHUT)), $name);
                assert_eq!((gate.told.borrow().len(), $d.into_device().calls), (2, vec![$name; 2]), $name);
            }
        )*
    };
}

#[test]
fn i2c_is_passed_on() {
    use embedded_hal_async::i2c::I2c as Later;
    use i2c::I2c;
    passes_on! { i2c, i2c::ErrorKind::ArbitrationLoss,
        "read": |d| I2c::read(&mut d, 7_u8, &mut [0]), Later::read(&mut d, 7_u8, &mut [0]);
        "write": |d| I2c::write(&mut d, 7_u16, &[0]), Later::write(&mut d, 7_u16, &[0]);
        "write_read": |d| I2c::write_read(&mut d, 7_u8, &[0], &mut [0]), Later::write_read(&mut d, 7_u8, &[0], &mut [0]);
        "transaction": |d| I2c::transaction(&mut d, 7_u8, &mut []), Later::transaction(&mut d, 7_u8, &mut []);
    }
}

#[test]
fn spi_is_passed_on() {
    use embedded_hal_async::spi::SpiDevice as Later;
    use spi::SpiDevice;
    passes_on! { spi, spi::ErrorKind::ModeFault,
        "read": |d| SpiDevice::read(&mut d, &mut [0_u8]), Later::read(&mut d, &mut [0_u8]);
        "write": |d| SpiDevice::write(&mut d, &[0_u16]), Later::write(&mut d, &[0_u16]);
        "transfer": |d| SpiDevice::transfer(&mut d, &mut [0_u8], &[0]), Later::transfer(&mut d, &mut [0_u8], &[0]);
        "transfer_in_place": |d| SpiDevice::transfer_in_place(&mut d, &mut [0_u8]), Later::transfer_in_place(&mut d, &mut [0_u8]);
        "transaction": |d| SpiDevice::<u8>::transaction(&mut d, &mut []), Later::<u8>::transaction(&mut d, &mut []);
    }
}

#[test]
fn io_is_passed_on() {
    use embedded_io::{Read, Write};
    use embedded_io_async::{Read as LaterRead, Write as LaterWrite};
    passes_on! { io, embedded_io::ErrorKind::TimedOut,
        "read": |d| Read::read(&mut d, &mut [0]), LaterRead::read(&mut d, &mut [0]);
        "write": |d| Write::write(&mut d, &[0]), LaterWrite::write(&mut d, &[0]);
        "flush": |d| Write::flush(&mut d), LaterWrite::flush(&mut d);
    }
    // All of it: an operation for each part.
    let (gate, clock) = (Recording::default(), Hand::default());
    let mut uart = Guarded::io(Device::new(Some(Ok(()))), &gate, &clock);
    Write::write_all(&mut uart, &[0; 5]).unwrap();
    assert_eq!(gate.told.borrow().len(), 3);
}

#[test]
fn errors_that_are_not_the_devices_say_nothing() {
    use embedded_io::ErrorKind as Io;
    use i2c::{ErrorKind as I2c, NoAcknowledgeSource as From};
    let is_failure = |outcome: Outcome| outcome.is_failure();
    let i2c = [I2c::Bus, I2c::ArbitrationLoss, I2c::NoAcknowledge(From::Address), I2c::Other, I2c::Overrun];
    assert_eq!(i2c.map(|kind| is_failure(I2cKinds.judge(&kind))), [true, true, true, true, false]);
    let spi = [spi::ErrorKind::ModeFault, spi::ErrorKind::FrameFormat, spi::ErrorKind::Other, spi::ErrorKind::Overrun];
    assert_eq!(spi.map(|kind| is_failure(SpiKinds.judge(&kind))), [true, true, true, false]);
    let io = [Io::TimedOut, Io::ConnectionReset, Io::Other, Io::InvalidInput, Io::Unsupported, Io::Interrupted];
    assert_eq!(io.map(|kind| is_failure(IoKinds.judge(&kind))), [true, true, true, false, false, false]);
}

#[test]
fn one_may_judge_for_oneself() {
    let (gate, clock) = (Recording::default(), Hand::default());
    let busy = |error: &i2c::ErrorKind| match error {
        i2c::ErrorKind::NoAcknowledge(_) => Outcome::Ignored,
        _ => Outcome::Failure,
    };
    let nack = i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Address);
    let mut eeprom = Guarded::new(Device::new(Some(Err(nack))), &gate, &clock, busy);
    assert!(i2c::I2c::write(&mut eeprom, 0x50_u8, &[0]).is_err());
    assert_eq!(*gate.told.borrow(), [Outcome::Ignored]);
}

#[test]
fn what_is_dropped_says_nothing_or_has_failed() {
    use embedded_hal_async::i2c::I2c;
    let (gate, clock) = (Recording::default(), Hand::default());
    let cut = |guarded: &mut Guarded<Device<i2c::ErrorKind>, &Recording, &Hand, I2cKinds>| {
        assert!(pin!(guarded.read(7_u8, &mut [])).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    };
    let mut guarded = Guarded::i2c(Device::new(None), &gate, &clock);
    drop(guarded.read(7_u8, &mut []));
    assert!(gate.told.borrow().is_empty(), "it was never polled");
    cut(&mut guarded);
    cut(&mut guarded.dropped_is_failure());
    assert_eq!(*gate.told.borrow(), [Outcome::Ignored, Outcome::Failure]);
}

#[test]
fn errors_tell_their_kind_and_their_cause() {
    use std::error::Error;
    let refused = GuardedError::<i2c::ErrorKind>::Refused(SHUT);
    assert_eq!(i2c::Error::kind(&refused), i2c::ErrorKind::Other);
    assert_eq!(i2c::Error::kind(&GuardedError::Device(i2c::ErrorKind::Bus)), i2c::ErrorKind::Bus);
    assert_eq!(spi::Error::kind(&GuardedError::<spi::ErrorKind>::Refused(SHUT)), spi::ErrorKind::Other);
    assert_eq!(spi::Error::kind(&GuardedError::Device(spi::ErrorKind::Overrun)), spi::ErrorKind::Overrun);
    let io = GuardedError::<embedded_io::ErrorKind>::Refused(SHUT);
    assert_eq!(embedded_io::Error::kind(&io), embedded_io::ErrorKind::Other);
    let out = GuardedError::Device(embedded_io::ErrorKind::TimedOut);
    assert_eq!(embedded_io::Error::kind(&out), embedded_io::ErrorKind::TimedOut);
    assert_eq!(refused.to_string(), "refused by circuit breaker: open (waiting does not help)");
    assert_eq!(GuardedError::Device(fmt::Error).to_string(), fmt::Error.to_string());
    assert!(io.source().unwrap().is::<Rejected>());
    assert!(GuardedError::Device(fmt::Error).source().is_none());
}

/// A whole one: the breaker keeps the device from being asked, and lets it be tried.
#[test]
fn a_breaker_opens_and_closes() {
    use i2c::I2c;
    let clock = Hand::default();
    let breaker = Breaker::new(checked!(
        BreakerConfig::builder(checked!(Consecutive::new(2))).open_for(Duration::from_millis(100)).build()
    ));
    let nack = i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Unknown);
    let mut bus = Guarded::i2c(Device::new(Some(Err(nack))), Shared::new(RefCell::new(breaker)), &clock);
    for _ in 0..5 {
        assert!(bus.read(7_u8, &mut []).is_err());
    }
    assert_eq!(bus.device().calls.len(), 2);
    bus.device().answer = Some(Ok(()));
    clock.0.set(99);
    assert!(bus.read(7_u8, &mut []).is_err());
    clock.0.set(100);
    assert!(bus.read(7_u8, &mut []).is_ok());
}

/// A bus behind a ladder: the driver above it sees errors, somebody else clears the bus through the guard.
#[test]
fn a_ladder_is_a_gate_too() {
    use i2c::I2c;
    let clock = Hand::default();
    let ms = Duration::from_millis;
    let config = LadderConfig::builder(ms(10), [Rung::action("clear the bus", ms(5), ms(1))]).build().unwrap();
    let ladder = Shared::new(RefCell::new(Ladder::new(config)));
    let mut bus = Guarded::i2c(Device::new(Some(Err(i2c::ErrorKind::ArbitrationLoss))), &ladder, &clock);
    assert!(matches!(bus.read(7_u8, &mut []), Err(GuardedError::Device(_))));
    assert!(
        matches!(bus.read(7_u8, &mut []), Err(GuardedError::Refused(refused)) if refused.reason == Reason::Recovering)
    );
    let next = ladder.with(|ladder| ladder.next(clock.now()));
    let Ok(Next::Act(turn)) = next else { unreachable!("{next:?}") };
    bus.device().answer = Some(Ok(()));
    ladder.with(|ladder| ladder.acted(turn, fusebox_embedded_hal::fusebox::recovery::Acted::Done, clock.now()));
    clock.0.set(1);
    assert!(bus.read(7_u8, &mut []).is_ok());
    let again = ladder.with(|ladder| ladder.try_acquire(clock.now()));
    assert!(again.is_ok());
}
