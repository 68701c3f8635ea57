//! A page needs items from a database, and rates, which are down from 10 s to 50 s.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fusebox::fallback::{Stale, When};
use fusebox::fault::Outage;
use fusebox::health::{Component, Reading, Status};
use fusebox::{Breaker, BreakerConfig, Consecutive, Entropy, FaultConfig, RetryPolicy, Shared, checked};
use fusebox_drive::{Fallback, Pipeline, Served};
use fusebox_tokio::{HealthMonitor, TokioTimer, monitor};

use crate::world::{Broken, Callee, Load, millis, ms, secs, virtually};
use crate::{Any, AtLeast, AtMost, Measure, measure, show};

const RATES: usize = 0;
const DATABASE: usize = 1;

const DOWN: FaultConfig<1> =
    checked!(FaultConfig::builder().latency(ms(10)).outages([Outage::hang(secs(10), secs(40))]).build());
const WORKS: FaultConfig = checked!(FaultConfig::builder().latency(ms(10)).build());
/// The outage without its first second, in which nobody can know.
const KNOWN: std::ops::Range<u64> = 11_000..50_000;
const MAX_AGE: Duration = secs(15);
/// Instead of a rate nobody knows.
const DEFAULT: u64 = u64::MAX;

const PATIENT: RetryPolicy = checked!(RetryPolicy::builder().attempts(1).attempt_timeout(ms(100)).build());

/// How a page is made, and what the health is told of rates.
#[derive(Clone, Copy, Debug)]
enum Guard {
    /// No rate, no page; and what came of the call.
    None,
    /// With a fallback; and what came of the call.
    Role,
    /// With a fallback; and how the breaker stands.
    Breaker,
}

struct Site {
    timer: TokioTimer,
    rates: Rc<Callee<1>>,
    to_rates: Pipeline<TokioTimer, Shared<RefCell<Breaker<Consecutive>>>>,
    last: Shared<RefCell<Stale<u64>>>,
    database: Rc<Callee>,
    health: HealthMonitor<2>,
}

/// A page made at a time, in milliseconds.
#[derive(Clone, Debug)]
struct Page {
    rate: Served<u64>,
    made: u64,
}

impl Site {
    fn new(seed: u32, rates: Component) -> Rc<Self> {
        let timer = TokioTimer::new();
        let config = BreakerConfig::builder(Consecutive::new(3).unwrap()).open_for(secs(2)).build().unwrap();
        let gate = Shared::new(RefCell::new(Breaker::new(config)));
        let database = Component::critical("database").build().unwrap();
        Rc::new(Self {
            timer,
            rates: Callee::new(timer, DOWN, seed),
            to_rates: Pipeline::new(timer, gate, PATIENT, Entropy::new(seed)),
            last: Shared::new(RefCell::new(checked!(Stale::new(MAX_AGE)))),
            database: Callee::new(timer, WORKS, seed),
            health: monitor([rates, database]),
        })
    }

    /// Rates are the time at which they were given.
    fn rate(&self) -> impl Future<Output = Result<u64, Broken>> + '_ {
        let now = millis(&self.timer);
        self.rates.answer(now)
    }

    async fn page(&self, guard: Guard) -> Result<Page, Broken> {
        let items = self.database.call().await;
        self.health.record(DATABASE, items);
        items?;
        let rate = Fallback::from(self.to_rates.call(|_| self.rate()).await);
        let rate = match guard {
            Guard::None => rate,
            Guard::Breaker | Guard::Role => {
                rate.or_stale(When::ANY, &self.last, &self.timer).or(When::ANY, |_| Some(DEFAULT))
            }
        };
        let rate = rate.served();
        let reading: Reading = match guard {
            Guard::Breaker => self.to_rates.gate().with(|breaker| breaker.state()).into(),
            Guard::None | Guard::Role => rate.as_ref().is_ok_and(Served::is_fresh).into(),
        };
        self.health.record(RATES, reading);
        Ok(Page { rate: rate.map_err(|_| Broken)?, made: millis(&self.timer) })
    }
}

impl Page {
    fn is_stale(&self) -> bool {
        self.rate.fallback.is_some_and(|fallback| fallback.age.is_some())
    }

    /// Whether it says of its rate what is true.
    fn is_honest(&self) -> bool {
        let Served { value, fallback } = self.rate;
        match fallback {
            None => self.made.checked_sub(value).is_some_and(|age| age <= 10),
            Some(fallback) => match fallback.age {
                None => value == DEFAULT && fallback.alternative == 2,
                // It was given 10 ms before it was kept.
                Some(age) => age <= MAX_AGE && self.made - value - 10 == age.as_millis() as u64,
            },
        }
    }
}

fn run(seed: u32, rates: Component, guard: Guard) -> [f64; 6] {
    virtually(async {
        let site = Site::new(seed, rates);
        let load = Load { per_second: 20, within: 0..60_000, seed };
        let pages = load
            .calls(site.timer, |_| {
                let site = site.clone();
                async move {
                    let page = site.page(guard).await;
                    (page, site.health.snapshot())
                }
            })
            .await;
        let known = pages.started(KNOWN);
        let well = pages.0.iter().filter(|page| page.at > 50_000 && page.answer.1.status == Status::Healthy);
        let recovered = well.map(|page| page.at).min().unwrap_or(u64::MAX) - 50_000;
        [
            known.percent(|(page, _)| page.is_ok()),
            known.percent(|(page, _)| page.as_ref().is_ok_and(Page::is_stale)),
            pages.percent(|(page, _)| page.as_ref().is_ok_and(|page| !page.is_honest())),
            known.percent(|(_, health)| health.is_ready() && health.live),
            known.percent(|(_, health)| health.status == Status::Healthy),
            recovered as f64 / 1e3,
        ]
    })
}

const MEASURES: [Measure; 6] = [
    measure("pages served while down, %", AtMost(1.0), AtLeast(100.0)),
    // For 15 s of 40.
    measure("of these with the last rate known, %", AtMost(0.0), AtLeast(30.0)),
    measure("pages that do not say how old the rate is, %", Any, AtMost(0.0)),
    measure("time in which the site is ready, %", AtMost(1.0), AtLeast(100.0)),
    measure("time in which it calls itself healthy, %", Any, AtMost(0.0)),
    measure("seconds from its end until it is healthy", Any, AtMost(3.0)),
];

fn bare(seed: u32) -> [f64; 6] {
    run(seed, checked!(Component::critical("rates").build()), Guard::None)
}

#[test]
fn a_page_without_fresh_rates_is_a_page_that_says_so() {
    let guarded = |seed| run(seed, checked!(Component::optional("rates").build()), Guard::Role);
    show("partial failure", "fallback, stale value, optional in health", MEASURES, bare, guarded);
}

#[test]
fn an_open_breaker_does_not_take_the_site_out() {
    let guarded = |seed| run(seed, checked!(Component::critical("rates").build()), Guard::Breaker);
    show("partial failure", "fallback, stale value, breaker in health", MEASURES, bare, guarded);
}
