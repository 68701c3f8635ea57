//! Area `adaptive_limit`: vectors on [`fusebox::AdaptiveLimit`]s that move as their rules are published.
//!
//! [`config`] reads a configuration into a limit, [`drive`] makes calls of given times and numbers in flight. A limit
//! is compared without its fraction, as the vectors have it.

mod config;
mod drive;
mod probe;

use fusebox::adaptive::Headroom;
use serde_json::{Map, Value};

use self::config::Spec;
use self::drive::Call;
use crate::fields::{Fields, NotExpressible};
use crate::report::{Area, Findings};
use crate::vector::{Unit, Vector};

pub(crate) const AREA: Area = Area { names: &["adaptive_limit"], run, differ: &[], gaps: &[] };

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let fields = Fields::new("config", &vector.config);
    if fields.text("algorithm")? == Some("gradient") {
        return probe::run(vector, &fields);
    }
    let mut findings = Findings::default();
    if !vector.steps.is_empty() {
        let spec = Spec::read(vector, fields)?;
        steps(vector, &spec, &mut findings)?;
        return Ok(findings);
    }
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        if case.value("samples").is_some() {
            samples(vector, number, case, &mut findings)?;
        } else if case.value("factor").is_some() {
            bound(number, case, &mut findings)?;
        } else {
            single(vector, number, case, &mut findings)?;
        }
    }
    Ok(findings)
}

fn steps(vector: &Vector, spec: &Spec, findings: &mut Findings) -> Result<(), NotExpressible> {
    let mut calls = Vec::new();
    for step in &vector.steps {
        if step.op()? != "sample" {
            return Err(NotExpressible::new("step.op: not known to the runner"));
        }
        let rest = Fields::new("step", &step.rest);
        calls.push(call(vector.unit, step.t()?, &rest)?);
        rest.finish()?;
    }
    for ((number, step), told) in (1..).zip(&vector.steps).zip(drive::limits(spec, &calls)?) {
        compare("step", number, &step.expect, told, findings)?;
    }
    Ok(())
}

/// A history of its own, with a window.
fn samples(vector: &Vector, number: u32, case: Fields<'_>, findings: &mut Findings) -> Result<(), NotExpressible> {
    let mut spec = Spec::read(vector, Fields::new("config", &vector.config))?;
    spec.within(&case, vector.unit)?;
    let list = case.list("samples")?;
    case.finish()?;
    let (mut calls, mut expected) = (Vec::new(), Vec::new());
    for sample in list {
        let map = sample.as_object().ok_or_else(|| NotExpressible::new("case.samples: not objects"))?;
        let fields = Fields::new("sample", map);
        let t = fields.number("t")?;
        calls.push(call(vector.unit, fields.needed("t", t)?, &fields)?);
        expected.push(fields.count("limit")?);
        fields.finish()?;
    }
    for ((n, expected), told) in (1..).zip(expected).zip(drive::limits(&spec, &calls)?) {
        findings.compare(&format!("case {number}, sample {n}: limit"), expected, Some(u32::from(told)));
    }
    Ok(())
}

/// One call on a limit of its own.
fn single(vector: &Vector, number: u32, case: Fields<'_>, findings: &mut Findings) -> Result<(), NotExpressible> {
    let mut spec = Spec::read(vector, Fields::new("config", &vector.config))?;
    spec.limits(&case)?;
    let call = call(vector.unit, 0.0, &case)?;
    let expected = case.count("limit")?;
    case.finish()?;
    let told = drive::limits(&spec, &[call])?.last().copied().map(u32::from);
    findings.compare(&format!("case {number}: limit"), expected, told);
    Ok(())
}

/// How far above what is in flight a limit may be.
fn bound(number: u32, case: Fields<'_>, findings: &mut Findings) -> Result<(), NotExpressible> {
    let permille = |key| Ok::<_, NotExpressible>(case.number(key)?.map(|factor| (factor * 1_000.0).round() as u32));
    let factor = permille("factor")?;
    let (decay, least) = (permille("decay")?.unwrap_or(0), permille("min_factor")?.unwrap_or(1_000));
    let headroom = Headroom::new(case.needed("factor", factor)?)?.decays(decay, least)?;
    let in_flight = case.count("inflight")?.and_then(|n| u16::try_from(n).ok());
    let told = headroom.bound(case.needed("inflight", in_flight)?);
    let told = f64::from(told.to_bits()) / 65_536.0;
    let (expected, tolerance) = (case.number("max")?, case.number("tolerance")?.unwrap_or(0.0));
    let expected = case.needed("max", expected)?;
    case.finish()?;
    // What is a whole number in the vector is whole in ours but for the last digits of its fraction.
    let near = (told - expected).abs() <= tolerance + expected * 1e-4;
    findings.compare(&format!("case {number}: max"), expected, if near { expected } else { told });
    Ok(())
}

fn call(unit: Unit, t: f64, fields: &Fields<'_>) -> Result<Call, NotExpressible> {
    let in_flight = fields.count("inflight")?.and_then(|n| u16::try_from(n).ok());
    Ok(Call {
        end: unit.at(t),
        rtt: unit.nanos(fields.number("rtt")?.unwrap_or(1.0)),
        // None in flight can only be meant without the call itself.
        in_flight: fields.needed("inflight", in_flight)?.max(1),
        dropped: fields.flag("dropped")?,
    })
}

fn compare(
    what: &str,
    number: u32,
    expect: &Map<String, Value>,
    told: u16,
    findings: &mut Findings,
) -> Result<(), NotExpressible> {
    let fields = Fields::new("expect", expect);
    findings.compare(&format!("{what} {number}: limit"), fields.count("limit")?, Some(told.into()));
    fields.finish()
}
