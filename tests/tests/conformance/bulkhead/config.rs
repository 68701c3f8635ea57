//! A vector's configuration in fusebox's words.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::fields::{Fields, NotExpressible};
use crate::vector::Vector;

/// A bulkhead, and a line before it if there is one.
pub(crate) struct Spec {
    pub(crate) limit: NonZeroU32,
    /// How many may wait, and for how long.
    pub(crate) line: Option<(usize, Duration)>,
    /// Their names and reserved shares in permille; none: one bulkhead for all.
    pub(crate) partitions: Vec<(String, u16)>,
}

/// Of a line without a bound. More than any vector has waiting.
pub(crate) const UNBOUNDED: usize = 64;

/// Of a wait without a bound.
const FOR_EVER: Duration = Duration::from_secs(3_600 * 24 * 365 * 100);

impl Spec {
    pub(crate) fn read(vector: &Vector) -> Result<Self, NotExpressible> {
        let fields = Fields::new("config", &vector.config);
        fields.ignore("note");
        let setting = if fields.value("limit").is_some() { "limit" } else { "max_concurrent" };
        let limit = fields.needed(setting, fields.count(setting)?)?;
        let limit = NonZeroU32::new(limit).ok_or_else(|| fields.cannot(setting, "a zero limit"))?;
        let places = match fields.value("queue").and_then(|value| value.as_str()) {
            Some("unbounded") => Some(UNBOUNDED),
            _ => fields.count("queue")?.map(|places| places as usize),
        };
        let max_wait = fields.number("max_wait")?.map(|wait| Duration::from_nanos(vector.unit.nanos(wait)));
        let line = match (places, max_wait) {
            (None, None) | (Some(0), _) | (_, Some(Duration::ZERO)) => None,
            (places, max_wait) => Some((places.unwrap_or(UNBOUNDED), max_wait.unwrap_or(FOR_EVER))),
        };
        let partitions = read_partitions(&fields)?;
        fields.finish()?;
        Ok(Self { limit, line, partitions })
    }
}

fn read_partitions(fields: &Fields<'_>) -> Result<Vec<(String, u16)>, NotExpressible> {
    let Some(partitions) = fields.object("partitions")? else { return Ok(Vec::new()) };
    let names = fields.value("partitions").and_then(|value| value.as_object()).into_iter().flat_map(|map| map.keys());
    let share = |name: &String| {
        let share = partitions.needed(name, partitions.number(name)?)? * 1_000.0;
        let permille = share.round();
        if (share - permille).abs() > 1e-6 || !(0.0..=1_000.0).contains(&permille) {
            return Err(partitions.cannot(name, "no whole permille"));
        }
        Ok((name.clone(), permille as u16))
    };
    names.map(share).collect()
}
