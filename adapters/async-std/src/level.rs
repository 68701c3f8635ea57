//! A queue that is drained by tasks.

use std::sync::Mutex;

use fusebox_drive::Drainer;
use fusebox_drive::fusebox::{LevelConfig, LevelingQueue};
use fusebox_drive::notify::NotifyBell;

use crate::AsyncIoTimer;

/// A queue with `N` places for items of `C` classes, pushed to from anywhere and drained by any number of tasks.
pub type Leveler<I, const N: usize, const C: usize = 1> =
    Drainer<AsyncIoTimer, Mutex<LevelingQueue<I, N, C>>, NotifyBell>;

/// An empty queue. It is stored inline: put it in an `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use fusebox_async_std::fusebox::queue::{LevelConfig, Queued, Terms};
/// use fusebox_async_std::fusebox::{Quota, checked};
/// use fusebox_async_std::{Leveler, leveler};
///
/// const CONFIG: LevelConfig = checked!(
///     LevelConfig::builder().rate(checked!(Quota::per_second(1_000))).max_wait(Duration::from_secs(1)).build()
/// );
/// let mails: Arc<Leveler<&str, 64>> = Arc::new(leveler(CONFIG));
/// let worker = async_std::task::spawn({
///     let mails = Arc::clone(&mails);
///     async move {
///         let send = |mail: Queued<&'static str>| async move { println!("{}", mail.item) };
///         mails.run(send, |unserved| println!("{}: {}", unserved.queued.item, unserved.why)).await;
///     }
/// });
/// assert!(mails.try_push("hello", Terms::NONE).is_ok());
/// mails.close();
/// async_std::task::block_on(worker); // what waits is still served
/// assert_eq!(mails.snapshot().served, 1);
/// ```
#[must_use]
pub fn leveler<I, const N: usize, const C: usize>(config: LevelConfig) -> Leveler<I, N, C> {
    Drainer::new(AsyncIoTimer::new(), Mutex::new(LevelingQueue::new(config)), NotifyBell::default())
}
