//! Area `retry_budget`: vectors on [`fusebox::RetryBudget`] with the preset that the fields of the configuration belong to,
//! and on [`fusebox::ConcurrencyBudget`] where it counts what is in flight.

use std::cell::RefCell;
use std::time::Duration;

use fusebox::budget::{After, InFlight};
use fusebox::{Budget, BudgetConfig, ConcurrencyBudget, Instant, Outcome, RetryBudget, Shared, SharedBudget};
use serde_json::Value;

use crate::call::{Rig, Setup, layers::Layer, level::Retries, script::Judge};
use crate::fields::{Fields, NotExpressible};
use crate::hedge;
use crate::report::{Area, Differs, Findings, Ground};
use crate::vector::{Step, Unit, Vector};

pub(crate) const AREA: Area = Area { names: &["retry_budget"], run, differ: DIFFER, gaps: &[] };

const DIFFER: &[Differs] = &[Differs {
    id: "fsgo-rb-03",
    at: &["step 2: result"],
    ground: Ground::Choice,
    why: "\"a refused retry returns the operation's own error\"; that the budget refused is its cause",
}];

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let config = Fields::new("config", &vector.config);
    for described in ["clock", "counts", "allow", "active"] {
        config.ignore(described);
    }
    let mut findings = Findings::default();
    if config.value("capacity").is_some() {
        quota(vector, &config, &mut findings)?;
    } else if config.value("budget_percent").is_some() {
        limits(vector, &config, &mut findings)?;
    } else {
        let mut subject = Subject::read(vector, &config)?;
        for (number, step) in (1..).zip(&vector.steps) {
            if step.op()? == "run" {
                subject.run(step, number, vector.unit, &mut findings)?;
                continue;
            }
            let now = vector.unit.at(step.t()?);
            let rest = Fields::new("step", &step.rest);
            let mut granted = 0;
            for _ in 0..step.n {
                granted += subject.act(step.op()?, &rest, now)?;
            }
            rest.finish()?;
            let expect = Fields::new("expect", &step.expect);
            subject.compare(&expect, number, granted, now, &mut findings)?;
            expect.finish()?;
        }
    }
    config.finish()?;
    Ok(findings)
}

/// A quota that is taken from and given to: what a retry costs and what a success pays in.
fn quota(vector: &Vector, config: &Fields<'_>, findings: &mut Findings) -> Result<(), NotExpressible> {
    let capacity = config.needed("capacity", config.count("capacity")?)?;
    let now = vector.unit.at(0.0);
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        let [first, then, release] = [case.count("acquire")?, case.count("then_acquire")?, case.count("release")?];
        let or_one = |cost: Option<u32>| cost.filter(|cost| *cost > 0).unwrap_or(1);
        let config = BudgetConfig::<1>::builder().deposit_permille(0).floor(0, 0).never_expires().start_full();
        let costs = config.capacity(capacity).costs(or_one(first), or_one(then), 1);
        let mut budget = RetryBudget::new(costs.success_permille(release.unwrap_or(0) * 1_000).build()?);
        if first.is_some_and(|cost| cost > 0) {
            let _first = budget.try_withdraw(After::Failure, now).map_err(|_| case.cannot("acquire", "refused"))?;
        }
        if release.is_some() {
            budget.settle(None, Outcome::Success, now);
        }
        if then.is_some() {
            let granted = budget.try_withdraw(After::Timeout, now).is_ok();
            findings.compare(&format!("case {number}: granted"), case.flag("granted")?, granted);
        }
        let available = case.count("available")?.map(u128::from);
        findings.compare(&format!("case {number}: available"), available, Some(budget.balance(now).whole()));
        case.finish()?;
    }
    Ok(())
}

/// How many retries there can be beside so many calls.
fn limits(vector: &Vector, config: &Fields<'_>, findings: &mut Findings) -> Result<(), NotExpressible> {
    let percent = config.needed("budget_percent", config.count("budget_percent")?)?;
    let minimum = config.needed("min_retry_concurrency", config.count("min_retry_concurrency")?)?;
    let now = vector.unit.at(0.0);
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        let mut budget = ConcurrencyBudget::new(percent * 10, minimum)?;
        for _ in 0..case.count("active")?.unwrap_or(0) + case.count("pending")?.unwrap_or(0) {
            budget.deposit(now);
        }
        let most = (0..1_000_u32).find(|_| budget.try_withdraw(After::Failure, now).is_err());
        findings.compare(&format!("case {number}: max_retries"), case.count("max_retries")?, most);
        case.finish()?;
    }
    Ok(())
}

enum Subject {
    /// Finagle's.
    Share(Box<RetryBudget<10>>),
    /// gRPC's, and whether the last failure may be retried.
    Throttle(Box<RetryBudget<1>>, Option<bool>),
    /// By concurrency: the retries in flight, and what whole calls go through.
    InFlight { budget: Box<Shared<RefCell<ConcurrencyBudget>>>, retries: Vec<InFlight>, calls: Option<Setup> },
}

