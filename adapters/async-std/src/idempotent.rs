//! Calls that have one effect however often they are asked for.

use std::sync::Mutex;

use fusebox_drive::fusebox::{Idempotency, IdempotencyConfig, Shared};
use fusebox_drive::notify::NotifyWakes;

use crate::AsyncIoTimer;

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
