//! Area `retry`: whole calls, and the single steps of [`fusebox::Retry`] where a vector tells of these.

use std::time::Duration;

use fusebox::budget::After;
use fusebox::{Budget, BudgetConfig, Cause, Ended, Instant, NoBudget, Plan, RetryBudget, RetryPolicy, Step, Verdict};
use serde_json::Value;

use crate::backoff::Shape;
use crate::call::layers::{Layer, Layers};
use crate::call::{self, Setup, level::Retries, script::Judge};
use crate::fields::{Fields, NotExpressible};
use crate::report::{Area, Differs, Findings, Ground};
use crate::vector::{self, Unit, Vector};

pub(crate) const AREA: Area = Area { names: &["retry"], run, differ: DIFFER, gaps: &[] };

const DIFFER: &[Differs] = &[Differs {
    id: "boto-re-02",
    at: &["case 1: sleeps"],
    ground: Ground::Choice,
    why: "a call that is over says so at once; who polls in a loop has a pause of its own",
}];

fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let config = Fields::new("config", &vector.config);
    if !vector.cases.is_empty() {
        return run_cases(vector, config);
    }
    let is_whole = |step: &vector::Step| step.op().is_ok_and(|op| matches!(op, "run" | "start"));
    if !vector.steps.iter().any(is_whole) {
        return run_steps(vector, config);
    }
    call::run(vector, &NoBudget, |fields, vector| {
        let judge = Judge::read(fields)?;
        if fields.value("order").is_some() {
            return Ok(Setup { layers: Layers::ordered(fields, vector.unit)?, judge });
        }
        Ok(Setup { layers: vec![Layer::Retry(Retries::read(fields, vector)?)].into(), judge })
    })
}

/// How an attempt's failure was taken: after how long there is a retry, or why there is none.
type Answer = Result<u64, Option<Cause>>;

/// One call, told of failure after failure.
struct Failing<'p> {
    plan: fusebox::Retry<'p>,
    budget: Option<RetryBudget<1>>,
    now: Instant,
}

impl<'p> Failing<'p> {
    /// Its first attempt is out.
    fn new(policy: &'p RetryPolicy, budget: Option<RetryBudget<1>>, now: Instant) -> Self {
        let mut plan = policy.start(now, 0);
        plan.next(now);
        Self { plan, budget, now }
    }

    /// The attempt ends; if there is another one, it starts when it is due.
    fn ended(&mut self, ended: Ended) -> Answer {
        let (now, budget) = (self.now, &mut self.budget);
        let pay = |after: After| budget.as_mut().is_none_or(|budget| budget.try_withdraw(after, now).is_ok());
        self.plan.ended_if_paid(self.plan.attempts(), ended, now, pay);
        match self.plan.next(now) {
            Step::Wait { until: Some(until) } => {
                self.now = until;
                self.plan.next(until);
                Ok(until.nanos_since(now))
            }
            Step::Start { .. } => Ok(0),
            Step::Finish(Verdict::GaveUp(cause)) => Err(Some(cause)),
            _ => Err(None),
        }
    }
}

/// A quota as the AWS SDKs have it: each retry costs so much of it.
fn quota(config: &Fields<'_>, now: Instant) -> Result<Option<RetryBudget<1>>, NotExpressible> {
    let Some(quota) = config.count("quota")? else { return Ok(None) };
    let cost = config.count("cost")?.unwrap_or(1);
    let missing = cost.saturating_sub(quota);
    let budget = BudgetConfig::<1>::builder().deposit_permille(0).floor(0, 0).never_expires().start_full();
    let throttled = if missing > 0 { missing } else { cost };
    let budget = budget.capacity(quota.max(cost)).costs(cost, cost, throttled).build()?;
    let mut budget = RetryBudget::new(budget);
    if missing > 0 {
        // What is too little for one retry is what another kind of retry has left of it.
        drop(budget.try_withdraw(After::Throttled, now));
    }
    Ok(Some(budget))
}

fn run_steps(vector: &Vector, config: Fields<'_>) -> Result<Findings, NotExpressible> {
    let Retries { attempts, backoff, max_duration } = Retries::read(&config, vector)?;
    let mut policy = RetryPolicy::builder().attempts(attempts).backoff(backoff).max_hint(Duration::MAX);
    if let Some(max) = max_duration {
        policy = policy.deadline(Duration::from_nanos(max));
    }
    let (policy, quota) = (policy.build()?, quota(&config, vector.unit.at(0.0))?);
    config.finish()?;
    let mut findings = Findings::default();
    let mut call = Failing::new(&policy, quota, vector.unit.at(0.0));
    for (number, step) in (1..).zip(&vector.steps) {
        for _ in 0..step.n {
            call.step(step, number, vector.unit, &mut findings)?;
        }
    }
    Ok(findings)
}

