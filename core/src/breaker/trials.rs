//! The trials of a half-open breaker: who is out, and until when.

use crate::Instant;

/// A trial that is out. Its number tells it from another one in the same place, earlier or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Trial {
    number: u16,
    expires: Instant,
}

/// Places for `N` trials, each with a lease.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Trials<const N: usize> {
    places: [Option<Trial>; N],
    numbered: u16,
}

impl<const N: usize> Trials<N> {
    pub(super) const EMPTY: Self = Self { places: [None; N], numbered: 0 };

    pub(super) fn out(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// A place until `ttl` from now, or `None` when all are taken.
    pub(super) fn take(&mut self, now: Instant, ttl: u64) -> Option<u16> {
        let number = self.numbered;
        let place = self.places.iter_mut().find(|place| place.is_none())?;
        *place = Some(Trial { number, expires: now.after(ttl) });
        self.numbered = number.wrapping_add(1);
        Some(number)
    }

    /// Frees the place of trial `number`; whether it still had one.
    pub(super) fn give_back(&mut self, number: u16) -> bool {
        let of = |place: &&mut Option<Trial>| place.as_ref().is_some_and(|trial| trial.number == number);
        self.places.iter_mut().find(of).and_then(Option::take).is_some()
    }

    /// Frees the places whose lease is over and says how many. A lease that reaches further than `ttl` from now was
    /// given before the clock stepped back: it is cut.
    pub(super) fn expire(&mut self, now: Instant, ttl: u64) -> u32 {
        let mut lapsed = 0;
        for place in &mut self.places {
            match place {
                Some(trial) if now >= trial.expires => {
                    *place = None;
                    lapsed += 1;
                }
                Some(trial) => trial.expires = trial.expires.min(now.after(ttl)),
                None => {}
            }
        }
        lapsed
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.places.iter().flatten().map(|trial| trial.expires).min()
    }
}
