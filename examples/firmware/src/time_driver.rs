//! embassy-time's driver on `SysTick`: no tick interrupt, only one alarm at a time.
//!
//! `SysTick` is a 24-bit down-counter. Each alarm adds what has passed to `base` and starts it afresh; the few cycles that
//! this takes are lost, which a simulation does not mind. On a real part use the HAL's driver instead.

use core::cell::RefCell;
use core::task::Waker;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::{Driver, TICK_HZ, time_driver_impl};
use embassy_time_queue_utils::Queue;

use crate::board::SYSTICK_HZ;

/// Below this an alarm could be over before it is armed.
const SHORTEST: u64 = 64;
const LONGEST: u64 = (1 << 24) - 1;

struct SysTickDriver(Mutex<RefCell<State>>);

struct State {
    syst: Option<SYST>,
    /// Cycles until the counter was last started or last wrapped.
    base: u64,
    queue: Queue,
}

time_driver_impl!(static DRIVER: SysTickDriver = SysTickDriver(Mutex::new(RefCell::new(State {
    syst: None,
    base: 0,
    queue: Queue::new(),
}))));

/// Starts the clock.
pub fn start(mut syst: SYST) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(u32::MAX >> 8);
    syst.clear_current();
    syst.enable_interrupt();
    syst.enable_counter();
    critical_section::with(|cs| DRIVER.0.borrow_ref_mut(cs).syst = Some(syst));
}

impl Driver for SysTickDriver {
    fn now(&self) -> u64 {
        critical_section::with(|cs| ticks(self.0.borrow_ref(cs).cycles(cs)))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let mut state = self.0.borrow_ref_mut(cs);
            if state.queue.schedule_wake(at, waker) {
                state.arm(cs);
            }
        });
    }
}

#[exception]
fn SysTick() {
    critical_section::with(|cs| {
        let mut state = DRIVER.0.borrow_ref_mut(cs);
        state.base += u64::from(SYST::get_reload()) + 1;
        state.arm(cs);
    });
}

impl State {
    /// Cycles since the start. Interrupts are off, so a wrap that is not yet in `base` shows as a pending interrupt.
    fn cycles(&self, _: CriticalSection<'_>) -> u64 {
        let period = u64::from(SYST::get_reload()) + 1;
        // The counter goes from the reload value to 0 and pends the interrupt when it gets there.
        let passed = || match SYST::get_current() {
            0 => 0,
            left => period - u64::from(left),
        };
        let before = passed();
        if SCB::is_pendst_pending() { self.base + period + passed() } else { self.base + before }
    }

    /// Wakes who is due and sets the alarm for who is next.
    fn arm(&mut self, cs: CriticalSection<'_>) {
        let next = self.queue.next_expiration(ticks(self.cycles(cs)));
        let now = self.cycles(cs);
        let wait = cycles_up(next).saturating_sub(now).clamp(SHORTEST, LONGEST);
        if let (Some(syst), Ok(wait)) = (self.syst.as_mut(), u32::try_from(wait)) {
            self.base = now;
            syst.set_reload(wait);
            syst.clear_current();
            SCB::clear_pendst();
        }
    }
}

/// So many cycles are `TICKS` ticks. Small numbers, so that products last for thousands of years.
const CYCLES: u64 = SYSTICK_HZ.div_ceil(500_000);
const TICKS: u64 = TICK_HZ.div_ceil(500_000);
const _: () = assert!(SYSTICK_HZ.is_multiple_of(500_000) && TICK_HZ.is_multiple_of(500_000));

#[expect(clippy::integer_division, reason = "rounding down is meant")]
const fn ticks(cycles: u64) -> u64 {
    cycles * TICKS / CYCLES
}

const fn cycles_up(ticks: u64) -> u64 {
    ticks.saturating_mul(CYCLES).div_ceil(TICKS)
}
