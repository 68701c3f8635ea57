//! Whether cost grows: with the number of keys or machines, with a window's length, with time idle, with tasks.
//!
//! ```text
//! curves          prints tables as Markdown and draws curves.svg
//! curves check    counts instructions, and fails if one end of a curve is much dearer than the other
//! ```

mod curve;
mod idle;
mod keys;
mod page;
mod panels;
mod plot;
mod tasks;
mod windows;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use fusebox_bench::callgrind;

use self::curve::Panel;
use self::panels::panels;

fn main() -> ExitCode {
    let mut panels = panels();
    let done = match env::args().nth(1).as_deref() {
        None => curve::count(&mut panels).and_then(|()| {
            curve::time(&mut panels);
            page::write(&panels)
        }),
        Some("check") => check(&mut panels),
        Some(callgrind::COUNTED) => {
            curve::run(&mut panels);
            Ok(())
        }
        Some(other) => Err(format!("{other}: not check").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check(panels: &mut [Panel]) -> Result<(), Box<dyn Error>> {
    curve::count(panels)?;
    let curves: Vec<_> = panels.iter().filter(|panel| panel.is_counted).flat_map(|panel| &panel.curves).collect();
    let growing: Vec<_> = curves.iter().filter_map(|curve| curve.growth()).collect();
    if growing.is_empty() {
        println!("{} curves do not grow", curves.len());
        return Ok(());
    }
    Err(growing.join("\n").into())
}
