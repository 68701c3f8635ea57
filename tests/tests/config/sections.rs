//! Each section makes what its builder makes, of all settings and of none.

use std::time::Duration;

use fusebox::{
    Backoff, BudgetConfig, Call, Entropy, HedgePolicy, Instant, Jitter, Plan, Policy, Quota, RetryBudget, RetryPolicy,
};
use fusebox_drive::config::{AnyPolicy, BackoffSection, BudgetSection, PipelineConfig, RateLimitSection, from_toml};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn policy(text: &str) -> AnyPolicy {
    crate::toml(text).layers((), Entropy::new(1)).unwrap().policy
}

fn backoff(text: &str) -> Backoff {
    from_toml::<BackoffSection>(text).unwrap().build().unwrap()
}

fn quota(text: &str) -> Quota {
    from_toml::<RateLimitSection>(text).unwrap().build().unwrap()
}

fn budget(text: &str) -> BudgetConfig {
    from_toml::<BudgetSection>(text).unwrap().build().unwrap()
}

#[test]
fn a_policy() {
    assert_eq!(policy(""), AnyPolicy::Retry(RetryPolicy::ONCE));
    let builder = RetryPolicy::builder();
    assert_eq!(policy("[retry]"), AnyPolicy::Retry(builder.build().unwrap()));
    let limits = "[pipeline]\ndeadline = '2s'\nattempt_timeout = '300ms'\nwait_for_gates = true\n";
    let limited = builder.deadline(ms(2_000)).attempt_timeout(ms(300)).wait_for_gates();
    assert_eq!(policy(limits), AnyPolicy::Retry(limited.attempts(1).build().unwrap()));
    let text =
        "[retry]\nattempts = 5\nmax_hint = '5s'\nidempotent = true\nbackoff = { kind = 'constant', first = '7ms' }";
    let settled = limited.attempts(5).max_hint(ms(5_000)).idempotent().backoff(Backoff::constant(ms(7)).unwrap());
    assert_eq!(policy(&format!("{limits}{text}")), AnyPolicy::Retry(settled.build().unwrap()));
    let text = "[retry]\nhint_on_top = '3s'\nidempotent = false\n[pipeline]\nwait_for_gates = false";
    assert_eq!(policy(text), AnyPolicy::Retry(builder.hint_on_top(ms(3_000)).not_idempotent().build().unwrap()));

    let builder = HedgePolicy::builder(ms(30));
    assert_eq!(policy("[hedge]\ndelay = '30ms'"), AnyPolicy::Hedge(builder.build().unwrap()));
    let limited = builder.deadline(ms(2_000)).attempt_timeout(ms(300)).wait_for_gates();
    let text = format!("{limits}[hedge]\ndelay = '30ms'\nmax_hint = '5s'\nfail_fast = true\nidempotent = true");
    assert_eq!(policy(&text), AnyPolicy::Hedge(limited.max_hint(ms(5_000)).fail_fast().idempotent().build().unwrap()));
    let text = "[hedge]\ndelay = '30ms'\nfail_fast = false\nidempotent = false";
    assert_eq!(policy(text), AnyPolicy::Hedge(builder.not_idempotent().build().unwrap()));
}

#[test]
fn a_backoff() {
    let (a, b, cap) = (ms(10), ms(20), ms(100));
    assert_eq!(backoff("kind = 'immediate'"), Backoff::IMMEDIATE);
    assert_eq!(backoff("kind = 'constant'\nfirst = '10ms'"), Backoff::constant(a).unwrap());
    assert_eq!(
        backoff("kind = 'constant'\nfirst = '10ms'\ncap = '100ms'\nfloor = '10ms'"),
        Backoff::constant(a).unwrap().with_cap(cap).unwrap().with_floor(a).unwrap()
    );
    assert_eq!(
        backoff("kind = 'linear'\nfirst = '10ms'\nstep = '20ms'\ncap = '100ms'"),
        Backoff::linear(a, b, cap).unwrap()
    );
    let exponential = Backoff::exponential(a, cap).unwrap();
    let text = "kind = 'exponential'\nfirst = '10ms'\ncap = '100ms'\n";
    assert_eq!(backoff(text), exponential);
    assert_eq!(backoff(&format!("{text}factor_permille = 1600")), Backoff::exponential_by(1_600, a, cap).unwrap());
    assert_eq!(backoff("kind = 'fibonacci'\nfirst = '10ms'\ncap = '100ms'"), Backoff::fibonacci(a, cap).unwrap());
    let jitters = [
        ("none", Jitter::None),
        ("full", Jitter::Full),
        ("equal", Jitter::Equal),
        ("decorrelated", Jitter::Decorrelated),
        ("around'\njitter_permille = 200\n#'", Jitter::around(200).unwrap()),
    ];
    for (name, jitter) in jitters {
        assert_eq!(backoff(&format!("{text}jitter = '{name}'")), exponential.with_jitter(jitter));
    }
}

