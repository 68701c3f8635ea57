//! The layers of a call, outermost first, as an `order` lists them: `retry(2, delay 1000)`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fusebox::{
    Backoff, Breaker, BreakerConfig, Bulkhead, CountWindow, FailureCount, FixedWindow, Limiter, Shared, SharedGate,
};

use super::gates::AnyGate;
use super::level::{Hedges, Retries};
use crate::fields::{Fields, NotExpressible};
use crate::vector::Unit;

#[derive(Clone)]
pub(crate) enum Layer {
    Fallback,
    /// In nanoseconds, as all times below.
    Timeout(u64),
    Retry(Retries),
    Hedge(Hedges),
    Gate(Rc<dyn AnyGate>),
}

/// 32 calls.
type LastCalls = CountWindow<1>;

pub(crate) type SharedBreaker = Shared<RefCell<Breaker<FailureCount<LastCalls>>>>;

/// The layers of a configuration, and the breaker among them.
#[derive(Clone, Default)]
pub(crate) struct Layers {
    pub(crate) list: Vec<Layer>,
    pub(crate) breaker: Option<Rc<SharedBreaker>>,
}

impl From<Vec<Layer>> for Layers {
    fn from(list: Vec<Layer>) -> Self {
        Self { list, breaker: None }
    }
}

impl Layers {
    /// What `order` lists.
    pub(crate) fn ordered(fields: &Fields<'_>, unit: Unit) -> Result<Self, NotExpressible> {
        let mut layers = Self::default();
        for value in fields.list("order")? {
            let text = value.as_str().ok_or_else(|| fields.cannot("order", "not texts"))?;
            let layer = Words::read(text).and_then(|words| layers.read(words, unit)).map_err(|why| {
                NotExpressible::new(format!("{}: in {text}: {}", fields.at("order"), why.0)) // which of the list
            })?;
            layers.list.push(layer);
        }
        Ok(layers)
    }

    fn read(&mut self, mut words: Words<'_>, unit: Unit) -> Result<Layer, NotExpressible> {
        let layer = match words.name {
            "fallback" => Layer::Fallback,
            "timeout" => Layer::Timeout(unit.nanos(words.needed("")?)),
            "retry" => Layer::Retry(words.retries(unit)?),
            "hedge" => Layer::Hedge(words.hedges(unit)?),
            "breaker" => Layer::Gate(self.breaker(&mut words, unit)?),
            "rate_limiter" => Layer::Gate(words.rate_limiter()?),
            "bulkhead" => Layer::Gate(words.bulkhead(unit)?),
            _ => return Err(NotExpressible::new("not known to the runner")),
        };
        words.finish()?;
        Ok(layer)
    }

    fn breaker(&mut self, words: &mut Words<'_>, unit: Unit) -> Result<Rc<dyn AnyGate>, NotExpressible> {
        let is_open = words.took(&[", open"]);
        let failures = words.take("failures").or_else(|| words.take("failure")).or(is_open.then_some(1.0));
        let failures = failures.ok_or_else(|| NotExpressible::new("after how many failures?"))?;
        let rule = FailureCount::<LastCalls>::of_last(failures as u16, failures as u32)?;
        let mut config = BreakerConfig::builder(rule);
        if let Some(delay) = words.take("delay") {
            config = config.open_interval(Backoff::constant(Duration::from_nanos(unit.nanos(delay)))?);
        }
        let mut breaker = Breaker::new(config.build()?);
        if is_open {
            breaker.trip(unit.at(0.0));
        }
        let breaker = Rc::new(Shared::new(RefCell::new(breaker)));
        if self.breaker.replace(breaker.clone()).is_some() {
            return Err(NotExpressible::new("one breaker only, else it is not clear which one is looked at"));
        }
        Ok(breaker)
    }
}

/// `name(words number, number words)tail`.
struct Words<'a> {
    name: &'a str,
    /// The words beside each number, and the number.
    numbers: Vec<(String, f64)>,
    tail: &'a str,
}

impl<'a> Words<'a> {
    fn read(text: &'a str) -> Result<Self, NotExpressible> {
        let Some((name, rest)) = text.split_once('(') else {
            let (name, tail) = text.split_at(text.find(',').unwrap_or(text.len()));
            return Ok(Self { name, numbers: vec![], tail });
        };
        let (inside, tail) = rest.split_once(')').ok_or_else(|| NotExpressible::new("no closing bracket"))?;
        let numbers = inside.split(',').map(number_in).collect::<Result<_, _>>()?;
        Ok(Self { name, numbers, tail })
    }

