//! Conformance: what the tests of other libraries pin down, run against fusebox. See `tests/conformance/README.md`.
//!
//! Every vector ends as exactly one of: agreed, differs by a decision (listed beside its area with what differs and
//! why), not expressible (listed likewise). Whatever is in no list fails the test, and so does an entry that is no
//! longer true. `cargo test -p fusebox-tests --test conformance -- --nocapture` prints the report; `FUSEBOX_VECTORS`
//! names another file to run instead of the project's.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test may panic")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of the file are small"
)]
#![allow(clippy::missing_const_for_fn, reason = "a test needs no const")]

mod adaptive_limit;
mod backoff;
mod breaker;
mod bulkhead;
mod call;
mod composition;
mod fields;
mod hedge;
mod queue;
mod rate_limiter;
mod report;
mod retry;
mod retry_budget;
mod throttle;
mod timeout;
mod variations;
mod vector;

use report::{Area, Report};

/// The runners. A new one is a module that offers such a constant.
const AREAS: &[Area] = &[
    adaptive_limit::AREA,
    backoff::AREA,
    breaker::AREA,
    bulkhead::AREA,
    composition::AREA,
    hedge::AREA,
    queue::AREA,
    rate_limiter::AREA,
    retry::AREA,
    retry_budget::AREA,
    throttle::AREA,
    timeout::AREA,
];

#[test]
fn every_vector_agrees_or_is_accounted_for() {
    let file = vector::load();
    let report = Report::over(&file, AREAS);
    println!("{report}");
    assert!(report.problems.is_empty(), "{} problems, see the report", report.problems.len());
}
