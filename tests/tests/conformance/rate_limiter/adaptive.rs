//! The curve of a rate that follows what is throttled: each case a client that was throttled at some rate.

use fusebox::adaptive_rate::Permit;
use fusebox::{AdaptiveRate, AdaptiveRateConfig, Gate, Instant, Outcome};

use crate::fields::{Fields, NotExpressible};
use crate::report::Findings;
use crate::vector::{Unit, Vector};

pub(super) fn run(vector: &Vector) -> Result<Findings, NotExpressible> {
    let config = Fields::new("config", &vector.config);
    config.ignore("algorithm");
    let scale = config.needed("scale", config.number("scale")?)?;
    let beta = config.needed("beta", config.number("beta")?)?;
    config.finish()?;
    let mut findings = Findings::default();
    for (number, case) in (1..).zip(&vector.cases) {
        let case = Fields::new("case", case);
        let at = |field: &str| format!("case {number}: {field}");
        let beta = case.number("beta")?.unwrap_or(beta);
        let rate = match case.number("w_max")? {
            Some(rate) => rate,
            None => case.needed("error_at_rate", case.number("error_at_rate")?)?,
        };
        let mut client = Client::throttled_at(rate, beta, scale, vector.unit)?;
        for (field, got) in client.answers() {
            if let Some(expected) = case.number(field)? {
                findings.compare(&at(field), rounded(expected), rounded(got));
            }
        }
        if case.text("at_t")? == Some("k") {
            let expected = case.needed("rate", case.number("rate")?)?;
            findings.compare(&at("rate"), rounded(expected), rounded(client.send_until_k()));
        }
        if let Some(expected) = case.number("success_same_instant")? {
            findings.compare(&at("success_same_instant"), rounded(expected), rounded(client.success(None)));
        }
        case.finish()?;
    }
    Ok(findings)
}

/// In hundredths: rates have a fraction of 4096, and the measured one comes close to what is sent.
fn rounded(value: f64) -> i64 {
    (value * 100.0).round() as i64
}

struct Client {
    limiter: AdaptiveRate,
    unit: Unit,
    now: Instant,
    /// A call that is out.
    held: Option<Permit>,
}

impl Client {
    /// Sends at a steady rate until that is measured; then one call is throttled, while another one is out.
    fn throttled_at(rate: f64, beta: f64, scale: f64, unit: Unit) -> Result<Self, NotExpressible> {
        let permille = |share: f64| (share * 1_000.0).round() as u16;
        let config = AdaptiveRateConfig::builder().beta_permille(permille(beta)).scale_permille(permille(scale));
        let mut limiter = AdaptiveRate::new(config.build()?);
        let mut n = 0.0;
        let mut call = |limiter: &mut AdaptiveRate| {
            let now = unit.at(n / rate);
            n += 1.0;
            (limiter.try_acquire(now).unwrap(), now)
        };
        for _ in 0..(rate * 20.0) as u32 {
            let (permit, now) = call(&mut limiter);
            limiter.release(permit, Outcome::Success, now);
        }
        let (permit, now) = call(&mut limiter);
        let held = limiter.try_acquire(now).ok();
        limiter.release(permit, Outcome::Unavailable { retry_at: now }, now);
        Ok(Self { limiter, unit, now, held })
    }

    fn rate(&self) -> f64 {
        self.limiter.snapshot().rate.map_or(0.0, |rate| f64::from(rate.to_bits()) / 4_096.0)
    }

    fn answers(&self) -> [(&'static str, f64); 4] {
        let told = self.limiter.snapshot();
        let k = self.unit.of_nanos(told.back_at.unwrap().nanos_since(self.now));
        let w_max = f64::from(told.throttled_at.unwrap().to_bits()) / 4_096.0;
        [("k", k), ("new_k", k), ("new_w_max", w_max), ("new_rate", self.rate())]
    }

    /// The call that is out ends well, and `next` is out; the rate then.
    fn success(&mut self, next: Option<Permit>) -> f64 {
        if let Some(permit) = std::mem::replace(&mut self.held, next) {
            self.limiter.release(permit, Outcome::Success, self.now);
        }
        self.rate()
    }

    /// The rate when a call ends at k, after others that were sent as soon as they might.
    fn send_until_k(&mut self) -> f64 {
        let k = self.limiter.snapshot().back_at.unwrap();
        while self.now < k {
            match self.limiter.try_acquire(self.now) {
                Ok(permit) => {
                    self.success(Some(permit));
                }
                Err(refused) => self.now = refused.retry_at.unwrap(),
            }
        }
        self.now = k;
        self.success(None)
    }
}