impl Subject {
    fn read(vector: &Vector, config: &Fields<'_>) -> Result<Self, NotExpressible> {
        if let Some(percent) = config.number("percent")? {
            let ttl = config.needed("ttl", config.number("ttl")?)?;
            let ttl = Duration::from_nanos(vector.unit.nanos(ttl));
            let floor = config.count("min_per_s")?.unwrap_or(0);
            let config = BudgetConfig::finagle((percent * 1_000.0).round() as u32, ttl, floor)?;
            return Ok(Self::Share(Box::new(RetryBudget::new(config))));
        }
        if let Some(tokens) = config.count("max_tokens")? {
            let ratio = config.needed("token_ratio", config.number("token_ratio")?)?;
            let config = BudgetConfig::grpc(tokens, (ratio * 1_000.0).round() as u32)?;
            return Ok(Self::Throttle(Box::new(RetryBudget::new(config)), None));
        }
        let rate = config.needed("max_rate", config.number("max_rate")?)?;
        let minimum = config.needed("min_concurrency", config.count("min_concurrency")?)?;
        let calls = match (config.object("retry")?, config.object("hedge")?) {
            (Some(retry), None) => {
                let layers = vec![Layer::Retry(Retries::read(&retry, vector)?)].into();
                let setup = Setup { layers, judge: Judge::read(&retry)? };
                retry.finish()?;
                Some(setup)
            }
            (None, Some(hedge)) => {
                let setup = hedge::read(&hedge, vector)?;
                hedge.finish()?;
                Some(setup)
            }
            (None, None) => None,
            (Some(_), Some(_)) => return Err(config.cannot("hedge", "retries or hedges")),
        };
        let budget = ConcurrencyBudget::new((rate * 1_000.0).round() as u32, minimum)?;
        Ok(Self::InFlight { budget: Box::new(Shared::new(RefCell::new(budget))), retries: vec![], calls })
    }

    /// Does what a step says once; how many retries were granted.
    fn act(&mut self, op: &str, rest: &Fields<'_>, now: Instant) -> Result<u32, NotExpressible> {
        let unknown = || NotExpressible::new(format!("step.op = {op}: not known to the runner"));
        match (self, op) {
            (_, "check") => Ok(0),
            (Self::Share(budget), "deposit" | "deposit_then_try_withdraw" | "try_withdraw") => {
                if op != "try_withdraw" {
                    budget.deposit(now);
                }
                Ok(u32::from(op != "deposit" && budget.try_withdraw(After::Failure, now).is_ok()))
            }
            (Self::Throttle(budget, allowed), "failure") => {
                *allowed = Some(budget.try_withdraw(After::Failure, now).is_ok());
                Ok(0)
            }
            (Self::Throttle(budget, _), "success") => {
                budget.settle(None, Outcome::Success, now);
                Ok(0)
            }
            (Self::InFlight { budget, retries, .. }, "set") => {
                for _ in 0..rest.count("executions")?.unwrap_or(0) {
                    budget.deposit(now);
                }
                for _ in 0..rest.count("retries")?.unwrap_or(0) {
                    let retry = budget.try_withdraw(After::Failure, now);
                    retries.push(retry.map_err(|_| rest.cannot("retries", "more than it grants"))?);
                }
                Ok(0)
            }
            (Self::InFlight { budget, retries, .. }, "try_withdraw") => {
                let retry = budget.try_withdraw(After::Failure, now).ok();
                let granted = u32::from(retry.is_some());
                retries.extend(retry);
                Ok(granted)
            }
            (Self::InFlight { budget, retries, .. }, "release") => {
                let retry = retries.pop().ok_or_else(unknown)?;
                SharedBudget::release(budget.as_ref(), retry, Outcome::Success, now);
                Ok(0)
            }
            _ => Err(unknown()),
        }
    }

    /// Whole calls, which the budget pays for.
    fn run(&self, step: &Step, number: u32, unit: Unit, findings: &mut Findings) -> Result<(), NotExpressible> {
        let Self::InFlight { budget, calls: Some(setup), .. } = self else {
            return Err(NotExpressible::new("step.op = run: of what?"));
        };
        Rig::new(setup.clone(), budget.as_ref(), unit)?.step(step, number, &mut None, findings)
    }

    fn compare(
        &self,
        expect: &Fields<'_>,
        number: u32,
        granted: u32,
        now: Instant,
        findings: &mut Findings,
    ) -> Result<(), NotExpressible> {
        let at = |key: &str| format!("step {number}: {key}");
        if let Some(expected) = expect.value("granted") {
            let tolerance = expect.count("tolerance")?.unwrap_or(0);
            let expected = expected.as_bool().map(u32::from).or(expected.as_u64().map(|n| n as u32));
            let near = expected.filter(|expected| expected.abs_diff(granted) <= tolerance);
            findings.compare(&at("granted"), expected, near.or(Some(granted)));
        }
        match self {
            Self::Share(budget) => {
                if let Some(balance) = expect.count("balance")? {
                    findings.compare(&at("balance"), u128::from(balance), budget.balance(now).whole());
                }
            }
            Self::Throttle(budget, allowed) => {
                if let Some(tokens) = expect.number("tokens")? {
                    let got = budget.balance(now).billionths();
                    findings.compare(&at("tokens"), (tokens * 1e9).round() as u128, got);
                }
                if let Some(expected) = expect.value("retry_allowed").and_then(Value::as_bool) {
                    findings.compare(&at("retry_allowed"), Some(expected), *allowed);
                }
            }
            Self::InFlight { .. } => {}
        }
        Ok(())
    }
}
