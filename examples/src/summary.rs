//! What is said before and after a run, in the terminal and in the report.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::live::{number, rate};
use crate::run::{Run, Side};
use crate::script::Script;
use crate::server::workers;
use crate::stats::{Stats, Totals, percent};

/// How the clients call: name and ways.
pub(crate) const WAYS: [(&str, &str); 2] = [
    ("bare", "5 s timeout; a failure is tried again at once, up to 3 times (naive, and common: a retry storm)"),
    (
        "guarded",
        "fusebox: breaker (opens at 60 % failures of 40, tries again after 0.5 s), token bucket (1.5 x the rate), up \
         to 3 attempts with jittered backoff, 250 ms an attempt, 1 s in all",
    ),
];

/// How to read the figures.
pub(crate) const LEGEND: &str = "Good: a good answer within 1 s. p50, p95, p99: how long callers waited until they \
                                 knew, good or bad. Requests: what reached the server. Saved: \
                                 calls refused at once, not sent.";

/// What is about to happen.
pub(crate) fn opening(run: &Run) -> String {
    let mut lines = vec![headline(run)];
    for side in &run.sides {
        for (_, ways) in WAYS.iter().filter(|(name, _)| *name == side.name) {
            lines.push(format!("  {:8} {ways}", side.name));
        }
    }
    lines.push(LEGEND.to_owned());
    lines.join("\n") + "\n"
}

/// The run in a sentence.
pub(crate) fn headline(run: &Run) -> String {
    let (rate, seed) = (run.rate, run.seed);
    let seconds = run.length.as_secs_f64();
    if run.script.is_none() {
        let urls: String = run.sides.iter().map(|side| side.caller.url().as_str()).collect();
        return format!("{rate} calls/s to {urls} for {seconds:.0} s (seed {seed}).");
    }
    format!(
        "A service's bad day in {seconds:.0} s: {rate} calls/s from each client to a server of its own with {} workers \
         (seed {seed}).",
        workers(rate)
    )
}

/// A figure's name, and its value for each side.
pub(crate) type Row = (&'static str, Vec<String>);

/// The figures of the whole run.
pub(crate) fn rows(run: &Run) -> Vec<Row> {
    let row = |name, value: &dyn Fn(&Stats) -> String| -> Row {
        (name, run.sides.iter().map(|side| value(&side.caller.stats)).collect())
    };
    let wait = |quantile| move |stats: &Stats| number(stats.whole().wait(quantile)) + " ms";
    let mut rows = vec![
        row("calls", &|stats| stats.totals().begun.to_string()),
        row("good answers (within 1 s)", &|stats| {
            let totals = stats.totals();
            format!("{} ({})", totals.good, rate(percent(totals.good, totals.begun)))
        }),
        row("good answers, but later than 1 s", &|stats| stats.totals().late.to_string()),
        row("callers still waiting at the end", &|stats| {
            let totals = stats.totals();
            (totals.begun - totals.ended()).to_string()
        }),
        row("requests that reached the server", &|stats| stats.totals().requests.to_string()),
        row("calls saved (refused at once, not sent)", &|stats| stats.totals().refused.to_string()),
        row("callers waited: half below", &wait(0.50)),
        row("  95 % below", &wait(0.95)),
        row("  99 % below", &wait(0.99)),
    ];
    if let Some(script) = run.script {
        rows.push(row("well again after the outage ended", &|stats| recovery(stats, script)));
    }
    rows.push(("times the breaker opened (again)", run.sides.iter().map(trips).collect()));
    rows
}

fn trips(side: &Side) -> String {
    side.caller.breaker().map_or_else(|| "no breaker".to_owned(), |breaker| breaker.trips.to_string())
}

fn recovery(stats: &Stats, script: Script) -> String {
    match stats.well_after(script.recovers_at()) {
        Some(after) => format!("after {}", seconds(after)),
        None => "not before the end".to_owned(),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// What came of it.
pub(crate) fn closing(run: &Run) -> String {
    let mut table = Table::new();
    let head = std::iter::once("").chain(run.sides.iter().map(|side| side.name));
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(head);
    for (name, values) in rows(run) {
        table.add_row(std::iter::once(name.to_owned()).chain(values));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let verdict = verdict(run).into_iter().map(|line| format!("- {line}\n")).collect::<Vec<_>>().concat();
    format!("{table}\n{verdict}")
}

/// What fusebox did for this service, in sentences; nothing without a bare client to compare.
pub(crate) fn verdict(run: &Run) -> Vec<String> {
    let ([bare, guarded], Some(script)) = (run.sides.as_slice(), run.script) else { return Vec::new() };
    let (bare, guarded) = (&bare.caller.stats, &guarded.caller.stats);
    let p95 = |stats: &Stats| seconds(Duration::from_secs_f64(stats.whole().wait(0.95).unwrap_or_default() / 1_000.0));
    let (sent, piled) = (guarded.totals(), bare.totals());
    let after = |stats: &Stats| stats.well_after(script.recovers_at()).unwrap_or(Duration::MAX);
    let why =
        if after(bare) > after(guarded) { " The bare client's server first works off what piled up." } else { "" };
    let good = |totals: Totals| rate(percent(totals.good, totals.begun));
    vec![
        format!("Good answers within 1 s: {} guarded, {} bare.", good(sent), good(piled)),
        format!("Callers: 95 % knew where they stood within {} guarded, {} bare.", p95(guarded), p95(bare)),
        format!(
            "Server: {} requests guarded, {} bare; {} calls were refused by the client itself while the \
             server was ill.",
            sent.requests, piled.requests, sent.refused
        ),
        format!("Recovery: well again {} guarded, {} bare.{why}", recovery(guarded, script), recovery(bare, script)),
        "Good answers: while the server is slow or down, neither client gets them within 1 s; the guarded one says so \
         at once."
            .to_owned(),
    ]
}
