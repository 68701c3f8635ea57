//! What the full pipeline costs a service under wrk: prints a page.
//!
//! ```text
//! service [ROUNDS] [SECONDS]    10 rounds of four runs of 5 s for each dependency: some seven minutes, of a machine
//!                               that has nothing else to do; fewer than 3 rounds tell nothing from chance
//! ```
//!
//! Fails if the routes answer differently, a request fails, or the pipelines have not seen all that was sent.

mod load;
mod page;
mod service;

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;
use std::{env, fs};

use tokio::runtime::Runtime;

use self::load::Run;
use self::service::{Dependency, Service, Way};

/// Connections, caches, the processor's own clock.
const WARM_UP: [Way; 2] = [Way::Bare, Way::Guarded];
/// In a line of these each run stands beside one of its own route and one of the other, and a machine that slows down
/// favours neither.
const ROUND: [Way; 4] = [Way::Bare, Way::Guarded, Way::Guarded, Way::Bare];

fn main() -> ExitCode {
    match measured() {
        Ok(page) => {
            print!("{page}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measured() -> Result<String, Box<dyn Error>> {
    let (rounds, seconds) = (argument(1, 3, 10)?, argument(2, 1, 5)?);
    let load_before = fs::read_to_string("/proc/loadavg")?;
    // The service has the runtime's threads; this one only waits for wrk.
    let runtime = Runtime::new()?;
    let service = runtime.block_on(Service::start())?;
    let (mut findings, mut tables) = (String::new(), String::new());
    for dependency in [Dependency::Http, Dependency::Ready] {
        runtime.block_on(service.answers_alike(dependency))?;
        let runs = compare(&service, dependency, rounds, seconds)?;
        let seen = seen(&service, dependency, &runs)?;
        let runs = runs.split_at(WARM_UP.len()).1;
        writeln!(findings, "- {}", page::finding(dependency, runs))?;
        writeln!(tables, "\n## {dependency}\n\n{}\n{seen}", page::table(runs))?;
    }
    Ok(page::header(rounds, seconds, &findings, &load_before) + &tables)
}

fn argument(place: usize, least: u32, default: u32) -> Result<u32, String> {
    let Some(given) = env::args().nth(place) else { return Ok(default) };
    given.parse().ok().filter(|&number| number >= least).ok_or(format!("{given} is not a number from {least} on"))
}

fn compare(
    service: &Service,
    dependency: Dependency,
    rounds: u32,
    seconds: u32,
) -> Result<Vec<(Way, Run)>, Box<dyn Error>> {
    let run = |way| Ok((way, load::run(&service.url(way, dependency), seconds)?));
    WARM_UP.into_iter().chain((0..rounds).flat_map(|_| ROUND)).map(run).collect()
}

/// The pipeline has seen every request that was answered, and besides only the one before all runs and those that wrk
/// left open at the end of each.
fn seen(service: &Service, dependency: Dependency, runs: &[(Way, Run)]) -> Result<String, String> {
    let guarded = || runs.iter().filter(|(way, _)| *way == Way::Guarded);
    let answered: u128 = guarded().map(|(_, run)| u128::from(run.requests)).sum();
    let open = guarded().map(|_| u128::from(load::CONNECTIONS)).sum::<u128>();
    let calls = service.calls(dependency);
    if !(answered + 1..=answered + 1 + open).contains(&calls) {
        return Err(format!("{dependency}: {answered} guarded requests were answered, the pipeline saw {calls} calls"));
    }
    Ok(format!("No request failed, and the pipeline saw all of the {answered} guarded ones."))
}
