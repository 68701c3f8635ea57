//! Vectors of short histories instead of steps.

use fusebox::{Gate, Outcome, Snapshot, State};

use super::config::{PER_ATTEMPT, Rule, Spec};
use super::expect;
use super::subject::{Manual, Subject};
use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::Vector;

pub(crate) fn run(vector: &Vector, specs: &[Spec]) -> Result<Findings, NotExpressible> {
    let [spec] = specs else { return Err(NotExpressible::new("config.any_of: with cases")) };
    let mut findings = Findings::default();
    for (number, case) in (1..).zip(&vector.cases) {
        let fields = Fields::new("case", case);
        if fields.value("cycles").is_some() {
            cycles(vector, number, fields, spec, &mut findings)?;
        } else {
            late_result(vector, number, fields, spec, &mut findings)?;
        }
    }
    Ok(findings)
}

/// A call that is permitted while closed ends when the breaker is in another phase.
fn late_result(
    vector: &Vector,
    number: u32,
    fields: Fields<'_>,
    spec: &Spec,
    findings: &mut Findings,
) -> Result<(), NotExpressible> {
    let outcome = match fields.text("result")? {
        Some("failure") => Outcome::Failure,
        Some("success") => Outcome::Success,
        _ => return Err(fields.cannot("result", "not a result")),
    };
    let threshold = if fields.flag("threshold_reached")? { 1 } else { u32::MAX };
    let mut subject = Subject::new(&[Spec { rules: vec![Rule::InARow(threshold)], ..spec.clone() }])?;
    let now = vector.unit.at(0.0);
    let permit = subject.try_acquire(now).map_err(|_| NotExpressible::new("case: a closed breaker refuses"))?;
    let way: &[Manual] = match fields.text("state_when_result_arrives")? {
        Some("closed") => &[],
        Some("open") => &[Manual::Trip],
        Some("half_open") => &[Manual::Trip, Manual::HalfOpen],
        Some("isolated") => &[Manual::ForceOpen],
        _ => return Err(fields.cannot("state_when_result_arrives", "no such state")),
    };
    for manual in way {
        subject.by_hand(*manual, now);
    }
    subject.release(permit, outcome, now);
    let expected = fields.text("state_after")?.map(|state| if state == "isolated" { "forced_open" } else { state });
    findings.compare(&format!("case {number}: state_after"), expected, Some(expect::name(subject.snapshot(now))));
    fields.finish()
}

/// Goes through phases, and tells from each open interval which attempt it was computed for.
fn cycles(
    vector: &Vector,
    number: u32,
    fields: Fields<'_>,
    spec: &Spec,
    findings: &mut Findings,
) -> Result<(), NotExpressible> {
    let text = fields.needed("cycles", fields.text("cycles")?)?;
    let phases = parse_cycles(text).ok_or_else(|| fields.cannot("cycles", "unread"))?;
    let mut subject = Subject::new(std::slice::from_ref(spec))?;
    let mut now = vector.unit.at(0.0);
    let mut seen = Vec::new();
    for phase in phases {
        let permit = subject.try_acquire(now).map_err(|_| fields.cannot("cycles", "cannot be gone through"))?;
        if phase == State::Closed {
            subject.release(permit, Outcome::Success, now);
        } else {
            subject.release(permit, Outcome::Failure, now);
            subject.by_hand(Manual::Trip, now);
            let interval = subject.open_for(now).unwrap_or(0);
            seen.push(interval.checked_div(PER_ATTEMPT.as_nanos() as u64).unwrap_or(0) - 1);
            now = now.after(interval);
            subject.handle_timeout(now);
        }
        let Snapshot { state, .. } = subject.snapshot(now);
        findings.compare(&format!("case {number}: phase {}", seen.len()), phase, state);
    }
    let expected = fields.list("half_open_attempts_seen")?.iter().filter_map(serde_json::Value::as_u64).collect();
    findings.compare(&format!("case {number}: half_open_attempts_seen"), expected, seen);
    fields.finish()
}

/// `closed, then 5 x (open, half-open), then closed`: the state at the end of each.
fn parse_cycles(text: &str) -> Option<Vec<State>> {
    let mut phases = Vec::new();
    for part in text.split(", then ") {
        match part.split_once(" x ") {
            None if part == "closed" => phases.push(State::Closed),
            Some((times, "(open, half-open)")) => {
                phases.extend(std::iter::repeat_n(State::HalfOpen, times.parse().ok()?));
            }
            _ => return None,
        }
    }
    Some(phases)
}
