//! Calls of a pipeline with retries.

use std::cell::RefCell;
use std::time::Duration;

use fusebox::{
    Backoff, Breaker, BreakerConfig, Bulkhead, ConcurrencyBudget, Consecutive, Entropy, Gate, NoBudget, Outcome, Quota,
    RetryBudget, RetryPolicy, Shared, SharedGate, State, TokenBucket,
};
use fusebox_drive::{Attempt, Layers, NoTurns, Pipeline};
use tokio::join;

use super::cut::{Scene, Task, at_once, sweep};
use super::runtimes::Runtime;
use super::{Purse, ms};

pub(crate) fn all<R: Runtime>(runtime: &R) {
    let attempts = ["attempt 1", "after attempt 1", "attempt 2", "after attempt 2", "attempt 3"];
    let points = [["in line", "waits for a release"].as_slice(), &attempts].concat();
    sweep(runtime, "a call in line that pays with tokens", &points, in_line::<R, RetryBudget>);
    sweep(runtime, "a call in line that pays by concurrency", &points, in_line::<R, ConcurrencyBudget>);
    sweep(runtime, "a call with gates of its own", &points, with_gates_of_the_call::<R>);
    let points = [["begun"].as_slice(), &attempts].concat();
    sweep(runtime, "a call that waits for tokens", &points, waiting_for_tokens::<R>);
    sweep(runtime, "a call that waits for tokens in line", &["after in line"], waiting_for_tokens_in_line::<R>);
    sweep(runtime, "a trial", &["attempt 1"], trial::<R>);
    sweep(runtime, "a call that is a trial", &attempts, trial_of_the_call::<R>);
}

pub(crate) const ATTEMPTS: [&str; 4] = ["", "attempt 1", "attempt 2", "attempt 3"];
/// Never comes: what hangs is seen by the runtime.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn places(n: u32) -> Bulkhead {
    Bulkhead::new(n.try_into().unwrap())
}

pub(crate) fn policy(attempts: u16) -> RetryPolicy {
    let builder = RetryPolicy::builder().attempts(attempts).backoff(Backoff::constant(ms(2)).unwrap());
    builder.attempt_timeout(MINUTE).deadline(MINUTE * 2).wait_for_gates().build().unwrap()
}

/// Attempts that started: whose, and their numbers.
#[derive(Default)]
pub(crate) struct Started(RefCell<Vec<(u32, u16)>>);

impl Started {
    pub(crate) fn note(&self, caller: u32, number: u16) {
        self.0.borrow_mut().push((caller, number));
    }

    /// How many calls have begun, and with how many further attempts.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let all = self.0.borrow();
        let calls = all.iter().filter(|(_, number)| *number == 1).count() as u64;
        (calls, all.len() as u64 - calls)
    }

    /// Who began, in order.
    pub(crate) fn order(&self) -> Vec<u32> {
        self.0.borrow().iter().filter(|(_, number)| *number == 1).map(|(caller, _)| *caller).collect()
    }
}

/// The caller that is cut. Its first two attempts fail; those of others do not.
pub(crate) const CUT: u32 = 2;

async fn works<R: Runtime>(scene: &Scene<R>, caller: u32, attempt: Attempt, takes: u64) -> Result<u32, ()> {
    scene.at(ATTEMPTS[usize::from(attempt.number)], scene.sleep(takes)).await;
    if caller == CUT && attempt.number < 3 { Err(()) } else { Ok(caller) }
}

/// One place: one has it, one has the turn, the third is cut, the fourth stands behind it.
async fn in_line<R: Runtime, B: Purse>(scene: &Scene<R>) {
    let (gate, budget) = (Shared::new(R::lock(places(1))), Shared::new(R::lock(B::fresh())));
    let pipeline = Pipeline::budgeted(&scene.timer, &gate, scene.line(), &budget, policy(3), Entropy::new(1));
    let started = Started::default();
    let call = |caller, takes| {
        let started = &started;
        pipeline.call(move |attempt: Attempt| {
            started.note(caller, attempt.number);
            works(scene, caller, attempt, takes)
        })
    };
    let [first, second, fourth] = [(0, 3), (1, 2), (3, 2)].map(|(caller, takes)| Task::new(call(caller, takes)));
    let ends = join!(biased; first.run(), second.run(), scene.cut(call(CUT, 2)), fourth.run());
    assert!(matches!(ends, (Ok(0), Ok(1), None | Some(Ok(CUT)), Ok(3))), "{ends:?}");
    assert!(started.order().is_sorted(), "in order: {:?}", started.order());
    assert_eq!(gate.with(|bulkhead| bulkhead.in_flight()), 0);
    let (calls, further) = started.counts();
    budget.with(|budget| budget.check(calls, further, scene.now()));
    assert_eq!(at_once(pipeline.call(async |_| Ok::<_, ()>(7))), Some(Ok(7)), "the line is free");
}

/// One token each 4 ms, and none at the start.
fn tokens<R: Runtime>(scene: &Scene<R>) -> Shared<R::Locked<TokenBucket>> {
    let quota = Quota::new(1, ms(4)).unwrap().with_burst(1).unwrap();
    let bucket = Shared::new(R::lock(TokenBucket::new(quota)));
    bucket.with(|bucket| drop(bucket.drain(scene.now())));
    bucket
}

