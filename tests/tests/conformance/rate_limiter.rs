//! Area `rate_limiter`: vectors on the limiters. Which one is meant says `config.algorithm`.

mod adaptive;
mod cases;
mod known;
mod steps;
mod subject;

use crate::fields::NotExpressible;
use crate::report::{Area, Findings};
use crate::vector::Vector;

pub(crate) const AREA: Area = Area { names: &["rate_limiter"], run, differ: known::DIFFER, gaps: known::GAPS };

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    if vector.cases.is_empty() { steps::run(vector) } else { cases::run(vector) }
}

/// How long one has to wait.
#[derive(Debug, PartialEq)]
enum Wait {
    Nanos(u64),
    /// It was refused, and is told when to come back.
    Refused,
    Never,
}
