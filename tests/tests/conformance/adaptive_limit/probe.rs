//! Vectors of a gradient controller's measurements, and of the least limit that it keeps to meanwhile.

use std::time::Duration;

use fusebox::adaptive::{AdaptiveBuilder, AdaptiveSnapshot};
use fusebox::{AdaptiveConfig, AdaptiveLimit, Gate, Gradient2, Instant, Outcome};

use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::Vector;

type Builder = AdaptiveBuilder<Gradient2>;
type Limit = AdaptiveLimit<Gradient2>;

pub(crate) fn run(vector: &Vector, fields: &Fields<'_>) -> Result<Findings, NotExpressible> {
    let least = fields.count("min_concurrency")?.and_then(|n| u16::try_from(n).ok());
    let least = fields.needed("min_concurrency", least)?;
    let requests = fields.count("min_rtt_requests")?;
    fields.ignore("percentile"); // of `min_rtt`, which is not compared
    let mut findings = Findings::default();
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        let builder = AdaptiveConfig::builder(Gradient2::DEFAULT);
        if let Some(event) = case.text("event")? {
            let more = fields.needed("min_rtt_requests", requests)?;
            if event != format!("more than {more} answers of requests begun BEFORE the measuring window") {
                return Err(case.cannot("event", "not known to the runner"));
            }
            let told = stragglers(builder.limits(least, 100, 200), more + 1)?;
            findings.compare(&format!("case {number}: measuring_still"), case.flag("measuring_still")?, told.probing);
        } else if let Some(ops) = case.text("ops")? {
            let told =
                ["acquire x3 ok", "fourth refused", "one cancelled without sample", "acquire ok", "next refused"];
            let answers = refusals(builder.limits(least, least, 200))?;
            let told = told.join(", ");
            findings.compare(
                &format!("case {number}: ops"),
                (ops, [true, true, true, false, true, false]),
                (&*told, answers),
            );
        } else {
            case.ignore("samples");
            case.ignore("min_rtt");
            findings.skip("min_rtt", "it is the mean of 16 calls, or the shortest: no percentile needs a table");
        }
        case.finish()?;
    }
    fields.ignore("algorithm");
    Ok(findings)
}

/// Whether each of six calls may start; before the fifth one that is in flight is cancelled.
fn refusals(builder: Builder) -> Result<[bool; 6], NotExpressible> {
    let mut limit = AdaptiveLimit::new(builder.build()?);
    let mut permits = Vec::new();
    let at = Instant::from_millis;
    let answers = std::array::from_fn(|n| {
        if n == 4 {
            limit.cancel(permits.pop().unwrap(), at(5));
        }
        limit.try_acquire(at(5)).map(|permit| permits.push(permit)).is_ok()
    });
    Ok(answers)
}

/// What is to be seen when a probe has begun, and then `calls` come back that had started before.
fn stragglers(builder: Builder, calls: u32) -> Result<AdaptiveSnapshot, NotExpressible> {
    let mut limit = AdaptiveLimit::new(builder.probe_every(Duration::from_secs(10)).build()?);
    let mut now = 1;
    while limit.snapshot().no_load_nanos.is_none() {
        single(&mut limit, &mut now, 100);
    }
    let before: Vec<_> = (0..calls).map(|_| limit.try_acquire(Instant::from_millis(now)).unwrap()).collect();
    while !limit.snapshot().probing {
        single(&mut limit, &mut now, 500);
    }
    for permit in before {
        limit.release(permit, Outcome::Success, Instant::from_millis(now + 1));
    }
    Ok(limit.snapshot())
}

fn single(limit: &mut Limit, now: &mut u64, took: u64) {
    let permit = limit.try_acquire(Instant::from_millis(*now)).unwrap();
    *now += took;
    limit.release(permit, Outcome::Success, Instant::from_millis(*now));
}