async fn waiting_for_tokens<R: Runtime>(scene: &Scene<R>) {
    let (gate, budget) = (tokens(scene), Shared::new(R::lock(RetryBudget::fresh())));
    let pipeline = Pipeline::budgeted(&scene.timer, &gate, NoTurns, &budget, policy(3), Entropy::new(1));
    let started = Started::default();
    let call = pipeline.call(|attempt: Attempt| {
        started.note(CUT, attempt.number);
        works(scene, CUT, attempt, 1)
    });
    let end = scene.cut(call).await;
    assert!(matches!(end, None | Some(Ok(CUT))));
    let (calls, further) = started.counts();
    budget.with(|budget| budget.check(calls, further, scene.now()));
    scene.sleep(4).await;
    assert_eq!(at_once(pipeline.call(async |_| Ok::<_, ()>(7))), Some(Ok(7)), "its token is for somebody else");
}

/// The one who is cut has the turn, and waits for the token.
async fn waiting_for_tokens_in_line<R: Runtime>(scene: &Scene<R>) {
    let gate = tokens(scene);
    let pipeline = Pipeline::fair(&scene.timer, &gate, scene.line(), policy(1), Entropy::new(1));
    let call = || pipeline.call(async |_| Ok::<_, ()>(7));
    let (cut, behind) = join!(biased; scene.cut(call()), Task::new(call()).run());
    assert_eq!((cut.unwrap_or(Ok(7)), behind), (Ok(7), Ok(7)));
    scene.sleep(4).await;
    assert_eq!(at_once(call()), Some(Ok(7)), "the line is free");
}

type OfTheCall = (Bulkhead, TokenBucket);

fn plenty() -> TokenBucket {
    TokenBucket::new(Quota::new(100, Duration::from_secs(1_000_000)).unwrap())
}

/// Gates of the call are asked before those of the attempt let it in: as long as they do not, it has never run.
async fn with_gates_of_the_call<R: Runtime>(scene: &Scene<R>) {
    let call_gate = Shared::new(R::lock::<OfTheCall>((places(4), plenty())));
    let gate = Shared::new(R::lock((plenty(), places(1))));
    let budget = Shared::new(R::lock(ConcurrencyBudget::fresh()));
    let (timer, turns, policy, entropy) = (&scene.timer, scene.line(), policy(3), Entropy::new(1));
    let pipeline =
        Pipeline::of(Layers { timer, call_gate: &call_gate, gate: &gate, turns, budget: &budget, policy, entropy });
    let started = Started::default();
    let call = |caller, takes| {
        let started = &started;
        pipeline.call(move |attempt: Attempt| {
            started.note(caller, attempt.number);
            works(scene, caller, attempt, takes)
        })
    };
    let [first, second, fourth] = [(0, 3), (1, 2), (3, 2)].map(|(caller, takes)| Task::new(call(caller, takes)));
    let ends = join!(biased; first.run(), second.run(), scene.cut(call(CUT, 2)), fourth.run());
    assert!(matches!(ends, (Ok(0), Ok(1), None | Some(Ok(CUT)), Ok(3))), "{ends:?}");
    let (calls, further) = started.counts();
    let spent = |bucket: &TokenBucket| 100 - u64::from(bucket.available(scene.now()));
    call_gate.with(|(bulkhead, bucket)| assert_eq!((bulkhead.in_flight(), spent(bucket)), (0, calls)));
    gate.with(|(bucket, bulkhead)| assert_eq!((bulkhead.in_flight(), spent(bucket)), (0, calls + further)));
    budget.with(|budget| budget.check(calls, further, scene.now()));
}

type Trials = Breaker<Consecutive, 2>;

/// Half-open, with two trials, and as many successes to close.
pub(crate) fn half_open<R: Runtime>(scene: &Scene<R>) -> Trials {
    let builder = BreakerConfig::builder(Consecutive::new(1).unwrap()).trial_ttl(MINUTE).successes_to_close(2);
    let mut breaker = Breaker::new(builder.trials::<2>().build().unwrap());
    breaker.trip(scene.now());
    breaker.half_open(scene.now());
    breaker
}

/// That all trials are back, and that none of them said anything.
pub(crate) fn check_untold(breaker: &mut Trials, now: fusebox::Instant) {
    assert_eq!((breaker.state(), breaker.snapshot(now).trips, breaker.snapshot(now).lapsed), (State::HalfOpen, 1, 0));
    assert_eq!(breaker.poll_timeout(), None, "no trial is out");
    let permits = [(); 2].map(|()| breaker.try_acquire(now).unwrap());
    for (permit, state) in permits.into_iter().zip([State::HalfOpen, State::Closed]) {
        breaker.release(permit, Outcome::Success, now);
        assert_eq!(breaker.state(), state, "both successes are needed");
    }
}

async fn trial<R: Runtime>(scene: &Scene<R>) {
    let gate = Shared::new(R::lock((half_open(scene), places(2))));
    let pipeline = Pipeline::new(&scene.timer, &gate, policy(1), Entropy::new(1));
    let end = scene.cut(pipeline.call(|attempt| works(scene, 0, attempt, 2))).await;
    gate.with(|(breaker, bulkhead)| {
        assert_eq!(bulkhead.in_flight(), 0);
        if end.is_none() {
            check_untold(breaker, scene.now());
        }
    });
}

/// The call as a whole is the trial.
async fn trial_of_the_call<R: Runtime>(scene: &Scene<R>) {
    let call_gate = Shared::new(R::lock(half_open(scene)));
    let (timer, turns, policy, entropy) = (&scene.timer, scene.line(), policy(3), Entropy::new(1));
    let layers = Layers { timer, call_gate: &call_gate, gate: (), turns, budget: NoBudget, policy, entropy };
    let pipeline = Pipeline::of(layers);
    if scene.cut(pipeline.call(|attempt| works(scene, CUT, attempt, 2))).await.is_none() {
        call_gate.with(|breaker| check_untold(breaker, scene.now()));
    }
    let permit = call_gate.try_acquire(scene.now()).unwrap();
    call_gate.cancel(permit, scene.now());
}
