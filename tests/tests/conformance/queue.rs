//! Area `queue`: folly's `CoDel`, on a [`fusebox::LevelingQueue`].
//!
//! A vector says how long what is dequeued has waited; here it was pushed so much earlier.

use std::time::Duration;

use fusebox::queue::{Codel, LevelConfig, LevelingQueue, Popped, Terms, Why};
use serde_json::{Map, Value};

use crate::fields::{Fields, NotExpressible};
use crate::report::{Area, Findings};
use crate::vector::{Unit, Vector};

pub(crate) const AREA: Area = Area { names: &["queue"], run, differ: &[], gaps: &[] };

/// Target and interval.
#[derive(Clone, Copy, Debug)]
struct Options(u64, u64);

impl Options {
    fn read(fields: &Fields<'_>, unit: Unit) -> Result<Self, NotExpressible> {
        let nanos = |key| fields.needed(key, fields.number(key)?).map(|n| unit.nanos(n));
        Ok(Self(nanos("target")?, nanos("interval")?))
    }

    fn codel(self) -> Result<Codel, NotExpressible> {
        Ok(Codel::new(Duration::from_nanos(self.0), Duration::from_nanos(self.1))?)
    }
}

fn config(config: &Map<String, Value>, unit: Unit) -> Result<Options, NotExpressible> {
    let fields = Fields::new("config", config);
    for (key, known) in [("algorithm", "folly_codel"), ("drop_over", "2*target")] {
        if fields.text(key)?.is_some_and(|value| value != known) {
            return Err(fields.cannot(key, "not known to the runner"));
        }
    }
    let options = Options::read(&fields, unit)?;
    fields.finish()?;
    Ok(options)
}

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let mut findings = Findings::default();
    let mut options = config(&vector.config, vector.unit)?;
    let builder = LevelConfig::builder().codel(options.codel()?);
    let mut queue: LevelingQueue<usize, 64> = LevelingQueue::new(builder.build()?);
    let mut pushes = pushes(vector)?.into_iter().peekable();
    for (number, step) in vector.steps.iter().enumerate() {
        let now = step.t()?;
        while let Some((item, since)) = pushes.next_if(|(_, since)| *since <= now) {
            queue.push(item, Terms::NONE, vector.unit.at(since)).map_err(|no| NotExpressible::new(no.to_string()))?;
        }
        let (rest, expect) = (Fields::new("step", &step.rest), Fields::new("expect", &step.expect));
        let at = |key| format!("step {}: {key}", number + 1);
        match step.op()? {
            "set" => {
                options = Options::read(&rest, vector.unit)?;
                queue.set_codel(Some(options.codel()?));
            }
            "dequeue" => {
                rest.ignore("delay");
                let (item, is_dropped) = match queue.pop(vector.unit.at(now)) {
                    Popped::Serve(queued) => (queued.item, false),
                    Popped::Unserved(not) if not.why == Why::Overloaded => (not.queued.item, true),
                    other => return Err(NotExpressible::new(format!("step.op = dequeue: {other:?}"))),
                };
                findings.compare(&at("item"), number, item);
                if expect.value("drop").is_some() {
                    findings.compare(&at("drop"), expect.flag("drop")?, is_dropped);
                }
                if let Some(load) = expect.count("load")? {
                    // folly's: the shortest wait in percent of what is waited for at most.
                    let percent = (100 * queue.shortest_wait(0)).checked_div(2 * options.0);
                    findings.compare(&at("load"), Some(u64::from(load)), percent.map(|percent| percent.min(100)));
                }
            }
            op => return Err(NotExpressible::new(format!("step.op = {op}: not known to the runner"))),
        }
        rest.finish()?;
        expect.finish()?;
    }
    Ok(findings)
}

/// What is dequeued in which step, and since when it has waited; in the order in which it comes.
fn pushes(vector: &Vector) -> Result<Vec<(usize, f64)>, NotExpressible> {
    let mut pushes = Vec::new();
    for (number, step) in vector.steps.iter().enumerate() {
        if step.op()? == "dequeue" {
            let rest = Fields::new("step", &step.rest);
            let delay = rest.needed("delay", rest.number("delay")?)?;
            pushes.push((number, step.t()? - delay));
        }
    }
    pushes.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    Ok(pushes)
}
