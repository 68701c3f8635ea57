//! The one who runs.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;

use super::{Answer, Called, Finished, Idempotent, IdempotentError, Origin, Renewal, Store, Unfinished, Wakes};
use crate::Timer;
use crate::alarm::Alarm;

/// Has the permit of a key. However it ends, those who wait are woken.
pub(super) struct Running<'a, T: Timer, S: Store, W: Wakes> {
    owner: &'a Idempotent<T, S, W>,
    permit: Option<S::Permit>,
}

impl<'a, T: Timer, S: Store, W: Wakes> Running<'a, T, S, W> {
    pub(super) const fn new(owner: &'a Idempotent<T, S, W>, permit: S::Permit) -> Self {
        Self { owner, permit: Some(permit) }
    }

    /// Runs the operation, and renews its lease meanwhile.
    pub(super) async fn attend<F: Future>(&self, mut operation: Pin<&mut F>) -> F::Output {
        let mut renewing = pin!(self.renew());
        let mut is_renewing = true;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = operation.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            is_renewing = is_renewing && renewing.as_mut().poll(cx).is_pending();
            Poll::Pending
        })
        .await
    }

    /// Ends when there is nothing more to renew.
    async fn renew(&self) {
        let (Some(Renewal { every, longest }), Some(permit)) = (self.owner.renewal, &self.permit) else { return };
        let timer = &self.owner.timer;
        let (mut alarm, last) = (pin!(Alarm::new(timer)), timer.now().after(longest));
        loop {
            let next = timer.now().after(every);
            if next > last {
                return;
            }
            alarm.as_mut().nap(next).await;
            // If the store fails it may be back the next time.
            if matches!(self.owner.store.renew(permit, timer).await, Ok(None)) {
                return; // somebody else took over
            }
        }
    }

    /// Stores the answer, or lets go of the key.
    pub(super) async fn end<E>(
        mut self,
        answer: Result<S::Value, E>,
        judge: impl FnOnce(&E) -> Unfinished,
    ) -> Called<S, E> {
        match answer {
            Ok(value) => {
                let origin = self.finish(&value).await;
                Ok(Answer { value, origin })
            }
            Err(error) => {
                self.fail(judge(&error)).await;
                Err(IdempotentError::Operation(error))
            }
        }
    }

    async fn finish(&mut self, value: &S::Value) -> Origin<S::Error> {
        let Some(permit) = self.permit.take() else { return Origin::Late };
        match self.owner.store.finish(permit, value, &self.owner.timer).await {
            Ok(Finished::Stored) => Origin::Ran,
            Ok(Finished::Late) => Origin::Late,
            Err(error) => Origin::Unstored(error),
        }
    }

    async fn fail(&mut self, unfinished: Unfinished) {
        let permit = self.permit.take().filter(|_| unfinished == Unfinished::Free);
        if let Some(permit) = permit {
            // If the store fails, the lease ends it.
            drop(self.owner.store.cancel(permit, &self.owner.timer).await);
        }
    }
}

impl<T: Timer, S: Store, W: Wakes> Drop for Running<'_, T, S, W> {
    fn drop(&mut self) {
        let permit = self.permit.take().filter(|_| self.owner.on_drop == Unfinished::Free);
        if let Some(permit) = permit {
            self.owner.store.cancel_now(permit, &self.owner.timer);
        }
        self.owner.wakes.wake_all();
    }
}
