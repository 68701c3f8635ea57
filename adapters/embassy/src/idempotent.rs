//! Calls that have one effect however often they are asked for.

use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::RawMutex;
use fusebox_drive::fusebox::{Idempotency, IdempotencyConfig, Reason, Rejected, Shared};
use fusebox_drive::idempotent::Wakes;

use crate::{EmbassyLock, EmbassyTimer};

/// Wakes up to `W` tasks that wait for an answer. Whoever finds no place to wait is refused at once with
/// [`Reason::QueueFull`]. Stored inline: two words a place.
pub struct WakeList<M: RawMutex, const W: usize>(Mutex<M, RefCell<Waiting<W>>>);

struct Waiting<const W: usize> {
    /// Counts the wakings, so that none is missed between asking and waiting, and a place is nobody else's.
    round: u32,
    places: [Option<Waker>; W],
}

impl<M: RawMutex, const W: usize> WakeList<M, W> {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(RefCell::new(Waiting { round: 0, places: [const { None }; W] })))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Waiting<W>) -> R) -> R {
        self.0.lock(|waiting| f(&mut waiting.borrow_mut()))
    }
}

impl<M: RawMutex, const W: usize> fmt::Debug for WakeList<M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeList").finish_non_exhaustive()
    }
}

impl<M: RawMutex, const W: usize> Default for WakeList<M, W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: RawMutex, const W: usize> Wakes for WakeList<M, W> {
    fn wake_all(&self) {
        let woken = self.with(|waiting| {
            waiting.round = waiting.round.wrapping_add(1);
            core::mem::replace(&mut waiting.places, [const { None }; W])
        });
        // The lock is free again.
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    fn woken(&self) -> impl Future<Output = Result<(), Rejected>> {
        Woken { list: self, round: self.with(|waiting| waiting.round), place: None }
    }
}

/// Holds a place from its first poll until the next waking.
struct Woken<'a, M: RawMutex, const W: usize> {
    list: &'a WakeList<M, W>,
    round: u32,
    place: Option<usize>,
}

impl<M: RawMutex, const W: usize> Future for Woken<'_, M, W> {
    type Output = Result<(), Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (round, place) = (self.round, self.place);
        let waited = self.list.with(|waiting| (waiting.round == round).then(|| waiting.wait(place, cx.waker())));
        match waited {
            None => {
                self.place = None; // all of them were emptied
                Poll::Ready(Ok(()))
            }
            Some(None) => Poll::Ready(Err(Rejected { reason: Reason::QueueFull, retry_at: None })),
            Some(place) => {
                self.place = place;
                Poll::Pending
            }
        }
    }
}

impl<M: RawMutex, const W: usize> Drop for Woken<'_, M, W> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.list.with(|waiting| {
                if waiting.round == self.round {
                    waiting.places.get_mut(place).and_then(Option::take);
                }
            });
        }
    }
}

impl<const W: usize> Waiting<W> {
    /// The place of the one who has `place`, or a free one.
    fn wait(&mut self, place: Option<usize>, waker: &Waker) -> Option<usize> {
        let place = place.or_else(|| self.places.iter().position(Option::is_none))?;
        let held = self.places.get_mut(place)?;
        match held {
            Some(held) => held.clone_from(waker),
            None => *held = Some(waker.clone()),
        }
        Some(place)
    }
}

/// A [`drive::Idempotent`](crate::drive::Idempotent) on embassy, with `N` records, and places for `W` tasks that wait.
/// `M` says who shares it.
pub type Idempotent<M, K, V, const N: usize, const W: usize> =
    crate::drive::Idempotent<EmbassyTimer, Shared<EmbassyLock<M, Idempotency<K, V, N>>>, WakeList<M, W>>;

/// Runs each operation once per key, and answers alike whoever asks again. For a `static`.
///
/// ```
/// use core::time::Duration;
///
/// use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
/// use fusebox_embassy::fusebox::checked;
/// use fusebox_embassy::fusebox::idempotency::{Fingerprint, IdempotencyConfig};
/// use fusebox_embassy::{Idempotent, idempotent};
///
/// /// Commands come over a radio that repeats what was not acknowledged, to two tasks.
/// static COMMANDS: Idempotent<CriticalSectionRawMutex, u16, i8, 8, 2> = idempotent(checked!(
///     IdempotencyConfig::builder().lease(Duration::from_secs(5)).ttl(Duration::from_secs(60)).build()
/// ));
///
/// async fn on_command(sequence: u16, command: &[u8]) -> Option<i8> {
///     let answer = COMMANDS.call(&sequence, Fingerprint::of(command), || move_valve(command)).await;
///     answer.ok().map(|answer| answer.value) // to be sent back, whether it moved now or before
/// }
/// # async fn move_valve(_: &[u8]) -> Result<i8, ()> { Ok(0) }
/// ```
#[must_use]
pub const fn idempotent<M: RawMutex, K, V, const N: usize, const W: usize>(
    config: IdempotencyConfig,
) -> Idempotent<M, K, V, N, W> {
    Idempotent::new(EmbassyTimer, Shared::new(EmbassyLock::new(Idempotency::new(config))), WakeList::new())
}
