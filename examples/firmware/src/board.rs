//! What differs between the boards: how fast `SysTick` counts.

/// The board's name.
#[cfg(board = "microbit")]
pub const NAME: &str = "Cortex-M0 (microbit)";
/// The board's name.
#[cfg(board = "lm3s6965")]
pub const NAME: &str = "Cortex-M3 (lm3s6965evb)";
/// The board's name.
#[cfg(board = "mps2")]
pub const NAME: &str = "Cortex-M4 (mps2-an386)";

/// `SysTick`'s clock in hertz.
#[cfg(board = "microbit")]
pub const SYSTICK_HZ: u64 = 16_000_000;
/// `SysTick`'s clock in hertz.
#[cfg(board = "lm3s6965")]
pub const SYSTICK_HZ: u64 = 12_500_000;
/// `SysTick`'s clock in hertz.
#[cfg(board = "mps2")]
pub const SYSTICK_HZ: u64 = 25_000_000;
