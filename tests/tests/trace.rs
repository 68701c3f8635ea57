//! One script, many runtimes, one trace: the decisions of the raw machines and of every adapter, with their instants,
//! are equal line by line.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fmt::{Arguments, Write};
use std::future::Future;

use fusebox_kit::{raw, scenario};
use fusebox_tests::ManualTimer;

const GOLDEN: &str = include_str!("../golden/trace.txt");

fn collect(run: impl FnOnce(&mut dyn FnMut(Arguments<'_>))) -> String {
    let mut trace = String::new();
    run(&mut |line| writeln!(trace, "{line}").unwrap());
    trace
}

fn assert_golden(runtime: &str, trace: &str) {
    for (n, (expected, line)) in GOLDEN.lines().zip(trace.lines()).enumerate() {
        assert_eq!(expected, line, "{runtime}, line {}", n + 1);
    }
    assert_eq!(GOLDEN.lines().count(), trace.lines().count(), "{runtime}: number of lines");
}

/// The golden file is written by the raw machines: `UPDATE_GOLDEN=1 cargo test -p fusebox-tests --test trace raw`.
#[test]
fn raw_machines() {
    let trace = collect(raw::run);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/trace.txt"), &trace).unwrap();
        return;
    }
    assert_golden("raw", &trace);
}

#[test]
fn driver_in_manual_time() {
    let timer = ManualTimer::default();
    let turns = fusebox_tokio::FairTurns::new();
    assert_golden("manual", &collect(|line| timer.block_on(scenario::run(&timer, turns, line)).unwrap()));
}

#[test]
fn tokio_paused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let trace = collect(|line| {
        runtime.block_on(async {
            scenario::run(fusebox_tokio::TokioTimer::new(), fusebox_tokio::FairTurns::new(), line).await;
        });
    });
    assert_golden("tokio, paused", &trace);
}

#[test]
fn tokio_real() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    let trace = collect(|line| {
        runtime.block_on(scenario::run(fusebox_tokio::TokioTimer::new(), fusebox_tokio::FairTurns::new(), line));
    });
    assert_golden("tokio", &trace);
}

#[test]
fn async_std() {
    assert_golden("async-std", &collect(|line| async_std::task::block_on(on_async_io(line))));
}

#[test]
fn smol() {
    assert_golden("smol", &collect(|line| smol::block_on(on_async_io(line))));
}

fn on_async_io(line: &mut dyn FnMut(Arguments<'_>)) -> impl Future<Output = ()> {
    scenario::run(fusebox_async_std::AsyncIoTimer::new(), fusebox_async_std::FairTurns::new(), line)
}

#[test]
fn embassy() {
    use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
    let turns = fusebox_embassy::FairTurns::<CriticalSectionRawMutex, 8>::new();
    let idle = || {
        embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(1));
        Some(())
    };
    let trace = collect(|line| {
        fusebox_tests::block_on(scenario::run(fusebox_embassy::EmbassyTimer::new(), turns, line), idle).unwrap();
    });
    assert_golden("embassy", &trace);
}
