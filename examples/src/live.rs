//! What is shown while it runs: a table and a progress bar in a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::run::{Run, Side};
use crate::stats::percent;

/// The figures: their names in lines, and in the table.
const NAMES: [(&str, &str); 11] = [
    ("client", ""),
    ("breaker", "breaker"),
    ("calls", "calls"),
    ("waiting", "callers waiting now"),
    ("good 1 s", "good answers, last second"),
    ("good", "good answers, all calls"),
    ("p50 ms", "callers waited: p50, ms"),
    ("p95 ms", "                p95, ms"),
    ("p99 ms", "                p99, ms"),
    ("requests", "requests that reached the server"),
    ("saved", "calls saved (refused, not sent)"),
];

/// Where the figures go.
pub(crate) enum Screen {
    Terminal { table: ProgressBar, bar: ProgressBar },
    Lines,
}

impl Screen {
    pub(crate) fn open(length: Duration) -> Result<Self> {
        if !std::io::stdout().is_terminal() {
            println!("{}", line("time", "phase", &NAMES.map(|(short, _)| short.to_owned())));
            return Ok(Self::Lines);
        }
        let screen = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::stdout());
        let table = screen.add(ProgressBar::no_length().with_style(ProgressStyle::with_template("{msg}")?));
        let millis = u64::try_from(length.as_millis())?;
        let style = ProgressStyle::with_template("{bar:50.green/white} {msg}")?;
        let bar = screen.add(ProgressBar::new(millis).with_style(style));
        Ok(Self::Terminal { table, bar })
    }

    /// How long figures stand.
    pub(crate) const fn period(&self) -> Duration {
        match self {
            Self::Terminal { .. } => Duration::from_millis(200),
            Self::Lines => Duration::from_secs(1),
        }
    }

    pub(crate) fn show(&self, run: &Run, now: Duration) {
        let phase = run.script.map_or("your server", |script| script.phase(now).name);
        match self {
            Self::Terminal { table, bar } => {
                table.set_message(live_table(run));
                let seconds = now.as_secs_f64();
                bar.set_message(format!("{seconds:.1} of {:.0} s   now: {phase}", run.length.as_secs_f64()));
                bar.set_position(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
            }
            Self::Lines => {
                for side in &run.sides {
                    println!("{}", line(&format!("{:.0} s", now.as_secs_f64()), phase, &cells(side)));
                }
            }
        }
    }

    /// Takes table and bar away; lines stay.
    pub(crate) fn close(self) {
        if let Self::Terminal { table, bar } = self {
            table.finish_and_clear();
            bar.finish_and_clear();
        }
    }
}

/// A column for each client: fits narrow terminals, and puts side by side what is to be compared.
fn live_table(run: &Run) -> String {
    let mut columns: Vec<_> = run.sides.iter().map(|side| cells(side).into_iter()).collect();
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    for (_, name) in NAMES {
        // Of one width, so that nothing jumps when a value gets longer.
        let values = columns.iter_mut().filter_map(Iterator::next).map(|value| format!("{value:>9}"));
        let row: Vec<_> = std::iter::once(name.to_owned()).chain(values).collect();
        if name.is_empty() {
            table.set_header(row)
        } else {
            table.add_row(row)
        };
    }
    table.to_string()
}

/// One client's figures, in the order of the head.
fn cells(side: &Side) -> [String; 11] {
    let whole = side.caller.stats.whole();
    let (totals, last) = (whole.totals, side.last_second());
    let wait = |quantile| number(whole.wait(quantile));
    [
        side.name.to_owned(),
        side.caller.breaker().map_or_else(|| "none".to_owned(), |breaker| breaker.state.to_string()),
        totals.begun.to_string(),
        (totals.begun - totals.ended()).to_string(),
        rate(percent(last.good, last.ended()).or((last.begun > 0).then_some(0.0))),
        rate(percent(totals.good, totals.begun)),
        wait(0.50),
        wait(0.95),
        wait(0.99),
        totals.requests.to_string(),
        totals.refused.to_string(),
    ]
}

pub(crate) fn rate(percent: Option<f64>) -> String {
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1} %"))
}

pub(crate) fn number(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.0}"))
}

fn line(time: &str, phase: &str, cells: &[String; 11]) -> String {
    let [client, breaker, rest @ ..] = cells;
    let rest = rest.each_ref().map(|cell| format!(" {cell:>9}")).concat();
    format!("{time:>6}  {phase:11} {client:8} {breaker:9}{rest}")
}
