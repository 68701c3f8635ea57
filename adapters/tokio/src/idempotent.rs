//! Calls that have one effect however often they are asked for.

use std::sync::Mutex;

use fusebox_drive::fusebox::{Idempotency, IdempotencyConfig, Shared};
use fusebox_drive::notify::NotifyWakes;

use crate::TokioTimer;

/// A [`drive::Idempotent`](crate::drive::Idempotent) on tokio, with `N` records in memory.
pub type Idempotent<K, V, const N: usize> =
    crate::drive::Idempotent<TokioTimer, Shared<Mutex<Idempotency<K, V, N>>>, NotifyWakes>;

/// Runs each operation once per key, and answers alike whoever asks again. The records are stored inline: put it in an
/// `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use fusebox_tokio::fusebox::idempotency::{Fingerprint, IdempotencyConfig};
/// use fusebox_tokio::fusebox::checked;
/// use fusebox_tokio::{Idempotent, Origin, idempotent};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let config = checked!(IdempotencyConfig::builder().build());
/// let payments: Arc<Idempotent<u64, String, 1_000>> = Arc::new(idempotent(config));
/// let pay = || async {
///     tokio::time::sleep(std::time::Duration::from_millis(100)).await;
///     Ok::<_, std::io::Error>("paid".to_owned())
/// };
/// let fingerprint = Fingerprint::of(br#"{"amount":5}"#);
/// let (first, second) = tokio::join!(payments.call(&7, fingerprint, pay), payments.call(&7, fingerprint, pay));
/// assert_eq!(first.unwrap().origin, Origin::Ran);
/// assert_eq!(second.unwrap().origin, Origin::Shared);
/// let third = payments.call(&7, fingerprint, pay).await.unwrap();
/// assert_eq!((third.value.as_str(), third.origin), ("paid", Origin::Stored));
/// # }
/// ```
///
/// With the records in a database, whose client implements [`Store`](crate::drive::idempotent::Store):
/// `drive::Idempotent::polling(TokioTimer::new(), store, backoff, entropy())`.
#[must_use]
pub fn idempotent<K, V, const N: usize>(config: IdempotencyConfig) -> Idempotent<K, V, N> {
    Idempotent::new(TokioTimer::new(), Shared::new(Mutex::new(Idempotency::new(config))), NotifyWakes::new())
}
