//! What every store must do, on every runtime.

use std::cell::Cell;
use std::fmt::Debug;
use std::time::Duration;

use fusebox::Reason;
use fusebox::idempotency::Fingerprint;
use fusebox_drive::idempotent::{Answer, IdempotentError, Origin, Renewal, Request, Store, Unfinished, Wakes};
use fusebox_drive::{Idempotent, Timer, sleep_until, timeout_at};
use tokio::join;

pub(crate) const A: Fingerprint = Fingerprint::of(b"a");
pub(crate) const B: Fingerprint = Fingerprint::of(b"b");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// A lease takes 100 units, a time to live 300; there are 4 places.
pub(crate) struct Suite<'r, T, F> {
    pub(crate) timer: &'r T,
    pub(crate) unit: Duration,
    /// How much later than it should something may happen.
    pub(crate) late: Duration,
    /// Whether a dropped runner can free its key at once.
    pub(crate) frees_at_once: bool,
    pub(crate) make: F,
}

type Outcome<S> = Result<Answer<u32, S>, IdempotentError<Failed, S>>;

/// The answer and how it came: `true` if it ran.
pub(crate) fn ran<S: Debug>(outcome: Outcome<S>) -> (u32, bool) {
    let Answer { value, origin } = outcome.unwrap();
    match origin {
        Origin::Ran => (value, true),
        Origin::Stored | Origin::Shared => (value, false),
        other => panic!("{other:?}"),
    }
}

