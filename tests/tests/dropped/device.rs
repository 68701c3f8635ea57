//! Calls to a device that is recovered.

use std::cell::{Cell, RefCell};

use fusebox::Lock;
use fusebox::recovery::{Act, Ladder, LadderConfig, Rung, Standing};
use fusebox_drive::{Attempt, CallError, Recovering};
use tokio::join;

use super::cut::{Scene, Task, at_once, sweep};
use super::ms;
use super::retry::MINUTE;
use super::runtimes::Runtime;

pub(crate) fn all<R: Runtime>(runtime: &R) {
    let points = ["in line", "reads", "after reads", "acts", "after acts"];
    sweep(runtime, "a call to a device that fails", &points, recovered::<R>);
}

fn config() -> LadderConfig<(), 2> {
    // The action as often as somebody abandons it, and once more.
    let rungs = [Rung::retry(ms(2)), Rung::action((), MINUTE, ms(2)).times(2)];
    LadderConfig::builder(MINUTE, rungs).build().unwrap()
}

/// One calls while the device works; then it fails, and the one who is cut finds that out. The one behind it goes on.
async fn recovered<R: Runtime>(scene: &Scene<R>) {
    let guarded = Recovering::fair(&scene.timer, R::lock(Ladder::new(config())), scene.line());
    let (works, users, log) = (Cell::new(true), Cell::new(0), RefCell::new(vec![]));
    let alone = async |name, millis| {
        assert_eq!(users.replace(1), 0, "one at a time");
        let _using = Using(&users);
        log.borrow_mut().push(name);
        scene.at(name, scene.sleep(millis)).await;
    };
    let call = || {
        let read = async |_: Attempt| {
            alone("reads", 1).await;
            if works.get() { Ok(7) } else { Err("no") }
        };
        let act = async |_: Act<()>| {
            alone("acts", 2).await;
            works.set(true);
            Ok::<_, ()>(())
        };
        guarded.call(read, act)
    };
    let ahead = async {
        let answer = Task::new(call()).run().await;
        works.set(false);
        answer
    };
    let ends: (Answer, _, Answer) = join!(biased; Task::new(ahead).run(), scene.cut(call()), Task::new(call()).run());
    assert!(matches!(ends, (Ok(7), None | Some(Ok(7)), Ok(7))), "{ends:?}");
    assert_eq!((users.get(), standing(guarded.ladder())), (0, Standing::Working));
    if scene.was_cut_at("acts") {
        assert!(log.take().windows(2).any(|uses| uses == ["acts"; 2]), "what was abandoned is done again at once");
    }
    let answer: Option<Answer> = at_once(guarded.call(async |_| Ok(8), async |_| Ok::<_, ()>(())));
    assert_eq!(answer, Some(Ok(8)), "the line is free");
}

type Answer = Result<u32, CallError<&'static str>>;

fn standing<L: Lock<Value = Ladder<(), 2>>>(ladder: &fusebox::Shared<L>) -> Standing {
    ladder.with(|ladder| ladder.standing())
}

struct Using<'u>(&'u Cell<u32>);

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.0.set(0);
    }
}
