//! Calls that have one effect however often they are asked for.

use std::future::Future;
use std::sync::Mutex;

use fusebox_drive::fusebox::{Idempotency, IdempotencyConfig, Rejected, Shared};
use fusebox_drive::idempotent::Wakes;
use tokio::sync::Notify;

use crate::AsyncIoTimer;

/// Wakes any number of those who wait for an answer.
#[derive(Debug, Default)]
pub struct NotifyWakes(Notify);

impl NotifyWakes {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self(Notify::const_new())
    }
}

impl Wakes for NotifyWakes {
    fn wake_all(&self) {
        self.0.notify_waiters();
    }

    fn woken(&self) -> impl Future<Output = Result<(), Rejected>> {
        let notified = self.0.notified(); // hears from here on, polled or not
        async move {
            notified.await;
            Ok(())
        }
    }
}

/// A [`drive::Idempotent`](crate::drive::Idempotent) on async-io, with `N` records in memory.
pub type Idempotent<K, V, const N: usize> =
    crate::drive::Idempotent<AsyncIoTimer, Shared<Mutex<Idempotency<K, V, N>>>, NotifyWakes>;

/// Runs each operation once per key, and answers alike whoever asks again. The records are stored inline: put it in an
/// `Arc`.
///
/// ```
/// use std::convert::Infallible;
/// use fusebox_async_std::fusebox::idempotency::{Fingerprint, IdempotencyConfig};
/// use fusebox_async_std::fusebox::checked;
/// use fusebox_async_std::{Idempotent, Origin, idempotent};
///
/// let mails: Idempotent<u64, &str, 100> = idempotent(checked!(IdempotencyConfig::builder().build()));
/// let send = || async { Ok::<_, Infallible>("sent") };
/// async_std::task::block_on(async {
///     let first = mails.call(&7, Fingerprint::of(b"hello"), send).await.unwrap();
///     let again = mails.call(&7, Fingerprint::of(b"hello"), send).await.unwrap();
///     assert_eq!((first.origin, again.origin), (Origin::Ran, Origin::Stored));
/// });
/// ```
#[must_use]
pub fn idempotent<K, V, const N: usize>(config: IdempotencyConfig) -> Idempotent<K, V, N> {
    Idempotent::new(AsyncIoTimer::new(), Shared::new(Mutex::new(Idempotency::new(config))), NotifyWakes::new())
}
