//! The runners of whole calls on other vectors than those of the file: each must end as its name says.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use serde_json::{Value, json};

use crate::AREAS;
use crate::report::Report;
use crate::vector::{File, OWN};

const VARIATIONS: &str = include_str!("variations.json");

/// How `vector` ends.
fn end_of(vector: &Value) -> &'static str {
    let file: File = serde_json::from_value(json!({ "vectors": [vector] })).unwrap();
    Report::over(&file, AREAS).end()
}

#[test]
fn variations_end_as_they_are_named() {
    let file: Value = serde_json::from_str(VARIATIONS).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let wrong = vectors.iter().filter(|vector| !vector["id"].as_str().unwrap().starts_with(end_of(vector)));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Value>::new());
    assert!(vectors.len() > 150);
}

const WHOLE_CALLS: [&str; 4] = ["composition", "hedge", "retry", "timeout"];

/// Another expectation than `expected`, in each place where there is one.
fn others(expected: &Value) -> Vec<Value> {
    match expected {
        Value::Number(n) => vec![json!(n.as_f64().unwrap() + 1.0), json!("many")],
        Value::Bool(b) => vec![json!(!b)],
        Value::String(s) => vec![json!(format!("{s}, almost"))],
        Value::Null => vec![json!(1)],
        Value::Object(fields) => {
            let other = |(key, value): (&String, &Value)| {
                let with = |other| {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), other);
                    Value::Object(fields)
                };
                others(value).into_iter().map(with).collect::<Vec<_>>()
            };
            fields.iter().flat_map(other).collect()
        }
        Value::Array(_) => vec![],
    }
}

#[test]
fn whatever_else_is_expected_of_a_whole_call_is_reported() {
    let file: Value = serde_json::from_str(OWN).unwrap();
    let mut tried = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let of_calls = WHOLE_CALLS.contains(&vector["area"].as_str().unwrap());
        if !of_calls || end_of(vector) != "agrees" {
            continue;
        }
        for (at, step) in vector["steps"].as_array().into_iter().flatten().enumerate() {
            for other in step.get("expect").map(others).unwrap_or_default() {
                let mut wrong = vector.clone();
                wrong["steps"][at]["expect"] = other;
                assert_ne!(end_of(&wrong), "agrees", "{wrong}");
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "{tried}");
}
