//! The vectors that fusebox does not agree with, and those it has no words for.

use crate::report::{Differs, Gap, Ground};

pub(crate) const DIFFER: &[Differs] = &[
    Differs {
        id: "ck-cb-06",
        at: &["step 4: pending"],
        ground: Ground::Choice,
        why: "a gate answers at once: \"at most `trials` out at once\", who comes then is refused and told when to ask",
    },
    Differs {
        id: "ck-cb-07",
        at: &["step 3: pending"],
        ground: Ground::Choice,
        why: "a gate answers at once: \"at most `trials` out at once\", who comes then is refused and told when to ask",
    },
    Differs {
        id: "gob-cb-04",
        at: &["step 4: counts.successes", "step 5: counts.requests", "step 5: counts.successes"],
        ground: Ground::Choice,
        why: "buckets begin with the first call, and an outcome counts when it arrives: only a transition makes it late",
    },
    Differs {
        id: "polly-cb-07",
        at: &["case 1: state_after"],
        ground: Ground::Decided(&["late outcome"]),
        why: "a late outcome is \"dropped (generation)\": it is of the calls of before, not of the trials",
    },
    Differs {
        id: "r4j-cb-13",
        at: &["step 6: failure_rate", "step 6: slow", "step 6: slow_rate"],
        ground: Ground::Decided(&["half-open"]),
        why: "\"reopens as soon as it cannot be\" closed any more: at the second slow trial of four",
    },
    Differs {
        id: "r4j-cb-15",
        at: &["step 5: buffered", "step 5: state", "step 6: buffered", "step 6: state", "step 7: buffered"],
        ground: Ground::Decided(&["half-open"]),
        why: "\"closes as soon as `successes_to_close` is reached\": at the third success of four trials",
    },
    Differs {
        id: "r4j-cb-16",
        at: &["step 10: buffered", "step 10: state", "step 11: buffered"],
        ground: Ground::Decided(&["half-open"]),
        why: "\"closes as soon as `successes_to_close` is reached\": at the third success of four trials",
    },
    Differs {
        id: "r4j-cb-20",
        at: &["step 6: event_failure_rate_exceeded"],
        ground: Ground::Decided(&["when does the breaker judge?"]),
        why: "\"a success never trips\", so it announces with the next failure",
    },
];

pub(crate) const GAPS: &[Gap] = &[Gap {
    id: "r4j-cb-23",
    field: "config.half_open.after_max_wait",
    why: "trials that never answer are no reason to believe in the callee: half-open without a verdict reopens",
}];