impl Failing<'_> {
    fn step(
        &mut self,
        step: &vector::Step,
        number: u32,
        unit: Unit,
        findings: &mut Findings,
    ) -> Result<(), NotExpressible> {
        let rest = Fields::new("step", &step.rest);
        // Times of a vector leave out the delays, or not.
        self.now = self.now.max(unit.at(step.t()?));
        if let Some(attempt) = rest.count("attempt")? {
            findings.compare(&format!("step {number}: attempt"), attempt, self.plan.attempts().into());
        }
        let hint = rest.value("pushback").map(|hint| hint.as_f64().filter(|hint| *hint >= 0.0));
        let ended = match (step.op()?, hint) {
            ("success" | "ok", None) => Ended::Success,
            ("fail", None) => Ended::Retry { not_before: None },
            ("fail", Some(Some(hint))) => Ended::Retry { not_before: Some(self.now.after(unit.nanos(hint))) },
            // Below zero, or nonsense: "do not retry" (gRFC A6).
            ("fail", Some(None)) => Ended::Stop,
            (op, _) => return Err(NotExpressible::new(format!("step.op = {op}: not known to the runner"))),
        };
        rest.finish()?;
        let answer = self.ended(ended);
        self.compare(step, answer, number, unit, findings)
    }

    fn compare(
        &self,
        step: &vector::Step,
        answer: Answer,
        number: u32,
        unit: Unit,
        findings: &mut Findings,
    ) -> Result<(), NotExpressible> {
        let expect = Fields::new("expect", &step.expect);
        for key in step.expect.keys() {
            let at = format!("step {number}: {key}");
            match key.as_str() {
                "retry" => findings.compare(&at, expect.flag(key)?, answer.is_ok()),
                "delay" => findings.compare(&at, expect.number(key)?, answer.ok().map(|delay| unit.of_nanos(delay))),
                "reason" => findings.compare(&at, expect.text(key)?, answer.err().map(reason)),
                "quota" => {
                    let budget = self.budget.as_ref().ok_or_else(|| expect.cannot(key, "there is none"))?;
                    let quota = expect.count(key)?.map(u128::from);
                    findings.compare(&at, quota, Some(budget.balance(self.now).whole()));
                }
                _ => findings.skip(key, "fusebox has no such notion"),
            }
        }
        Ok(())
    }
}

fn reason(cause: Option<Cause>) -> &'static str {
    match cause {
        None => "success",
        Some(Cause::Exhausted) => "max_attempts",
        Some(Cause::BudgetExhausted) => "quota",
        Some(Cause::OutOfTime(_)) => "max_duration",
        Some(_) => "stopped",
    }
}

/// Calls whose first attempt fails: whether there is a retry, and how long the caller sleeps.
fn run_cases(vector: &Vector, config: Fields<'_>) -> Result<Findings, NotExpressible> {
    let backoff = Shape::of_retries(&config, vector)?;
    let mut findings = Findings::default();
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        case.ignore("long_poll"); // no call is special
        let policy = RetryPolicy::builder().attempts(2).backoff(backoff).build()?;
        let now = vector.unit.at(0.0);
        let mut call = Failing::new(&policy, quota(&config, now)?, now);
        let answer = call.ended(Ended::Retry { not_before: None });
        findings.compare(&format!("case {number}: retry"), case.flag("retry")?, answer.is_ok());
        let sleeps = vector.unit.of_nanos(answer.unwrap_or(0));
        findings.compare(&format!("case {number}: sleeps"), case.number("sleeps")?, Some(sleeps));
        case.finish()?;
    }
    config.finish()?;
    Ok(findings)
}

/// The area `backoff` has these: delays of a first retry, with a header of the callee's.
pub(crate) fn run_headers(vector: &Vector, config: Fields<'_>) -> Result<Findings, NotExpressible> {
    if config.text("retry_after")? != Some("x-amz-retry-after in ms") {
        return Err(config.cannot("retry_after", "not known to the runner"));
    }
    let backoff = Shape::of_retries(&config, vector)?;
    config.finish()?;
    let policy = RetryPolicy::builder().attempts(2).backoff(backoff).hint_on_top(Duration::from_secs(5)).build()?;
    let mut findings = Findings::default();
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        let mut call = Failing::new(&policy, None, vector.unit.at(0.0));
        let wish = case.value("header").and_then(Value::as_str).and_then(|header| header.parse().ok());
        let delay =
            call.ended(Ended::Retry { not_before: wish.map(|ms| call.now.saturating_add(Duration::from_millis(ms))) });
        let delay = delay.ok().map(|delay| vector.unit.of_nanos(delay));
        findings.compare(&format!("case {number}: delay"), case.number("delay")?, delay);
        case.finish()?;
    }
    Ok(findings)
}
