//! embassy's raw executor with a sleep that QEMU sees.
//!
//! embassy's own Cortex-M executor sleeps with `wfe`, which QEMU does not halt on, so simulated time would pass only
//! with executed instructions. On a real part use `embassy_executor::Executor`.

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};

/// Set by wakers. Loads and stores only, which every core has.
static WORK: AtomicBool = AtomicBool::new(true);

/// embassy calls it when a task was woken, from any context.
// SAFETY: the executor asks for exactly this symbol and signature, and nothing else here defines it.
#[expect(unsafe_code, reason = "the executor finds it by its name")]
#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    WORK.store(true, Ordering::SeqCst);
}

/// Runs tasks for ever.
pub fn run(spawn: impl FnOnce(Spawner)) -> ! {
    let executor = cortex_m::singleton!(EXECUTOR: raw::Executor = raw::Executor::new(ptr::null_mut()));
    let Some(executor) = executor else { semihosting::process::exit(102) };
    let executor: &'static raw::Executor = executor;
    spawn(executor.spawner());
    loop {
        // Cleared before the poll: whatever is woken from here on is polled in the next round.
        WORK.store(false, Ordering::SeqCst);
        // SAFETY: this is the executor's only caller, and no task calls `run`.
        #[expect(unsafe_code, reason = "only the caller can know that it does not re-enter")]
        unsafe {
            executor.poll();
        }
        // With interrupts off nobody can set WORK between the look at it and the sleep; a pending interrupt ends the
        // sleep all the same and is served at the end of the section.
        critical_section::with(|_| {
            if !WORK.load(Ordering::SeqCst) {
                cortex_m::asm::wfi();
            }
        });
    }
}
