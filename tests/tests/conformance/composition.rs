//! Area `composition`: whole calls through several layers in the order of the vector.

use fusebox::NoBudget;

use crate::call::{self, Setup, layers::Layers, script::Judge};
use crate::fields::NotExpressible;
use crate::report::{Area, Differs, Findings, Ground};
use crate::vector::Vector;

pub(crate) const AREA: Area = Area { names: &["composition"], run, differ: DIFFER, gaps: &[] };

const REFUSED: &str =
    "\"a refusal from a gate ends the retry, it never burns attempts\": what was refused is no attempt";

const DIFFER: &[Differs] = &[
    Differs {
        id: "fsgo-co-04",
        at: &["step 1: attempts", "step 1: retries"],
        ground: Ground::Decided(&["Composition"]),
        why: REFUSED,
    },
    Differs { id: "fsgo-co-05", at: &["step 1: attempts"], ground: Ground::Decided(&["Composition"]), why: REFUSED },
];

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    call::run(vector, &NoBudget, |fields, vector| {
        Ok(Setup { layers: Layers::ordered(fields, vector.unit)?, judge: Judge::read(fields)? })
    })
}
