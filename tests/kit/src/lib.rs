//! What every runtime's tests share: a scripted callee, a scenario, and logical time.
//!
//! `no_std` and without allocation, so that firmware runs the very same scenario.
#![no_std]
#![forbid(unsafe_code)]

pub mod logical;
pub mod raw;
pub mod scenario;
pub mod script;
