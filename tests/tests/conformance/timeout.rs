//! Area `timeout`: whole calls with a `timeout`, or with those of an `order`.

use fusebox::NoBudget;

use crate::call::layers::{Layer, Layers};
use crate::call::{self, Setup, script::Judge};
use crate::fields::{Fields, NotExpressible};
use crate::report::{Area, Differs, Findings, Gap, Ground};
use crate::vector::Vector;

pub(crate) const AREA: Area = Area { names: &["timeout"], run, differ: DIFFER, gaps: GAPS };

const DIFFER: &[Differs] = &[Differs {
    id: "fsgo-to-04",
    at: &["step 1: ends_at"],
    ground: Ground::Decided(&["Composition"]),
    why: "what does not fit the deadline is not waited for: the call is out of time as soon as that is known",
}];

const GAPS: &[Gap] = &[Gap {
    id: "polly-to-01",
    field: "case.timeout",
    why: "\"a zero duration is unrepresentable\": who wants no timeout sets none",
}];

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    call::run(vector, &NoBudget, read)
}

fn read(fields: &Fields<'_>, vector: &Vector) -> Result<Setup, NotExpressible> {
    let judge = Judge::read(fields)?;
    let timeout = match fields.value("timeout") {
        None => return Ok(Setup { layers: Layers::ordered(fields, vector.unit)?, judge }),
        Some(none) if none == "infinite" => None,
        Some(_) => fields.number("timeout")?,
    };
    if timeout.is_some_and(|timeout| timeout <= 0.0) {
        return Err(fields.cannot("timeout", "unrepresentable"));
    }
    let layers = timeout.map(|timeout| Layer::Timeout(vector.unit.nanos(timeout)));
    Ok(Setup { layers: Layers::from(Vec::from_iter(layers)), judge })
}
