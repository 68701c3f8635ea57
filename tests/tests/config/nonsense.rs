//! Everything that does not build names its setting: all that the builders refuse, and what only a file can get wrong.

use crate::built;

/// A setting's path, and texts that are refused by it.
const NONSENSE: &[(&str, &[&str])] = &[
    ("pipeline.deadline", &["pipeline.deadline = '0s'"]),
    (
        "pipeline.attempt_timeout",
        &["pipeline.attempt_timeout = '0s'", "pipeline = { deadline = '1s', attempt_timeout = '1s' }"],
    ),
    (
        "pipeline.wait_for_gates",
        &["pipeline.wait_for_gates = true", "pipeline.wait_for_gates = true\nhedge.delay = '1s'"],
    ),
    ("retry.attempts", &["retry.attempts = 0"]),
    ("retry.max_hint", &["retry.max_hint = '0s'"]),
    ("retry.hint_on_top", &["retry.hint_on_top = '0s'"]),
    ("retry.backoff.kind", &["retry.backoff = {}", "retry.backoff = { first = '1s' }"]),
    (
        "retry.backoff.first",
        &[
            "retry.backoff = { kind = 'constant' }",
            "retry.backoff = { kind = 'constant', first = '0s' }",
            "retry.backoff = { kind = 'immediate', first = '1s' }",
            "retry.backoff = { kind = 'fibonacci', cap = '1s' }",
        ],
    ),
    (
        "retry.backoff.step",
        &[
            "retry.backoff = { kind = 'linear', first = '1s', cap = '9s' }",
            "retry.backoff = { kind = 'linear', first = '1s', cap = '9s', step = '0s' }",
            "retry.backoff = { kind = 'constant', first = '1s', step = '1s' }",
            "retry.backoff = { kind = 'fibonacci', first = '1s', cap = '9s', step = '1s' }",
            "retry.backoff = { kind = 'exponential', first = '1s', cap = '9s', step = '1s' }",
        ],
    ),
    (
        "retry.backoff.factor_permille",
        &[
            "retry.backoff = { kind = 'exponential', first = '1s', cap = '9s', factor_permille = 1000 }",
            "retry.backoff = { kind = 'linear', first = '1s', step = '1s', cap = '9s', factor_permille = 2000 }",
            "retry.backoff = { kind = 'constant', first = '1s', factor_permille = 2000 }",
        ],
    ),
    (
        "retry.backoff.cap",
        &[
            "retry.backoff = { kind = 'exponential', first = '1s' }",
            "retry.backoff = { kind = 'exponential', first = '1s', factor_permille = 1500 }",
            "retry.backoff = { kind = 'linear', first = '1s', step = '1s' }",
            "retry.backoff = { kind = 'fibonacci', first = '1s' }",
            "retry.backoff = { kind = 'fibonacci', first = '1s', cap = '0s' }",
            "retry.backoff = { kind = 'constant', first = '1s', cap = '0s' }",
            "retry.backoff = { kind = 'immediate', cap = '1s' }",
        ],
    ),
    (
        "retry.backoff.floor",
        &[
            "retry.backoff = { kind = 'constant', first = '1s', floor = '0s' }",
            "retry.backoff = { kind = 'constant', first = '1s', cap = '2s', floor = '3s' }",
            "retry.backoff = { kind = 'immediate', floor = '1s' }",
        ],
    ),
    ("retry.backoff.jitter", &["retry.backoff = { kind = 'immediate', jitter = 'full' }"]),
    (
        "retry.backoff.jitter_permille",
        &[
            "retry.backoff = { kind = 'constant', first = '1s', jitter = 'around' }",
            "retry.backoff = { kind = 'constant', first = '1s', jitter = 'around', jitter_permille = 0 }",
            "retry.backoff = { kind = 'constant', first = '1s', jitter = 'around', jitter_permille = 1001 }",
            "retry.backoff = { kind = 'constant', first = '1s', jitter = 'full', jitter_permille = 200 }",
            "retry.backoff = { kind = 'constant', first = '1s', jitter_permille = 200 }",
            "retry.backoff = { kind = 'immediate', jitter_permille = 200 }",
        ],
    ),
    ("hedge", &["retry = {}\nhedge.delay = '1s'"]),
    (
        "hedge.delay",
        &[
            "hedge = {}",
            "hedge.delay = '0s'",
            "hedge.delay = '1s'\npipeline.deadline = '1s'",
            "hedge.delay = '1s'\npipeline.attempt_timeout = '1s'",
        ],
    ),
    ("hedge.max_hint", &["hedge = { delay = '1s', max_hint = '0s' }"]),
    ("breaker.rule", &["breaker = {}", "breaker.or_rule = { kind = 'consecutive', threshold = 1 }"]),
    ("breaker.rule.kind", &["breaker.rule = {}", "breaker.rule.threshold = 1"]),
    (
        "breaker.rule.threshold",
        &[
            "breaker.rule = { kind = 'consecutive' }",
            "breaker.rule = { kind = 'consecutive', threshold = 0 }",
            "breaker.rule = { kind = 'failure_count', last = 5 }",
            "breaker.rule = { kind = 'failure_count', last = 5, threshold = 0 }",
            "breaker.rule = { kind = 'failure_count', last = 5, threshold = 6 }",
            "breaker.rule = { kind = 'failure_count', within = '5s', threshold = 0 }",
            "breaker.rule = { kind = 'failure_rate', threshold = 1 }",
            "breaker.rule = { kind = 'slow_rate', threshold = 1 }",
            "breaker.rule = { kind = 'ewma', threshold = 1 }",
        ],
    ),
    (
        "breaker.rule.permille",
        &[
            "breaker.rule = { kind = 'failure_rate', minimum_calls = 1, last = 5 }",
            "breaker.rule = { kind = 'failure_rate', minimum_calls = 1, last = 5, permille = 0 }",
            "breaker.rule = { kind = 'failure_rate', minimum_calls = 1, last = 5, permille = 1001 }",
            "breaker.rule = { kind = 'slow_rate', minimum_calls = 1, within = '5s', permille = 1001 }",
            "breaker.rule = { kind = 'ewma', minimum_calls = 1, last = 5, permille = 1000 }",
            "breaker.rule = { kind = 'ewma', minimum_calls = 1, within = '5s', permille = 0 }",
            "breaker.rule = { kind = 'consecutive', threshold = 1, permille = 1 }",
            "breaker.rule = { kind = 'failure_count', threshold = 1, last = 5, permille = 1 }",
        ],
    ),
    (
        "breaker.rule.minimum_calls",
        &[
            "breaker.rule = { kind = 'failure_rate', permille = 500, last = 5 }",
            "breaker.rule = { kind = 'failure_rate', permille = 500, last = 5, minimum_calls = 0 }",
            "breaker.rule = { kind = 'failure_rate', permille = 500, last = 5, minimum_calls = 6 }",
            "breaker.rule = { kind = 'slow_rate', permille = 500, within = '5s', minimum_calls = 0 }",
            "breaker.rule = { kind = 'ewma', permille = 500, last = 5, minimum_calls = 0 }",
            "breaker.rule = { kind = 'failure_count', threshold = 1, last = 5, minimum_calls = 1 }",
        ],
    ),
    (
        "breaker.rule.last",
        &[
            "breaker.rule = { kind = 'failure_rate', permille = 500, minimum_calls = 1 }",
            "breaker.rule = { kind = 'failure_rate', permille = 500, minimum_calls = 1, last = 0 }",
            "breaker.rule = { kind = 'failure_rate', permille = 500, minimum_calls = 1, last = 1025 }",
            "breaker.rule = { kind = 'slow_rate', permille = 500, minimum_calls = 1, last = 65536 }",
            "breaker.rule = { kind = 'failure_count', threshold = 1, last = 65535 }",
            "breaker.rule = { kind = 'ewma', permille = 500, minimum_calls = 1, last = 0 }",
            "breaker.rule = { kind = 'ewma', permille = 500, minimum_calls = 1, last = 1000001 }",
            "breaker.rule = { kind = 'consecutive', threshold = 1, last = 5 }",
        ],
    ),
    (
        "breaker.rule.within",
        &[
            "breaker.rule = { kind = 'failure_rate', permille = 500, minimum_calls = 1, within = '0s' }",
            "breaker.rule = { kind = 'failure_count', threshold = 1, within = '0s' }",
            "breaker.rule = { kind = 'ewma', permille = 500, minimum_calls = 1, within = '0s' }",
            "breaker.rule = { kind = 'failure_count', threshold = 1, last = 5, within = '5s' }",
            "breaker.rule = { kind = 'consecutive', threshold = 1, within = '5s' }",
        ],
    ),
    ("bulkhead.limit", &["bulkhead = {}"]),
    ("rate_limit.count", &["rate_limit = {}", "rate_limit.count = 0", "rate_limit = { count = 2, period = '1ns' }"]),
    ("rate_limit.period", &["rate_limit = { count = 2, period = '0s' }"]),
    (
        "rate_limit.burst",
        &["rate_limit = { count = 2, burst = 0 }", "rate_limit = { count = 1, period = '200y', burst = 2 }"],
    ),
    ("rate_limit.max_pause", &["rate_limit = { count = 2, max_pause = '0s' }"]),
    ("rate_limit.max_hint", &["rate_limit = { count = 2, max_hint = '0s' }"]),
    ("budget.floor", &["budget.floor = { per_second = 0, up_to = 1 }", "budget.floor = { per_second = 1, up_to = 0 }"]),
    ("budget.floor.per_second", &["budget.floor = {}", "budget.floor.up_to = 1"]),
    ("budget.floor.up_to", &["budget.floor.per_second = 1"]),
    ("budget.ttl", &["budget.ttl = '0s'"]),
    ("budget.never_expires", &["budget = { ttl = '1s', never_expires = true }"]),
    ("budget.start_full", &["budget = { start_full = true }"]),
    ("budget.capacity", &["budget.capacity = 0"]),
    (
        "budget.costs",
        &[
            "budget.costs = { failure = 0, timeout = 1, throttled = 1 }",
            "budget = { capacity = 1, costs = { failure = 200, timeout = 1, throttled = 1 } }",
        ],
    ),
    ("budget.costs.failure", &["budget.costs = { timeout = 1, throttled = 1 }"]),
    ("budget.costs.timeout", &["budget.costs = { failure = 1, throttled = 1 }"]),
    ("budget.costs.throttled", &["budget.costs = { failure = 1, timeout = 1 }"]),
    ("budget.keep_above", &["budget.keep_above = 1000"]),
    ("budget.deposit_permille", &["budget = { deposit_permille = 0, floor = { per_second = 0, up_to = 0 } }"]),
];

