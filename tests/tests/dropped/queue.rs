//! Tasks that drain a queue.

use std::cell::{Cell, RefCell};

use fusebox::Quota;
use fusebox::queue::{LevelConfig, LevelingQueue, Queued, Terms};
use fusebox_drive::Drainer;
use tokio::join;

use super::cut::{Scene, Task, sweep};
use super::ms;
use super::runtimes::Runtime;

pub(crate) fn all<R: Runtime>(runtime: &R) {
    sweep(runtime, "a task that drains a queue", &["listens", "serves", "after serves"], run::<R>);
    sweep(runtime, "a task that alone knows of an item", &["listens", "serves", "after serves"], knows::<R>);
    sweep(runtime, "the next item of a queue", &["listens"], next::<R>);
}

type Queue<R> = Drainer<
    <R as Runtime>::Timer,
    <R as Runtime>::Locked<LevelingQueue<u32, 8>>,
    super::watch::Watched<<R as Runtime>::Bell>,
>;

/// An item each 2 ms.
fn queue<R: Runtime>(scene: &Scene<R>) -> Queue<R> {
    let rate = Quota::new(1, ms(2)).unwrap().with_burst(1).unwrap();
    let config = LevelConfig::builder().rate(rate).build().unwrap();
    Drainer::new(scene.timer.clone(), R::lock(LevelingQueue::new(config)), scene.watched(R::Bell::default()))
}

type Items = RefCell<Vec<u32>>;

/// Pushes two items, two more when those are served, and closes the queue when all are: by then nobody was woken for that.
async fn pushes<R: Runtime>(scene: &Scene<R>, queue: &Queue<R>, begun: &Items) {
    for items in [0..2, 2..4] {
        scene.sleep(1).await;
        items.clone().for_each(|item| assert!(queue.try_push(item, Terms::NONE).is_ok()));
        until_begun(scene, begun, items.end).await;
    }
    queue.close();
}

async fn until_begun<R: Runtime>(scene: &Scene<R>, begun: &Items, items: u32) {
    for _ in 0..1_000 {
        if begun.borrow().len() == items as usize {
            return;
        }
        scene.sleep(1).await;
    }
    panic!("nobody comes for what waits: {:?}", begun.borrow());
}

/// One of two workers is dropped, or the only one and another comes: what it did not serve the other one does.
async fn run<R: Runtime>(scene: &Scene<R>) {
    let (queue, begun) = (queue(scene), Items::default());
    let lost = work(scene, &queue, &begun, pushes(scene, &queue, &begun)).await;
    let mut begun = begun.take();
    begun.sort_unstable();
    assert_eq!(begun, [0, 1, 2, 3], "each once");
    let told = queue.snapshot();
    assert_eq!((told.len, told.served, told.lost), (0, 4, lost));
}

/// Only one of the workers has heard of the item, and waits for its time.
async fn knows<R: Runtime>(scene: &Scene<R>) {
    let (queue, begun) = (queue(scene), Items::default());
    assert!(queue.try_push(0, Terms::NONE).is_ok());
    assert!(queue.next().await.is_some(), "so that the next one has to wait");
    let push = async {
        scene.sleep(1).await;
        assert!(queue.try_push(1, Terms::NONE).is_ok());
        until_begun(scene, &begun, 1).await;
        queue.close();
    };
    let lost = work(scene, &queue, &begun, push).await;
    assert_eq!((queue.snapshot().len, queue.snapshot().lost), (0, lost));
}

/// As many workers as may be, one of which is cut, beside `pushes`; how many items they lost.
async fn work<R: Runtime>(scene: &Scene<R>, queue: &Queue<R>, begun: &Items, pushes: impl Future<Output = ()>) -> u32 {
    let served = Cell::new(0);
    let work = async || {
        let serve = async |queued: Queued<u32>| {
            begun.borrow_mut().push(queued.item);
            scene.at("serves", scene.sleep(1)).await;
            served.set(served.get() + 1);
        };
        queue.run(serve, |_| panic!("nothing is too late")).await;
    };
    let cut = async {
        scene.cut(work()).await;
        if R::WORKERS == 1 {
            work().await;
        }
    };
    let other = async {
        if R::WORKERS > 1 {
            Task::new(work()).run().await;
        }
    };
    join!(biased; cut, other, Task::new(pushes).run());
    let lost = u32::try_from(begun.borrow().len()).unwrap() - served.get();
    assert!(lost <= 1);
    lost
}

/// Nothing is taken by who is dropped.
async fn next<R: Runtime>(scene: &Scene<R>) {
    let queue = queue(scene);
    let push = async {
        scene.sleep(1).await;
        (0..4).for_each(|item| assert!(queue.try_push(item, Terms::NONE).is_ok()));
        queue.close();
    };
    let (taken, ()) = join!(biased; scene.cut(queue.next()), Task::new(push).run());
    let mut items: Vec<_> = taken.into_iter().flatten().map(|next| next.unwrap().item).collect();
    while let Some(next) = queue.next().await {
        items.push(next.unwrap().item);
    }
    assert_eq!(items, [0, 1, 2, 3]);
}
