//! Reviews of whole pipelines.

use fusebox::Policy;
use fusebox::review::{Facts, Findings, Review};

use crate::{Pipeline, Turns};

impl<T, G: Review, W: Turns, B: Review, P: Policy + Review, C: Review> Review for Pipeline<T, G, W, B, P, C> {
    fn review(&self, facts: &mut Facts) {
        self.policy().review(facts);
        self.budget().review(facts);
        self.call_gate().review(facts);
        self.gate().review(facts);
        if W::WAITS && !self.policy().waits_for_gates() {
            facts.line_without_waiting();
        }
    }
}

impl<T, G: Review, W: Turns, B: Review, P: Policy + Review, C: Review> Pipeline<T, G, W, B, P, C> {
    /// The known anti-patterns that this pipeline contains. For pipelines within pipelines see
    /// [`review`](fusebox::review::review).
    ///
    /// ```
    /// use fusebox_drive::fusebox::review::Finding;
    /// use fusebox_drive::fusebox::{Entropy, RetryPolicy};
    /// use fusebox_drive::{Pipeline, ThreadTimer};
    ///
    /// let once = Pipeline::new(ThreadTimer::new(), (), RetryPolicy::ONCE, Entropy::new(1));
    /// assert!(once.review().eq([Finding::NoDeadline]));
    /// ```
    pub fn review(&self) -> Findings {
        Facts::of(self).findings()
    }
}