/// The same for a breaker that has a rule.
const BREAKER: &[(&str, &[&str])] = &[
    ("breaker.or_rule.kind", &["breaker.or_rule = {}"]),
    ("breaker.or_rule.threshold", &["breaker.or_rule = { kind = 'consecutive', threshold = 0 }"]),
    (
        "breaker.slow_after",
        &[
            "breaker.or_rule = { kind = 'slow_rate', permille = 500, minimum_calls = 1, last = 5 }",
            "breaker.or_rule = { kind = 'slow_rate', permille = 500, minimum_calls = 1, within = '5s' }",
            "breaker.slow_after = '0s'",
        ],
    ),
    ("breaker.open_for", &["breaker.open_for = '0s'"]),
    (
        "breaker.open_interval",
        &[
            "breaker.open_interval = { kind = 'immediate' }",
            "breaker = { open_for = '1s', open_interval = { kind = 'constant', first = '1s' } }",
        ],
    ),
    ("breaker.open_interval.first", &["breaker.open_interval = { kind = 'constant', first = '0s' }"]),
    ("breaker.trials", &["breaker.trials = 0", "breaker.trials = 11"]),
    ("breaker.successes_to_close", &["breaker.successes_to_close = 0"]),
    ("breaker.trial_ttl", &["breaker.trial_ttl = '0s'"]),
    ("breaker.half_open_for", &["breaker.half_open_for = '0s'"]),
    ("breaker.max_hint", &["breaker.max_hint = '0s'"]),
    (
        "breaker.slow_start",
        &[
            "breaker.slow_start = { from_permille = 0, over = '1s' }",
            "breaker.slow_start = { from_permille = 1000, over = '1s' }",
            "breaker.slow_start = { from_permille = 1, over = '0s' }",
        ],
    ),
    ("breaker.slow_start.from_permille", &["breaker.slow_start.over = '1s'"]),
    ("breaker.slow_start.over", &["breaker.slow_start.from_permille = 1"]),
];

