//! The vectors that fusebox does not agree with, and those it has no words for.

use crate::report::{Differs, Gap, Ground};

pub(crate) const DIFFER: &[Differs] = &[
    Differs {
        id: "b4j-rl-03",
        at: &["case 4: wait"],
        ground: Ground::Decided(&["token bucket"]),
        why: "\"more than the burst is refused with 'never'\": debt is for costs that turn out higher (settle)",
    },
    Differs {
        id: "gua-rl-05",
        at: &["step 4: wait", "step 5: wait", "step 6: wait", "step 7: wait"],
        ground: Ground::Decided(&["refund"]),
        why: "\"retuning keeps the fill fraction\": an empty bucket of the new rate is empty for less time",
    },
    Differs {
        id: "r4j-rl-07",
        at: &["step 3: available", "step 3: next_wait"],
        ground: Ground::Decided(&["refund"]),
        why: "\"a cancelled permit or reservation gives its tokens back\"",
    },
];

pub(crate) const GAPS: &[Gap] = &[];
