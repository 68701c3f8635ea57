//! A line alone.

use std::cell::RefCell;

use fusebox_drive::Turns;
use tokio::join;

use super::cut::{Scene, Task, at_once, sweep};
use super::runtimes::Runtime;

pub(crate) fn all<R: Runtime>(runtime: &R) {
    sweep(runtime, "a turn", &["in line", "has the turn"], turn::<R>);
    sweep(runtime, "a release waited for", &["waits for a release"], freed::<R>);
}

/// The second of three in line is dropped.
async fn turn<R: Runtime>(scene: &Scene<R>) {
    let (line, log) = (scene.line(), RefCell::new(vec![]));
    let in_line = async |caller: u32, takes: u64| {
        let _turn = line.turn().await.unwrap();
        log.borrow_mut().push(caller);
        scene.at("has the turn", scene.sleep(takes)).await;
    };
    let [first, second, fourth] = [(0, 3), (1, 1), (3, 1)].map(|(caller, takes)| Task::new(in_line(caller, takes)));
    join!(biased; first.run(), second.run(), scene.cut(in_line(2, 2)), fourth.run());
    let log = log.take();
    let rest: Vec<_> = log.iter().filter(|caller| **caller != 2).collect();
    assert_eq!(rest, [&0, &1, &3], "in order");
    assert!(line.try_turn().is_some(), "the line is free");
}

/// The first in line is dropped while it waits for what others give back: the next one is told.
async fn freed<R: Runtime>(scene: &Scene<R>) {
    let line = scene.line();
    let frees = async {
        scene.sleep(2).await;
        line.free();
    };
    let (heard, ()) = join!(biased; scene.cut(line.freed()), Task::new(frees).run());
    let again = at_once(line.freed());
    assert_eq!(again.is_some(), heard.is_none(), "once");
}
