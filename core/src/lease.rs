//! Places that are taken for a time: whoever does not come back by then loses the place.

use crate::Instant;

/// Who has a place, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Lease<Id> {
    id: Id,
    expires: Instant,
}

/// `N` places. The owner gives the numbers, and gives none again while an earlier holder of it may still come back.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Leases<Id, const N: usize> {
    places: [Option<Lease<Id>>; N],
}

impl<Id: Copy + Ord, const N: usize> Leases<Id, N> {
    pub(crate) const EMPTY: Self = Self { places: [None; N] };

    fn all(&self) -> impl Iterator<Item = &Lease<Id>> {
        self.places.iter().flatten()
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        self.all().count()
    }

    /// A place for `id`; whether there was one.
    pub(crate) fn take(&mut self, id: Id, expires: Instant) -> bool {
        let place = self.places.iter_mut().find(|place| place.is_none());
        place.map(|place| *place = Some(Lease { id, expires })).is_some()
    }

    /// Frees the place of `id`; whether it still had one.
    pub(crate) fn give_back(&mut self, id: Id) -> bool {
        let of = |place: &&mut Option<Lease<Id>>| place.as_ref().is_some_and(|lease| lease.id == id);
        self.places.iter_mut().find(of).and_then(Option::take).is_some()
    }

    /// Frees the places whose time is over and says how many. A time that reaches further than `ttl` from now was given
    /// before the clock stepped back: it is cut.
    pub(crate) fn expire(&mut self, now: Instant, ttl: u64) -> u32 {
        let mut expired = 0;
        for place in &mut self.places {
            match place {
                Some(lease) if now >= lease.expires => {
                    *place = None;
                    expired += 1;
                }
                Some(lease) => lease.expires = lease.expires.min(now.after(ttl)),
                None => {}
            }
        }
        expired
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.all().map(|lease| lease.expires).min()
    }

    /// Until when `id` has its place.
    pub(crate) fn expires(&self, id: Id) -> Option<Instant> {
        self.all().find(|lease| lease.id == id).map(|lease| lease.expires)
    }

    /// The smallest number among those that have a place.
    pub(crate) fn first(&self) -> Option<Id> {
        self.all().map(|lease| lease.id).min()
    }

    /// The smallest number among those whose time is over.
    pub(crate) fn first_expired(&self, now: Instant) -> Option<Id> {
        self.all().filter(|lease| now >= lease.expires).map(|lease| lease.id).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn a_place_is_freed_once() {
        let mut leases = Leases::<u64, 2>::EMPTY;
        assert!(leases.take(1, at(10)) && leases.take(2, at(20)) && !leases.take(3, at(30)));
        assert_eq!((leases.taken(), leases.next_expiry(), leases.first()), (2, Some(at(10)), Some(1)));
        assert_eq!((leases.expire(at(9), 100), leases.expire(at(10), 100)), (0, 1));
        assert!(!leases.give_back(1), "lapsed");
        assert!(leases.give_back(2) && !leases.give_back(2));
        assert_eq!((leases.taken(), leases.next_expiry(), leases.first()), (0, None, None));
    }

    #[test]
    fn a_clock_that_steps_back_lengthens_no_lease() {
        let mut leases = Leases::<u64, 2>::EMPTY;
        assert!(leases.take(1, at(1_000)) && leases.take(2, at(105)));
        assert_eq!(leases.first_expired(at(100)), None);
        assert_eq!(leases.expire(at(100), 10), 0);
        assert_eq!((leases.expires(1), leases.expires(2)), (Some(at(110)), Some(at(105))));
        assert_eq!((leases.first_expired(at(105)), leases.first_expired(at(110))), (Some(2), Some(1)));
    }
}
