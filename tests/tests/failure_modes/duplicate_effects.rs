//! A payment is made, and the answer is lost on its way in one of five cases; or it takes longer than its caller waits.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fusebox::idempotency::{Fingerprint, IdempotencyConfig};
use fusebox::{Backoff, Entropy, FaultConfig, Jitter, RetryPolicy, checked};
use fusebox_drive::Pipeline;
use fusebox_tokio::{Idempotent, TokioTimer, idempotent};

use crate::world::{Broken, Callee, Load, Server, ms, secs, virtually};
use crate::{Any, AtLeast, AtMost, measure, show};

/// The card network: one payment in ten takes longer than an attempt.
const NETWORK: FaultConfig = checked!(FaultConfig::builder().latency(ms(50)).jitter(ms(50)).slow(100, ms(300)).build());
/// The way back to the caller.
const WAY_BACK: FaultConfig = checked!(FaultConfig::builder().latency(ms(5)).errors(150).hangs(50).build());

const RETRY: RetryPolicy = checked!(
    RetryPolicy::builder()
        .attempts(8)
        .backoff(checked!(Backoff::exponential(ms(50), ms(500))).with_jitter(Jitter::Full))
        .attempt_timeout(ms(250))
        .deadline(secs(10))
        .build()
);

/// What a payment is known by afterwards.
type Receipt = u64;

struct Bank {
    network: Rc<Callee>,
    /// What was charged, by order.
    charges: RefCell<HashMap<u64, Vec<Receipt>>>,
    once: Idempotent<u64, Receipt, 2_000>,
}

impl Bank {
    fn new(timer: TokioTimer, seed: u32) -> Rc<Self> {
        let network = Callee::new(timer, NETWORK, seed);
        let once = idempotent(checked!(IdempotencyConfig::builder().build()));
        Rc::new(Self { network, charges: RefCell::default(), once })
    }

    async fn charge(&self, order: u64) -> Result<Receipt, Broken> {
        self.network.call().await?;
        let mut charges = self.charges.borrow_mut();
        let receipt = charges.values().map(Vec::len).sum::<usize>() as u64;
        charges.entry(order).or_default().push(receipt);
        Ok(receipt)
    }

    /// The order's number is the key.
    async fn charge_once(&self, order: u64) -> Result<Receipt, Broken> {
        let fingerprint = Fingerprint::of(&order.to_le_bytes());
        let answer = self.once.call(&order, fingerprint, || self.charge(order)).await;
        answer.map(|answer| answer.value).map_err(|_| Broken)
    }

    /// How often.
    fn charged(&self, order: u64) -> usize {
        self.charges.borrow().get(&order).map_or(0, Vec::len)
    }
}

fn run(seed: u32, has_records: bool, policy: RetryPolicy) -> [f64; 3] {
    virtually(async {
        let timer = TokioTimer::new();
        let (bank, way_back) = (Bank::new(timer, seed), Callee::new(timer, WAY_BACK, seed + 1));
        let server = Server::new(100);
        let pipeline = Rc::new(Pipeline::new(timer, (), policy, Entropy::new(seed)));
        let pay = |order| {
            let (pipeline, server, bank, way_back) = (pipeline.clone(), server.clone(), bank.clone(), way_back.clone());
            async move {
                let attempt = |_| {
                    let bank = bank.clone();
                    let charge = async move {
                        if has_records { bank.charge_once(order).await } else { bank.charge(order).await }
                    };
                    let (answer, way_back) = (server.clone().serve(charge), way_back.clone());
                    async move { way_back.answer(answer.await?).await }
                };
                (order, pipeline.call(attempt).await)
            }
        };
        let paid = Load { per_second: 50, within: 0..20_000, seed }.calls(timer, pay).await;
        let is_right = |(order, receipt): &(u64, Result<Receipt, _>)| {
            receipt.as_ref().is_ok_and(|receipt| bank.charges.borrow()[order][..] == [*receipt])
        };
        let is_told = |(_, receipt): &(u64, Result<Receipt, _>)| receipt.is_ok();
        let is_charged_twice = |(order, _): &(u64, _)| bank.charged(*order) > 1;
        [paid.percent(is_charged_twice), paid.percent(is_told), paid.percent(is_right)]
    })
}

#[test]
fn a_stored_answer_makes_retries_safe() {
    let measures = [
        measure("charged more than once, %", AtLeast(20.0), AtMost(0.0)),
        measure("told that it was charged, %", AtLeast(99.5), AtLeast(99.5)),
        measure("charged once, and has the receipt of it, %", AtMost(80.0), AtLeast(99.5)),
    ];
    show(
        "duplicate effects",
        "idempotency key, stored answer",
        measures,
        |seed| run(seed, false, RETRY),
        |seed| run(seed, true, RETRY),
    );
}

/// Who does not retry charges nobody twice, and leaves many in the dark.
#[test]
fn no_retry_is_no_answer() {
    let measures = [
        measure("charged more than once, %", AtMost(0.0), AtMost(0.0)),
        measure("told that it was charged, %", AtMost(85.0), AtLeast(99.5)),
        measure("charged once, and has the receipt of it, %", Any, AtLeast(99.5)),
    ];
    let one = RetryPolicy::builder().attempts(1).attempt_timeout(secs(1)).build().unwrap();
    show(
        "duplicate effects",
        "the same, against no retry at all",
        measures,
        |seed| run(seed, false, one),
        |seed| run(seed, true, RETRY),
    );
}
