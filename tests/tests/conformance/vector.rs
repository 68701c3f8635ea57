//! The file of vectors, as its `conventions` entry describes it.

use fusebox::Instant;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fields::{Fields, NotExpressible};

/// One scenario.
#[derive(Debug, Deserialize)]
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) area: String,
    pub(crate) system: String,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    pub(crate) config: Map<String, Value>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    #[serde(default)]
    pub(crate) cases: Vec<Map<String, Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What only describes a vector.
const DESCRIPTIVE: [&str; 6] = ["title", "source", "checked", "choice", "note", "formula"];

impl Vector {
    /// That no field is left which might mean something.
    pub(crate) fn check_fields(&self) -> Result<(), NotExpressible> {
        let rest = Fields::new("vector", &self.rest);
        for key in DESCRIPTIVE {
            rest.ignore(key);
        }
        rest.finish()
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Any implementation configured so should agree.
    Universal,
    /// One system's choice.
    System,
}

/// Of all times and durations of a vector.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Ns,
    Us,
    Ms,
    S,
}

/// The vectors' time 0: late enough for there to be a time before it, and at the beginning of a second.
const ZERO: u64 = 1_000_000 * 1_000_000_000;

impl Unit {
    fn nanos_each(self) -> f64 {
        match self {
            Self::Ns => 1.0,
            Self::Us => 1e3,
            Self::Ms => 1e6,
            Self::S => 1e9,
        }
    }

    /// A duration in nanoseconds.
    pub(crate) fn nanos(self, duration: f64) -> u64 {
        (duration * self.nanos_each()).round() as u64
    }

    /// Nanoseconds in this unit.
    pub(crate) fn of_nanos(self, nanos: u64) -> f64 {
        nanos as f64 / self.nanos_each()
    }

    pub(crate) fn at(self, t: f64) -> Instant {
        let offset = (t * self.nanos_each()).round() as i64;
        Instant::from_nanos(ZERO.saturating_add_signed(offset))
    }
}

/// One thing that happens, and what is to be seen then.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    t: Option<f64>,
    op: Option<String>,
    /// How often it happens; the expectation holds each time.
    #[serde(default = "once")]
    pub(crate) n: u32,
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) expect: Map<String, Value>,
    /// The other fields.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

fn once() -> u32 {
    1
}

impl Step {
    pub(crate) fn t(&self) -> Result<f64, NotExpressible> {
        self.t.ok_or_else(|| NotExpressible::new("step.t: missing"))
    }

    pub(crate) fn op(&self) -> Result<&str, NotExpressible> {
        self.op.as_deref().ok_or_else(|| NotExpressible::new("step.op: missing"))
    }
}

/// A file of vectors.
#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub(crate) vectors: Vec<Vector>,
    /// Whether it is the project's, so that the lists of decisions must fit exactly.
    #[serde(skip)]
    pub(crate) own: bool,
}

pub(crate) const OWN: &str = include_str!("../../conformance/vectors.json");

pub(crate) fn load() -> File {
    let Some(path) = std::env::var_os("FUSEBOX_VECTORS") else {
        return File { own: true, ..serde_json::from_str(OWN).unwrap() };
    };
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
