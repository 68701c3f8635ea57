//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use reqwest::Url;

/// A service's bad day, lived through twice at once: by a bare client and by one guarded by fusebox.
///
/// Starts an HTTP server on loopback for each, with the same script: healthy, errors, slow, outage, recovery, healthy.
/// Both clients send the same steady load. Shows a live table, prints a summary, and writes an HTML report with plots.
#[derive(Parser, Debug)]
#[command(name = "fusebox-examples", version)]
pub(crate) struct Cli {
    /// How long the day lasts, as in 20s or 1m
    #[arg(long, default_value = "20s", value_parser = duration)]
    pub(crate) duration: Duration,

    /// Requests per second that each side sends
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub(crate) rate: u32,

    /// Seed of all chance: the server's errors and delays, the clients' jitter
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u32,

    /// Port of the guarded client's server; the bare client's takes the next one. 0: any free ports
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=65_534))]
    pub(crate) port: u16,

    /// Guard calls to your own server (GET of this URL) instead; no scripted server, no bare client
    #[arg(long, value_name = "URL", value_parser = http_url, conflicts_with = "port")]
    pub(crate) upstream: Option<Url>,

    /// Where to write the report
    #[arg(long, value_name = "PATH", default_value = "report.html")]
    pub(crate) report: PathBuf,
}

impl Cli {
    /// The parsed arguments, or one line about what is wrong with them. Help and version end the program.
    pub(crate) fn read() -> Result<Self, String> {
        Self::try_parse().map_err(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            let text = error.to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}, try 20s or 1m"))?;
    let bounds = Duration::from_secs(2)..=Duration::from_secs(24 * 3_600);
    if bounds.contains(&duration) { Ok(duration) } else { Err("must be from 2s to 24h".to_owned()) }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}, try http://host:port/path"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("the scheme must be http or https, not {other}")),
    }
}