#[test]
fn a_quota() {
    assert_eq!(quota("count = 5"), Quota::per_second(5).unwrap());
    let text = "count = 5\nperiod = '1m'\nburst = 2\nmax_wait = '2s'\nmax_pause = '3s'\nmax_hint = '4s'";
    let all = Quota::new(5, ms(60_000)).unwrap().with_burst(2).unwrap().with_max_wait(ms(2_000));
    assert_eq!(quota(text), all.with_max_pause(ms(3_000)).unwrap().with_max_hint(ms(4_000)).unwrap());
}

#[test]
fn a_budget() {
    let builder = BudgetConfig::builder();
    assert_eq!(budget(""), builder.build().unwrap());
    assert_eq!(
        budget("never_expires = false\nstart_full = false\nrefund_on_success = false\nfailures_pay = false"),
        budget("")
    );
    assert_eq!(budget("deposit_permille = 1\nttl = '5s'"), builder.deposit_permille(1).ttl(ms(5_000)).build().unwrap());
    let floor = "floor = { per_second = 3, up_to = 4 }\n";
    assert_eq!(budget(floor), builder.floor(3, 4).build().unwrap());
    let text = "success_permille = 2\ncapacity = 50\nnever_expires = true\nstart_full = true\nkeep_above = 500\n\
                costs = { failure = 5, timeout = 6, throttled = 7 }\n";
    let all = builder.floor(3, 4).success_permille(2).capacity(50).never_expires().start_full().keep_above(500);
    let all = all.costs(5, 6, 7);
    assert_eq!(budget(&format!("{floor}{text}")), all.build().unwrap());
    assert_eq!(budget(&format!("{floor}{text}refund_on_success = true")), all.refund_on_success().build().unwrap());
    assert_eq!(budget(&format!("{floor}{text}failures_pay = true")), all.failures_pay().build().unwrap());
}

#[test]
fn the_rest() {
    let text = "[bulkhead]\nlimit = 3\n[budget]\nstart_full = true\nnever_expires = true\ncapacity = 9\nfloor = { per_second = 0, up_to = 0 }";
    let config: PipelineConfig = crate::toml(text);
    let layers = config.layers((), Entropy::new(1)).unwrap();
    assert_eq!(layers.gate.bulkhead.unwrap().available(), 3);
    let by_hand = RetryBudget::new(config.budget.unwrap().build().unwrap());
    let now = fusebox::Instant::EPOCH;
    assert_eq!(layers.budget.unwrap().with(|budget| budget.snapshot(now)), by_hand.snapshot(now));
    let empty = crate::toml("").layers((), Entropy::new(1)).unwrap();
    assert!(empty.budget.is_none() && empty.gate.breaker.is_none() && empty.gate.rate_limit.is_none());
    assert!(empty.gate.bulkhead.is_none() && empty.call_gate.bulkhead.is_none());
}

#[test]
fn a_policy_says_of_itself_what_the_one_within_says() {
    fn said(policy: &impl Policy) -> String {
        let deadline = policy.plan(Call::new(Instant::from_secs(1), 0)).deadline();
        format!("{:?}", (policy.waits_for_gates(), policy.deadline(), policy.attempt_timeout(), deadline))
    }
    for settings in ["deadline = '2s'\nattempt_timeout = '300ms'\nwait_for_gates = true", "deadline = '9s'", ""] {
        for kind in ["[retry]", "[hedge]\ndelay = '30ms'"] {
            let any = policy(&format!("[pipeline]\n{settings}\n{kind}"));
            match any {
                AnyPolicy::Retry(retry) => assert_eq!(said(&any), said(&retry)),
                AnyPolicy::Hedge(hedge) => assert_eq!(said(&any), said(&hedge)),
            }
        }
    }
}