    fn take(&mut self, words: &str) -> Option<f64> {
        let at = self.numbers.iter().position(|(beside, _)| beside == words)?;
        Some(self.numbers.remove(at).1)
    }

    fn needed(&mut self, words: &str) -> Result<f64, NotExpressible> {
        self.take(words).ok_or_else(|| NotExpressible::new(format!("a number {words} is needed here")))
    }

    /// Whether the tail is one of `texts`.
    fn took(&mut self, texts: &[&str]) -> bool {
        let is_one = texts.contains(&self.tail);
        if is_one {
            self.tail = "";
        }
        is_one
    }

    /// That nothing is left.
    fn finish(self) -> Result<(), NotExpressible> {
        let left =
            self.numbers.first().map(|(words, _)| words.as_str()).or((!self.tail.is_empty()).then_some(self.tail));
        left.map_or(Ok(()), |words| Err(NotExpressible::new(format!("{words:?} is not known to the runner"))))
    }

    /// The number alone counts retries.
    fn retries(&mut self, unit: Unit) -> Result<Retries, NotExpressible> {
        let retries = self.take("max_retries").or_else(|| self.take(""));
        let attempts = retries.map(|retries| retries + 1.0).or_else(|| self.take("max_attempts"));
        let attempts = attempts.ok_or_else(|| NotExpressible::new("how many?"))?;
        let delay = self.take("delay").map(|delay| Backoff::constant(Duration::from_nanos(unit.nanos(delay))));
        let backoff = delay.transpose()?.unwrap_or(Backoff::IMMEDIATE);
        let max_duration = self.take("max_duration").map(|max| unit.nanos(max));
        Ok(Retries { attempts: attempts as u16, backoff, max_duration })
    }

    fn hedges(&mut self, unit: Unit) -> Result<Hedges, NotExpressible> {
        let max = self.take("max").unwrap_or(1.0);
        let attempts = (max as usize).saturating_add(1);
        Hedges { attempts, delay: unit.nanos(self.needed("delay")?), fails_fast: false }.checked("max")
    }

    /// `3 per 1 s`: so many in each window.
    fn rate_limiter(&mut self) -> Result<Rc<dyn AnyGate>, NotExpressible> {
        let (beside, count) = self.numbers.pop().ok_or_else(|| NotExpressible::new("a rate is needed here"))?;
        let mut period = beside.strip_prefix("per ").unwrap_or_default().split(' ');
        let length = period.next().and_then(|n| n.parse().ok());
        let length = match (length, period.next()) {
            (Some(n), Some("s")) => Duration::from_secs(n),
            (Some(n), Some("ms")) => Duration::from_millis(n),
            _ => return Err(NotExpressible::new(format!("{beside:?} is no rate"))),
        };
        Ok(Rc::new(Shared::new(RefCell::new(Limiter::new(FixedWindow::new(count as u32, length)?)))))
    }

    /// `bulkhead(2), both slots taken`.
    fn bulkhead(&mut self, unit: Unit) -> Result<Rc<dyn AnyGate>, NotExpressible> {
        let limit = std::num::NonZeroU32::new(self.needed("")? as u32);
        let limit = limit.ok_or_else(|| NotExpressible::new("a zero limit is unrepresentable"))?;
        let bulkhead = Shared::new(RefCell::new(Bulkhead::new(limit)));
        if self.took(&[", both slots taken", ", all slots taken"]) {
            // For ever: nobody gives these back.
            while SharedGate::try_acquire(&bulkhead, unit.at(0.0)).is_ok() {}
        }
        Ok(Rc::new(bulkhead))
    }
}

/// A number, and the words before and after it.
fn number_in(text: &str) -> Result<(String, f64), NotExpressible> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| if word == "unlimited" { Some(f64::INFINITY) } else { word.parse().ok() };
    let found = words.iter().enumerate().find_map(|(at, word)| Some((at, number(word)?)));
    let Some((at, number)) = found.filter(|(_, number)| *number >= 0.0) else {
        return Err(NotExpressible::new(format!("no number in {text:?}, or one below zero")));
    };
    words.remove(at);
    Ok((words.join(" "), number))
}
