//! Area `hedge`: whole calls that are hedged.

use fusebox::NoBudget;

use crate::call::layers::{Layer, Layers};
use crate::call::{self, Setup, level::Hedges, script::Judge};
use crate::fields::{Fields, NotExpressible};
use crate::report::{Area, Differs, Findings, Gap, Ground};
use crate::vector::Vector;

pub(crate) const AREA: Area = Area { names: &["hedge"], run, differ: DIFFER, gaps: GAPS };

const DIFFER: &[Differs] = &[Differs {
    id: "polly-he-02",
    at: &["step 1: result"],
    ground: Ground::Choice,
    why: "\"the caller always gets the last error of the operation\"",
}];

const GAPS: &[Gap] = &[Gap {
    id: "r4j-he-01",
    field: "config.delay",
    why: "\"delay fixed or from a quantile\": an average says little about a tail; and what measures is told of every success \
          alike, and of no failure",
}];

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let config = Fields::new("config", &vector.config);
    if config.value("delay").is_some_and(|delay| delay.is_string() && delay != "infinite") {
        return Err(config.cannot("delay", "one that is measured, but no quantile"));
    }
    call::run(vector, &NoBudget, |fields, vector| {
        if fields.value("order").is_some() {
            return Ok(Setup {
                layers: Layers::ordered(fields, vector.unit)?,
                judge: Judge::of_race(fields, &vector.system)?,
            });
        }
        read(fields, vector)
    })
}

/// One hedge, of which `fields` tells.
pub(crate) fn read(fields: &Fields<'_>, vector: &Vector) -> Result<Setup, NotExpressible> {
    let judge = Judge::of_race(fields, &vector.system)?;
    Ok(Setup { layers: vec![Layer::Hedge(Hedges::read(fields, vector)?)].into(), judge })
}
