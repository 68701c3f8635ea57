//! What the runs say, in Markdown.

use fusebox_bench::machine;

use crate::load::{CONNECTIONS, Run};
use crate::service::{Dependency, Way};

/// Something each run has measured.
struct Measure {
    name: &'static str,
    more_is_better: bool,
    of: fn(&Run) -> f64,
}

const THROUGHPUT: Measure = Measure { name: "requests/s", more_is_better: true, of: |run| run.per_second };
const P50: Measure = Measure { name: "p50, µs", more_is_better: false, of: |run| run.p50_micros };
const P99: Measure = Measure { name: "p99, µs", more_is_better: false, of: |run| run.p99_micros };
const PROCESSOR: Measure = Measure {
    name: "processor time per request, µs",
    more_is_better: false,
    of: |run| run.processor_micros_per_request,
};

/// The text around the tables.
pub(crate) fn header(rounds: u32, seconds: u32, findings: &str, load_before: &str) -> String {
    let machine = machine();
    let load_before = load_before.split(' ').take(3).collect::<Vec<_>>().join(", ");
    format!(
        "\
# What the full pipeline costs a service under wrk

{findings}
Made by

```sh
apt-get install wrk
cargo run --release -p fusebox-bench --no-default-features --features service --bin service -- {rounds} {seconds} \\
    >tests/bench/SERVICE.md
```

No check runs it, because it takes minutes of a machine that has nothing else to do.

## What is measured

An axum service answers each request with what one call to its dependency says: by one route bare, by the other through
the full pipeline: total deadline, retries with jittered backoff and a budget, breaker over the failure rate of 10 s,
token bucket, bulkhead, attempt timeout (`src/bin/service/service.rs`). Nothing fails, and no limit is reached: this is
what guarding costs on a good day.

What it is good for on a bad day is shown by the demo (`cargo run --release`). The HTTP client, retries, timeout and
deadline are the demo's; its pipeline has no bulkhead and no budget, and its breaker and bucket share a mutex, where
here are the atomic ones. The demo's server takes 20 ms for each request, beside which no pipeline could be seen; here
the dependency answers at once.

wrk sends from one thread over {CONNECTIONS} connections as fast as it can: latencies are those of a service at its limit.
Service, dependency and wrk share one machine: {machine}. Its load (of 1, 5, 15 minutes) before it began: {load_before}.

Runs of {seconds} s follow each other: bare, guarded, guarded, bare, and so on. `guarded / bare` is of two runs next to
each other; if guarding cost nothing, guarded would be worse in about half of these pairs. The noise is how much two
runs of the same route differ that are next to each other. Given are medians, with the least and the most. A difference
is lost in the noise if it is smaller, and guarded is not worse (or better) more often than two standard deviations of
chance allow. The processor time is that of service and dependency, without wrk.
"
    )
}

/// The outcome in a sentence.
pub(crate) fn finding(dependency: Dependency, runs: &[(Way, Run)]) -> String {
    let [throughput, p99, processor] = [THROUGHPUT, P99, PROCESSOR].map(|measure| Compared::new(&measure, runs).told());
    format!(
        "**{dependency}:** in percent of the bare route's, the guarded route's throughput is {throughput}, its p99 \
         {p99}, and its processor time per request {processor}."
    )
}

/// A row per measure.
pub(crate) fn table(runs: &[(Way, Run)]) -> String {
    let rows = [THROUGHPUT, P50, P99, PROCESSOR].map(|measure| {
        let Compared { bare, guarded, ratio, worse, pairs, noise } = Compared::new(&measure, runs);
        let (ratio, noise) = (ratio.shown(percent), noise.shown(percent));
        let [bare, guarded] = [bare, guarded].map(|values| values.shown(number));
        format!("| {} | {bare} | {guarded} | {ratio} | {worse} of {pairs} | {noise} |\n", measure.name)
    });
    format!(
        "| | bare | guarded | guarded / bare | guarded is worse in | noise |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n{}",
        rows.concat()
    )
}

struct Compared {
    bare: Spread,
    guarded: Spread,
    /// Of guarded to bare, for each two runs next to each other.
    ratio: Spread,
    worse: usize,
    pairs: usize,
    /// How much two runs of one route differ that are next to each other.
    noise: Spread,
}

impl Compared {
    fn new(measure: &Measure, runs: &[(Way, Run)]) -> Self {
        let of = |wanted| {
            runs.iter().filter(move |(way, _)| *way == wanted).map(|(_, run)| (measure.of)(run)).collect::<Vec<_>>()
        };
        let worse = if measure.more_is_better { f64::lt } else { f64::gt };
        let (mut ratios, mut noise) = (Vec::new(), Vec::new());
        for [(first_way, first), (second_way, second)] in runs.array_windows() {
            let (first, second) = ((measure.of)(first), (measure.of)(second));
            match (first_way, second_way) {
                (Way::Bare, Way::Guarded) => ratios.push(second / first),
                (Way::Guarded, Way::Bare) => ratios.push(first / second),
                _ => noise.push(first.max(second) / first.min(second) - 1.0),
            }
        }
        Self {
            bare: Spread::new(of(Way::Bare)),
            guarded: Spread::new(of(Way::Guarded)),
            worse: ratios.iter().filter(|ratio| worse(ratio, &1.0)).count(),
            pairs: ratios.len(),
            ratio: Spread::new(ratios),
            noise: Spread::new(noise),
        }
    }

    fn told(&self) -> String {
        let Self { ratio, worse, pairs, noise, .. } = self;
        let below = (ratio.median - 1.0).abs() <= noise.median;
        // Of n throws of a coin the standard deviation is half the root of n.
        let chance = (2 * worse).abs_diff(*pairs).pow(2) <= 4 * pairs;
        let [ratio, noise] = [ratio.median, noise.median].map(percent);
        match (below, chance) {
            (true, true) => format!("{ratio} (lost in the noise of ±{noise})"),
            (true, false) => format!("{ratio} (below the noise of ±{noise}, but worse in {worse} of {pairs} pairs)"),
            (false, _) => format!("{ratio} (above the noise of ±{noise})"),
        }
    }
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self { least: at(0), median: at(last >> 1).midpoint(at(values.len() >> 1)), most: at(last) }
    }

    fn shown(&self, form: fn(f64) -> String) -> String {
        let [least, median, most] = [self.least, self.median, self.most].map(form);
        format!("{median} ({least} .. {most})")
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