fn refused<S: Debug>(outcome: Outcome<S>) -> fusebox::Rejected {
    match outcome {
        Err(IdempotentError::Refused(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

impl<'r, T: Timer, S, W, F> Suite<'r, T, F>
where
    S: Store<Key = u32, Value = u32, Error: Debug>,
    W: Wakes,
    F: Fn() -> Idempotent<&'r T, S, W>,
{
    pub(crate) async fn one_after_the_other(&self) {
        Box::pin(self.answers_alike_until_the_time_to_live_is_over()).await;
        Box::pin(self.those_who_ask_meanwhile_share_the_answer()).await;
        Box::pin(self.another_request_is_a_conflict()).await;
        Box::pin(self.a_full_store_says_so()).await;
        Box::pin(self.after_a_failure_the_next_one_runs()).await;
        Box::pin(self.a_failure_that_may_have_had_its_effect_is_held()).await;
        Box::pin(self.a_dropped_runner_is_replaced_by_one()).await;
        Box::pin(self.a_dropped_runner_without_effect_frees_its_key()).await;
        Box::pin(self.an_answer_that_comes_late_changes_nothing()).await;
        Box::pin(self.a_renewed_lease_lasts()).await;
        Box::pin(self.renewal_ends()).await;
        Box::pin(self.patience_ends()).await;
        Box::pin(self.who_waits_may_leave()).await;
    }

    /// The same, for clocks that take their time.
    pub(crate) async fn at_once(&self) {
        join!(
            Box::pin(self.answers_alike_until_the_time_to_live_is_over()),
            Box::pin(self.those_who_ask_meanwhile_share_the_answer()),
            Box::pin(self.another_request_is_a_conflict()),
            Box::pin(self.a_full_store_says_so()),
            Box::pin(self.after_a_failure_the_next_one_runs()),
            Box::pin(self.a_failure_that_may_have_had_its_effect_is_held()),
            Box::pin(self.a_dropped_runner_is_replaced_by_one()),
            Box::pin(self.a_dropped_runner_without_effect_frees_its_key()),
            Box::pin(self.an_answer_that_comes_late_changes_nothing()),
            Box::pin(self.a_renewed_lease_lasts()),
            Box::pin(self.renewal_ends()),
            Box::pin(self.patience_ends()),
            Box::pin(self.who_waits_may_leave()),
        );
    }

    fn after(&self, units: u32) -> fusebox::Instant {
        self.timer.now().saturating_add(self.unit * units)
    }

    async fn sleep(&self, units: u32) {
        sleep_until(self.timer, self.after(units)).await;
    }

    /// That it is `units` since `began`, as exactly as this runtime and store allow.
    fn check(&self, began: fusebox::Instant, units: u32) {
        let (took, expected) = (self.timer.now().saturating_since(began), self.unit * units);
        assert!(took >= expected && took <= expected + self.late, "after {took:?}, not {expected:?}");
    }

    /// An operation.
    async fn effect(&self, effects: &Cell<u32>, units: u32, value: u32) -> Result<u32, Failed> {
        effects.set(effects.get() + 1);
        self.sleep(units).await;
        Ok(value)
    }

    async fn failure(&self, units: u32) -> Result<u32, Failed> {
        self.sleep(units).await;
        Err(Failed)
    }

    async fn answers_alike_until_the_time_to_live_is_over(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        let began = self.timer.now();
        assert_eq!(ran(calls.call(&1, A, || self.effect(&effects, 20, 7)).await), (7, true));
        self.sleep(250).await;
        let again = calls.call(&1, A, || self.effect(&effects, 20, 8)).await.unwrap();
        assert_eq!((again.value, again.origin.is_replayed()), (7, true));
        assert!(matches!(again.origin, Origin::Stored));
        self.sleep(90).await;
        assert_eq!(ran(calls.call(&1, A, || self.effect(&effects, 20, 9)).await), (9, true));
        assert_eq!(effects.get(), 2);
        assert!(self.timer.now().saturating_since(began) >= self.unit * 380);
    }

    async fn those_who_ask_meanwhile_share_the_answer(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        let began = self.timer.now();
        let call = |delay: u32| {
            let (calls, effects) = (&calls, &effects);
            async move {
                self.sleep(delay).await;
                let answer = calls.call(&1, A, || self.effect(effects, 50, delay)).await.unwrap();
                self.check(began, 50);
                (answer.value, matches!(answer.origin, Origin::Shared))
            }
        };
        // All but the last at the very same time.
        let answers: [_; 5] = join!(call(0), call(0), call(0), call(0), call(30)).into();
        assert!(answers.iter().all(|(value, _)| *value == 0), "{answers:?}");
        assert_eq!((answers.iter().filter(|(_, shared)| *shared).count(), effects.get()), (4, 1));
    }

    async fn another_request_is_a_conflict(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        let other = async {
            self.sleep(20).await;
            let in_flight = refused(calls.call(&1, B, || self.effect(&effects, 0, 8)).await);
            self.sleep(60).await;
            let done = refused(calls.call(&1, B, || self.effect(&effects, 0, 8)).await);
            for rejected in [in_flight, done] {
                assert_eq!((rejected.reason, rejected.retry_at), (Reason::KeyConflict, None));
            }
        };
        let (first, ()) = join!(calls.call(&1, A, || self.effect(&effects, 40, 7)), other);
        assert_eq!((ran(first), effects.get()), ((7, true), 1));
    }

    async fn a_full_store_says_so(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        for key in 0..4 {
            assert_eq!(ran(calls.call(&key, A, || self.effect(&effects, 0, key)).await), (key, true));
        }
        let full = refused(calls.call(&4, A, || self.effect(&effects, 0, 4)).await);
        assert_eq!((full.reason, effects.get()), (Reason::RecordsFull, 4));
        let wait = full.retry_at.unwrap().saturating_since(self.timer.now());
        assert!(wait <= self.unit * 300, "{wait:?}");
        assert_eq!(ran(calls.call(&3, A, || self.effect(&effects, 0, 0)).await), (3, false));
        sleep_until(self.timer, full.retry_at.unwrap()).await;
        assert_eq!(ran(calls.call(&4, A, || self.effect(&effects, 0, 4)).await), (4, true));
    }

    async fn after_a_failure_the_next_one_runs(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        let began = self.timer.now();
        let waits = async {
            self.sleep(10).await;
            assert_eq!(ran(calls.call(&1, A, || self.effect(&effects, 20, 8)).await), (8, true));
            self.check(began, 50);
        };
        let (failed, ()) = join!(calls.call(&1, A, || self.failure(30)), waits);
        assert!(matches!(failed, Err(IdempotentError::Operation(Failed))));
        assert_eq!(ran(calls.call(&1, A, || self.failure(0)).await), (8, false));
    }

    async fn a_failure_that_may_have_had_its_effect_is_held(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        let began = self.timer.now();
        let failed = calls.call_with(Request::new(&1, A), |Failed| Unfinished::Hold, || self.failure(30)).await;
        assert!(matches!(failed, Err(IdempotentError::Operation(Failed))));
        assert_eq!(ran(calls.call(&1, A, || self.effect(&effects, 0, 8)).await), (8, true));
        self.check(began, 100);
    }

    async fn a_dropped_runner_is_replaced_by_one(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        let began = self.timer.now();
        let dropped = async {
            let hung = calls.call(&1, A, || self.effect(&effects, 1_000, 7));
            assert!(timeout_at(self.timer, self.after(40), hung).await.is_none());
        };
        let waits = |value: u32| {
            let (calls, effects) = (&calls, &effects);
            async move {
                self.sleep(20).await;
                let answer = ran(calls.call(&1, A, || self.effect(effects, 30, value)).await);
                self.check(began, 130);
                answer
            }
        };
        let ((), a, b, c) = join!(dropped, waits(8), waits(9), waits(10));
        assert_eq!([a, b, c].iter().filter(|(_, ran)| *ran).count(), 1);
        assert!(a.0 == b.0 && b.0 == c.0 && effects.get() == 2);
    }

    async fn a_dropped_runner_without_effect_frees_its_key(&self) {
        let (calls, effects) = ((self.make)().with_on_drop(Unfinished::Free), Cell::new(0));
        let began = self.timer.now();
        let dropped = async {
            let hung = calls.call(&1, A, || self.effect(&effects, 1_000, 7));
            assert!(timeout_at(self.timer, self.after(40), hung).await.is_none());
        };
        let waits = async {
            self.sleep(20).await;
            assert_eq!(ran(calls.call(&1, A, || self.effect(&effects, 0, 8)).await), (8, true));
            self.check(began, if self.frees_at_once { 40 } else { 100 });
        };
        join!(dropped, waits);
    }

    async fn an_answer_that_comes_late_changes_nothing(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        let began = self.timer.now();
        let second = async {
            self.sleep(20).await;
            assert_eq!(ran(calls.call(&1, A, || self.effect(&effects, 80, 8)).await), (8, true));
            self.check(began, 180);
        };
        let (first, ()) = join!(calls.call(&1, A, || self.effect(&effects, 140, 7)), second);
        let first = first.unwrap();
        assert!(first.value == 7 && matches!(first.origin, Origin::Late) && !first.origin.is_replayed());
        assert_eq!(ran(calls.call(&1, A, || self.effect(&effects, 0, 9)).await), (8, false));
    }

    async fn a_renewed_lease_lasts(&self) {
        let renewal = Renewal::new(self.unit * 30, self.unit * 1_000).unwrap();
        let (calls, effects) = ((self.make)().with_renewal(renewal), Cell::new(0));
        let second = async {
            self.sleep(20).await;
            ran(calls.call(&1, A, || self.effect(&effects, 0, 8)).await)
        };
        let (first, second) = join!(calls.call(&1, A, || self.effect(&effects, 250, 7)), second);
        assert_eq!((ran(first), second, effects.get()), ((7, true), (7, false), 1));
    }

    async fn renewal_ends(&self) {
        let renewal = Renewal::new(self.unit * 40, self.unit * 100).unwrap();
        let (calls, effects) = ((self.make)().with_renewal(renewal), Cell::new(0));
        let began = self.timer.now();
        let second = async {
            self.sleep(20).await;
            assert_eq!(ran(calls.call(&1, A, || self.effect(&effects, 0, 8)).await), (8, true));
            self.check(began, 180); // renewed at 40 and 80
        };
        let (first, ()) = join!(calls.call(&1, A, || self.effect(&effects, 400, 7)), second);
        assert!(matches!(first.unwrap().origin, Origin::Late));
    }

    async fn patience_ends(&self) {
        let (calls, effects) = ((self.make)().with_max_wait(self.unit * 30), Cell::new(0));
        let began = self.timer.now();
        let waits = async {
            self.sleep(10).await;
            let in_flight = refused(calls.call(&1, A, || self.effect(&effects, 0, 8)).await);
            assert_eq!(in_flight.reason, Reason::KeyInFlight);
            self.check(began, 40);
        };
        let sooner = async {
            self.sleep(10).await;
            let request = Request::new(&1, A).until(self.after(20));
            let free = |_: &Failed| Unfinished::Free;
            let in_flight = refused(calls.call_with(request, free, || self.effect(&effects, 0, 8)).await);
            assert_eq!(in_flight.reason, Reason::KeyInFlight);
            self.check(began, 30);
            let left = in_flight.retry_at.unwrap().saturating_since(began);
            assert!(left >= self.unit * 100 && left <= self.unit * 100 + self.late, "the lease, {left:?}");
        };
        let (first, (), ()) = join!(calls.call(&1, A, || self.effect(&effects, 90, 7)), waits, sooner);
        assert_eq!((ran(first), effects.get()), ((7, true), 1), "patience is not for the operation");
    }

    async fn who_waits_may_leave(&self) {
        let (calls, effects) = ((self.make)(), Cell::new(0));
        let leaves = async {
            self.sleep(10).await;
            let call = calls.call(&1, A, || self.effect(&effects, 0, 8));
            assert!(timeout_at(self.timer, self.after(20), call).await.is_none());
        };
        let stays = async {
            self.sleep(10).await;
            ran(calls.call(&1, A, || self.effect(&effects, 0, 9)).await)
        };
        let (first, (), stays) = join!(calls.call(&1, A, || self.effect(&effects, 60, 7)), leaves, stays);
        assert_eq!((ran(first), stays, effects.get()), ((7, true), (7, false), 1));
    }
}
