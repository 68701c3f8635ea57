//! Places for attempts that run side by side, without allocation: what a [`Policy`] of one's own needs to be driven.

use core::pin::Pin;
use core::task::{Context, Poll};

use fusebox::hedge::HedgeDelay;
use fusebox::{HedgePolicy, Policy, RetryPolicy};
use pin_project_lite::pin_project;

/// Something that runs in a place.
pub trait Runs {
    /// What it is when it has ended.
    type Ran;
    /// What is left of it when it is stopped.
    type Rest;

    /// Its number.
    fn number(&self) -> u16;

    /// Goes on.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Ran>>;

    /// Is about to be dropped.
    fn stop(self: Pin<&mut Self>) -> Option<Self::Rest>;
}

/// So many places: a list of places, each with the next one inside, because that needs no unsafe code.
pub trait Slots<R: Runs>: Default {
    /// Whether nothing runs.
    fn is_empty(&self) -> bool;

    /// A free place. A plan should start no more than there are: one too many is refused.
    fn free(self: Pin<&mut Self>) -> Option<Pin<&mut Option<R>>>;

    /// The first to have ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<R::Ran>;

    /// Stops the one of this number.
    fn stop(self: Pin<&mut Self>, number: u16) -> Option<R::Rest>;
}

/// The end of the list.
#[derive(Debug, Default)]
pub struct End;

impl<R: Runs> Slots<R> for End {
    fn is_empty(&self) -> bool {
        true
    }
    fn free(self: Pin<&mut Self>) -> Option<Pin<&mut Option<R>>> {
        None
    }
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Option<R::Ran> {
        None
    }
    fn stop(self: Pin<&mut Self>, _number: u16) -> Option<R::Rest> {
        None
    }
}

pin_project! {
    /// A place, and those behind it.
    #[derive(Debug)]
    pub struct Slot<R, S> {
        #[pin]
        running: Option<R>,
        #[pin]
        rest: S,
    }
}

impl<R, S: Default> Default for Slot<R, S> {
    fn default() -> Self {
        Self { running: None, rest: S::default() }
    }
}

impl<R: Runs, S: Slots<R>> Slots<R> for Slot<R, S> {
    fn is_empty(&self) -> bool {
        self.running.is_none() && self.rest.is_empty()
    }

    #[inline]
    fn free(self: Pin<&mut Self>) -> Option<Pin<&mut Option<R>>> {
        let this = self.project();
        if this.running.is_none() { Some(this.running) } else { this.rest.free() }
    }

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<R::Ran> {
        let mut this = self.project();
        if let Some(running) = this.running.as_mut().as_pin_mut() {
            if let Poll::Ready(ran) = running.poll(cx) {
                this.running.set(None);
                return ran;
            }
        }
        this.rest.poll(cx)
    }

    fn stop(self: Pin<&mut Self>, number: u16) -> Option<R::Rest> {
        let mut this = self.project();
        match this.running.as_mut().as_pin_mut() {
            Some(running) if running.number() == number => {
                let rest = running.stop();
                this.running.set(None);
                rest
            }
            _ => this.rest.stop(number),
        }
    }
}

/// A policy whose calls a pipeline can drive: it says how many attempts may run side by side.
pub trait Drive: Policy {
    /// Places for as many attempts.
    type Slots<R: Runs>: Slots<R>;
}

impl Drive for RetryPolicy {
    type Slots<R: Runs> = Slot<R, End>;
}

macro_rules! hedges {
    ($($n:literal: $slots:ty,)*) => {$(
        impl<D: HedgeDelay> Drive for HedgePolicy<$n, D> {
            type Slots<R: Runs> = $slots;
        }
    )*};
}

hedges! {
    2: Slot<R, Slot<R, End>>,
    3: Slot<R, Slot<R, Slot<R, End>>>,
    4: Slot<R, Slot<R, Slot<R, Slot<R, End>>>>,
    5: Slot<R, Slot<R, Slot<R, Slot<R, Slot<R, End>>>>>,
    6: Slot<R, Slot<R, Slot<R, Slot<R, Slot<R, Slot<R, End>>>>>>,
}
