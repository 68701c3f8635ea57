//! Those who submit to tokio's queue, and its workers.

use std::cell::Cell;

use fusebox::LevelConfig;
use fusebox::queue::{Queued, Terms};
use fusebox_tokio::{Leveler, Unanswered};
use tokio::join;

use super::cut::{Scene, Task, sweep};
use super::runtimes::{Runtime, Tokio};

pub(crate) fn all<const PAUSED: bool>(runtime: &Tokio<PAUSED>) {
    sweep(runtime, "a worker", &["begun", "serves", "after serves"], worker);
    sweep(runtime, "who submits to a full queue", &["begun"], submitter);
    sweep(runtime, "who waits for its item's answer", &["answer"], answer);
}

fn queue<const N: usize>() -> Leveler<u32, u32, N> {
    Leveler::new(LevelConfig::builder().build().unwrap())
}

async fn serves<R: Runtime, const N: usize>(scene: &Scene<R>, queue: &Leveler<u32, u32, N>) {
    let serve = async |queued: Queued<u32>| {
        scene.at("serves", scene.sleep(1)).await;
        queued.item
    };
    queue.work(serve).await;
}

/// Everybody gets an answer, or is told that it is lost.
async fn worker<R: Runtime>(scene: &Scene<R>) {
    let queue = queue::<8>();
    let submits = async {
        scene.sleep(1).await;
        let answers = [0, 1, 2, 3].map(|item| (item, queue.try_submit(item, Terms::NONE).unwrap()));
        scene.sleep(8).await;
        queue.close();
        let mut lost = 0;
        for (item, answer) in answers {
            match answer.await {
                Ok(answered) => assert_eq!(answered, item),
                Err(unanswered) => {
                    assert_eq!(unanswered, Unanswered::Lost);
                    lost += 1;
                }
            }
        }
        lost
    };
    let others = [(); 2].map(|()| Task::new(serves(scene, &queue)));
    let [second, third] = others;
    let (end, (), (), lost) =
        join!(biased; scene.cut(serves(scene, &queue)), second.run(), third.run(), Task::new(submits).run());
    assert!(lost <= u32::from(end.is_none()));
    let told = queue.snapshot();
    assert_eq!((told.len, told.served, told.lost), (0, 4, lost));
}

/// The only place is taken, and two wait for it, of whom the first is dropped.
async fn submitter<R: Runtime>(scene: &Scene<R>) {
    let queue = queue::<1>();
    let first = queue.try_submit(0, Terms::NONE).unwrap();
    let works = async {
        scene.sleep(2).await;
        serves(scene, &queue).await;
    };
    let submits = async |item| queue.submit(item, Terms::NONE).await.unwrap().await;
    let ends = async {
        let (cut, behind) = join!(biased; scene.cut(queue.submit(1, Terms::NONE)), Task::new(submits(2)).run());
        assert_eq!((first.await, behind), (Ok(0), Ok(2)));
        if let Some(answer) = cut {
            assert_eq!(answer.unwrap().await, Ok(1));
        }
        queue.close();
    };
    join!(biased; Task::new(ends).run(), Task::new(works).run());
    assert_eq!((queue.snapshot().len, queue.snapshot().lost), (0, 0));
}

/// The item is served all the same.
async fn answer<R: Runtime>(scene: &Scene<R>) {
    let (queue, served) = (queue::<1>(), Cell::new(0));
    let answer = queue.try_submit(7, Terms::NONE).unwrap();
    let works = async {
        let serve = async |queued: Queued<u32>| {
            scene.sleep(2).await;
            served.set(queued.item);
            queued.item
        };
        queue.work(serve).await;
    };
    let closes = async {
        let end = scene.cut(scene.at("answer", answer)).await;
        assert!(end.is_none_or(|answered| answered == Ok(7)));
        queue.close();
    };
    join!(biased; closes, Task::new(works).run());
    assert_eq!(served.get(), 7);
}