const RULE: &str = "breaker.rule = { kind = 'consecutive', threshold = 1 }\n";

#[track_caller]
fn refused(path: &str, text: &str) {
    let Err(error) = built(text) else { panic!("{text} builds") };
    assert_eq!(error.path, path, "{text}: {error}");
    assert!(error.problem.len() > 10, "{text}: {error}");
}

#[test]
fn nonsense_is_refused_by_its_path() {
    for (path, texts) in NONSENSE {
        texts.iter().for_each(|text| refused(path, text));
    }
    for (path, texts) in BREAKER {
        for text in *texts {
            // An inline table cannot be added to.
            let text = match text.strip_prefix("breaker = {") {
                Some(rest) => format!("breaker = {{ rule = {{ kind = 'consecutive', threshold = 1 }}, {rest}"),
                None => format!("{RULE}{text}"),
            };
            refused(path, &text);
        }
    }
}

#[test]
fn what_means_nothing_here_is_refused_with_what_does() {
    let problem = |text: &str| built(text).unwrap_err().problem;
    assert_eq!(
        problem("breaker.rule = { kind = 'consecutive', last = 1 }"),
        "this kind has only threshold; leave it out"
    );
    assert_eq!(
        problem("retry.backoff = { kind = 'immediate', cap = '1s' }"),
        "this kind takes no settings; leave it out"
    );
    assert_eq!(problem("breaker.rule = { kind = 'failure_count', last = 1025 }"), "from 1 to 1024 calls");
}

#[test]
fn a_hedge_cannot_block() {
    let config = crate::toml("hedge.delay = '1s'");
    let error = config.build_blocking((), fusebox::Entropy::new(1)).map(|_| ()).unwrap_err();
    assert_eq!((error.path.as_str(), config.build((), fusebox::Entropy::new(1)).is_ok()), ("hedge", true));
}
