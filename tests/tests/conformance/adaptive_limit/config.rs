//! A vector's configuration.

use std::time::Duration;

use fusebox::adaptive::{AdaptiveBuilder, Headroom, LimitRule};
use fusebox::{AdaptiveConfig, Aimd, Vegas};

use crate::fields::{Fields, NotExpressible};
use crate::vector::{Unit, Vector};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    Aimd(Aimd),
    Vegas(Vegas),
}

/// A limit to be made.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) rule: Rule,
    initial: u16,
    max: u16,
    no_load: Option<u64>,
    headroom: Headroom,
}

fn permille(ratio: f64) -> u16 {
    (ratio * 1_000.0).round() as u16
}

impl Spec {
    pub(crate) fn read(vector: &Vector, fields: Fields<'_>) -> Result<Self, NotExpressible> {
        let no_load = fields.number("baseline_rtt")?.map(|rtt| vector.unit.nanos(rtt));
        let rule = match fields.text("algorithm")? {
            Some("aimd") => {
                let backoff = fields.number("backoff_ratio")?;
                Rule::Aimd(Aimd::new(permille(fields.needed("backoff_ratio", backoff)?))?.of_limit())
            }
            Some("vegas") => Rule::Vegas(vegas(&fields)?.against_shortest()),
            // failsafe-go's has Vegas' bounds, and never jumps.
            None if no_load.is_some() => Rule::Vegas(vegas(&fields)?.without_jumps()),
            _ => return Err(fields.cannot("algorithm", "not known to the runner")),
        };
        let headroom = headroom(vector, &fields)?;
        let mut spec = Self { rule, initial: 20, max: 200, no_load, headroom };
        spec.limits(&fields)?;
        fields.finish()?;
        Ok(spec)
    }

    /// Reads the limits over those that are there.
    pub(crate) fn limits(&mut self, fields: &Fields<'_>) -> Result<(), NotExpressible> {
        for (key, limit) in [("initial", &mut self.initial), ("max", &mut self.max)] {
            if let Some(count) = fields.count(key)? {
                *limit = u16::try_from(count).map_err(|_| fields.cannot(key, "above 65535"))?;
            }
        }
        Ok(())
    }

    /// Reads the window of the headroom.
    pub(crate) fn within(&mut self, fields: &Fields<'_>, unit: Unit) -> Result<(), NotExpressible> {
        if let Some(window) = fields.number("window")?.filter(|window| *window > 0.0) {
            self.headroom = self.headroom.within(Duration::from_nanos(unit.nanos(window)))?;
        }
        Ok(())
    }

    pub(crate) fn config<A: LimitRule>(&self, rule: A) -> Result<AdaptiveConfig<A>, NotExpressible> {
        let builder: AdaptiveBuilder<A> = AdaptiveConfig::builder(rule)
            .limits(1, self.initial, self.max)
            .headroom(self.headroom)
            .timeout(Duration::from_secs(3_600))
            .on_every_call()
            .never_probe();
        let known = self.no_load.map(|nanos| builder.no_load(Duration::from_nanos(nanos)));
        Ok(known.unwrap_or(builder).build()?)
    }
}

/// What is in flight bounds the limit: twice of it with concurrency-limits, five times, unless set, with failsafe-go.
fn headroom(vector: &Vector, fields: &Fields<'_>) -> Result<Headroom, NotExpressible> {
    let factor = fields.number("max_factor")?;
    if !vector.system.starts_with("failsafe-go") {
        return Ok(Headroom::DEFAULT);
    }
    Ok(Headroom::new((factor.unwrap_or(5.0) * 1_000.0).round() as u32)?.lowers())
}

fn vegas(fields: &Fields<'_>) -> Result<Vegas, NotExpressible> {
    // In logarithms of the limit.
    let times = |key| match fields.text(key)? {
        None => Ok(None),
        Some(text) => {
            let times = text.split_once("*log10").and_then(|(times, _)| times.parse().ok());
            times.map(Some).ok_or_else(|| fields.cannot(key, "not so many logarithms"))
        }
    };
    let mut rule = Vegas::new(times("alpha")?.unwrap_or(3), times("beta")?.unwrap_or(6))?;
    match fields.text("decrease")? {
        None => {}
        Some("halve") => rule = rule.falls_to(500)?,
        Some(_) => return Err(fields.cannot("decrease", "not known to the runner")),
    }
    if let Some(smoothing) = fields.number("smoothing")? {
        rule = rule.smoothing(permille(smoothing))?;
    }
    Ok(rule)
}
