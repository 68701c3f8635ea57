//! Areas `breaker`, `window` and `outlier` (trip rules that take an endpoint out): vectors on [`fusebox::Breaker`]s.
//!
//! A configuration is read into [`config::Spec`]s, which [`subject`] makes into breakers; [`steps`] and [`cases`]
//! drive them, and [`expect`] compares.

mod cases;
mod config;
mod expect;
mod half_open;
mod known;
mod rules;
mod steps;
mod subject;
mod window;

use crate::fields::NotExpressible;
use crate::report::{Area, Findings};
use crate::vector::Vector;

pub(crate) const AREA: Area =
    Area { names: &["breaker", "window", "outlier"], run, differ: known::DIFFER, gaps: known::GAPS };

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    if vector.area == "window" {
        return window::run(vector);
    }
    let specs = config::read(vector)?;
    if vector.cases.is_empty() { steps::run(vector, &specs) } else { cases::run(vector, &specs) }
}

/// Runs `$body` with the constant `$name` equal to `$n`, if it is one of the numbers: const parameters chosen at run
/// time.
macro_rules! with_const {
    ($n:expr, [$($k:literal)*], $name:ident => $body:expr) => {
        match $n {
            $($k => {
                const $name: usize = $k;
                Some($body)
            })*
            _ => None,
        }
    };
}
/// [`with_const!`] for numbers of buckets.
macro_rules! with_buckets {
    ($n:expr, $name:ident => $body:expr) => {
        $crate::breaker::with_const!(
            $n,
            [1 2 3 4 5 6 8 10 12 15 16 20 24 25 30 32 40 50 60 64 90 100 120 128 300 600],
            $name => $body
        )
    };
}
use with_buckets;
pub(crate) use with_const;
