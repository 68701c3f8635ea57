//! A service's bad day, lived through by two clients at once: a bare one and one guarded by fusebox.

mod cli;
mod client;
mod live;
mod plots;
mod report;
mod run;
mod script;
mod server;
mod stats;
mod summary;

use std::fs::OpenOptions;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use reqwest::Url;

use crate::cli::Cli;
use crate::client::Caller;
use crate::run::{Run, Side};
use crate::script::Script;
use crate::server::Server;
use crate::stats::Stats;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(line) => return fail(&line),
    };
    match demo(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn fail(line: &str) -> ExitCode {
    eprintln!("error: {line}");
    ExitCode::FAILURE
}

async fn demo(cli: &Cli) -> Result<()> {
    // The bare client piles up connections by the thousand; most systems allow a process 1024 files at first.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let mut run = match &cli.upstream {
        Some(url) => against_upstream(cli, url).await?,
        None => against_script(cli).await?,
    };
    // What cannot be written is better known before the run than after it.
    OpenOptions::new().append(true).create(true).open(&cli.report).with_context(|| cannot_write(&cli.report))?;
    println!("{}", summary::opening(&run));
    run.go().await?;
    println!("{}", summary::closing(&run));
    std::fs::write(&cli.report, report::html(&run)?).with_context(|| cannot_write(&cli.report))?;
    println!("Report with plots: {}", cli.report.display());
    Ok(())
}

fn cannot_write(report: &Path) -> String {
    format!("cannot write the report {}", report.display())
}

/// Both clients, each with a scripted server of its own, so that neither disturbs the other.
async fn against_script(cli: &Cli) -> Result<Run> {
    let script = Script { length: cli.duration };
    let bare_port = if cli.port == 0 { 0 } else { cli.port + 1 };
    let (guarded, bare) = (Server::bind(cli.port).await?, Server::bind(bare_port).await?);
    let (guarded_url, bare_url) = (Url::parse(&guarded.url)?, Url::parse(&bare.url)?);
    let opened = Instant::now();
    guarded.open(script, cli.rate, cli.seed, opened);
    bare.open(script, cli.rate, cli.seed, opened);
    let stats = || Stats::new(opened, cli.duration);
    // An HTTP client each, too: they share no pool of connections.
    let bare = Caller::bare(client::http()?, bare_url, stats()?);
    let guarded = Caller::guarded(client::http()?, guarded_url, stats()?, cli.rate, cli.seed)?;
    let sides = vec![Side::new("bare", bare), Side::new("guarded", guarded)];
    Ok(Run { script: Some(script), length: cli.duration, rate: cli.rate, seed: cli.seed, opened, sides })
}

/// Only the guarded client, against the user's server.
async fn against_upstream(cli: &Cli, url: &Url) -> Result<Run> {
    let http = client::http()?;
    client::probe(&http, url).await?;
    let opened = Instant::now();
    let stats = Stats::new(opened, cli.duration)?;
    let sides = vec![Side::new("guarded", Caller::guarded(http, url.clone(), stats, cli.rate, cli.seed)?)];
    Ok(Run { script: None, length: cli.duration, rate: cli.rate, seed: cli.seed, opened, sides })
}
