//! The report: one HTML file that needs nothing else.

use std::fmt::Write as _;

use anyhow::Result;
use fusebox_tokio::fusebox::State;
use plotters::style::RGBColor;

use crate::plots::{self, BARE, GUARDED, LATENCY, REQUESTS, SUCCESS, colour, state_colour};
use crate::run::Run;
use crate::summary::{LEGEND, WAYS, headline, rows, verdict};

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 1000px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .3rem } h2 { font-size: 1.05rem; margin: 1.8rem 0 .2rem }
p { margin: .3rem 0 } .note { color: #57606a; font-size: .9rem }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .9rem; border-bottom: 1px solid #d0d7de }
td + td, th + th { text-align: right } svg { width: 100%; height: auto }
.key { display: inline-block; width: 1.6em; height: .7em; border-radius: 2px; margin-right: .4em }
";

/// The whole report.
pub(crate) fn html(run: &Run) -> Result<String> {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    let title = if run.script.is_some() { "A service's bad day, bare and guarded" } else { "Your server, guarded" };
    writeln!(page, "<title>fusebox: {title}</title>\n<style>{STYLE}</style></head><body>")?;
    writeln!(page, "<h1>{title} by fusebox</h1>\n<p>{}</p>", headline(run).replace('&', "&amp;"))?;
    list(&mut page, &verdict(run))?;
    clients(&mut page, run)?;
    figures(&mut page, run)?;
    plot(
        &mut page,
        "Success: calls begun at this time that got a good answer within 1 s",
        &key(run),
        &SUCCESS.svg(run)?,
    )?;
    let waits = "Wait: 95 % of these callers knew, good or bad, within this time (logarithmic)";
    plot(&mut page, waits, &key(run), &LATENCY.svg(run)?)?;
    plot(&mut page, "Load: requests that reached the server", &key(run), &REQUESTS.svg(run)?)?;
    plot(&mut page, "The guarded client's breaker", &breaker_key(), &plots::breaker(run)?)?;
    phases(&mut page, run)?;
    page.push_str("</body></html>\n");
    Ok(page)
}

fn list(page: &mut String, lines: &[String]) -> Result<()> {
    let items = lines.iter().map(|line| format!("<li>{line}</li>")).collect::<Vec<_>>().concat();
    Ok(writeln!(page, "<ul>{items}</ul>")?)
}

fn swatch(colour: RGBColor, name: &str) -> String {
    let RGBColor(red, green, blue) = colour;
    format!("<span class=\"key\" style=\"background:rgb({red},{green},{blue})\"></span>{name} &emsp;")
}

fn key(run: &Run) -> String {
    run.sides.iter().map(|side| swatch(colour(side), side.name)).collect()
}

fn breaker_key() -> String {
    let states = [
        (State::Closed, "closed: calls pass"),
        (State::Open, "open: calls are refused at once"),
        (State::HalfOpen, "half-open: one trial is out"),
    ];
    states.map(|(state, name)| swatch(state_colour(state), name)).concat()
}

fn clients(page: &mut String, run: &Run) -> Result<()> {
    for (name, ways) in WAYS.iter().filter(|(name, _)| run.sides.iter().any(|side| side.name == *name)) {
        let colour = if *name == "bare" { BARE } else { GUARDED };
        writeln!(page, "<p>{}{ways}</p>", swatch(colour, &format!("<b>{name}</b>")))?;
    }
    Ok(())
}

fn figures(page: &mut String, run: &Run) -> Result<()> {
    let heads = run.sides.iter().map(|side| format!("<th>{}</th>", side.name)).collect::<Vec<_>>().concat();
    writeln!(page, "<table><tr><th></th>{heads}</tr>")?;
    for (name, values) in rows(run) {
        let cells = values.iter().map(|value| format!("<td>{value}</td>")).collect::<Vec<_>>().concat();
        writeln!(page, "<tr><td>{name}</td>{cells}</tr>")?;
    }
    Ok(writeln!(page, "</table>\n<p class=\"note\">{LEGEND}</p>")?)
}

fn plot(page: &mut String, title: &str, key: &str, svg: &str) -> Result<()> {
    Ok(writeln!(page, "<h2>{title}</h2>\n<p class=\"note\">{key}</p>\n{svg}")?)
}

fn phases(page: &mut String, run: &Run) -> Result<()> {
    let Some(script) = run.script else { return Ok(()) };
    writeln!(page, "<h2>The script</h2><p class=\"note\">")?;
    for scene in script.scenes() {
        let (from, to) = (scene.from.as_secs_f64(), scene.to.as_secs_f64());
        writeln!(page, "{from:.1} to {to:.1} s <b>{}</b>: {}.<br>", scene.phase.name, scene.phase.what)?;
    }
    writeln!(page, "Work that a worker began goes on when its client has hung up, as in most servers.</p>")?;
    Ok(())
}
