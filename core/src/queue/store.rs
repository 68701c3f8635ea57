//! Places for items, in one line per class: everything in constant time.

use super::codel::back;
use crate::Instant;

/// Which end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Oldest,
    Newest,
}

/// An item that waits.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Entry<T> {
    pub(super) item: T,
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
}

impl<T> Entry<T> {
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

/// No place.
const NONE: u16 = u16::MAX;

/// A place: an item and its neighbours, or free.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Place<T> {
    entry: Option<Entry<T>>,
    older: u16,
    /// While free: the next free one.
    newer: u16,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Line {
    oldest: u16,
    newest: u16,
    len: u16,
}

/// `N` places for `C` lines.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Store<T, const N: usize, const C: usize> {
    places: [Place<T>; N],
    lines: [Line; C],
    /// The place that was freed last.
    free: u16,
    /// Places from here on were never used.
    fresh: u16,
}

impl<T, const N: usize, const C: usize> Store<T, N, C> {
    pub(super) const fn new() -> Self {
        Self {
            places: [const { Place { entry: None, older: NONE, newer: NONE } }; N],
            lines: [Line { oldest: NONE, newest: NONE, len: 0 }; C],
            free: NONE,
            fresh: 0,
        }
    }

    /// How many wait in `class`.
    pub(super) fn len_of(&self, class: usize) -> usize {
        self.lines.get(class).map_or(0, |line| line.len.into())
    }

    /// How many wait in all.
    pub(super) fn len(&self) -> usize {
        (0..C).map(|class| self.len_of(class)).sum()
    }

    /// The item at that end of the line.
    pub(super) fn peek(&self, class: usize, end: End) -> Option<&Entry<T>> {
        let line = self.lines.get(class)?;
        let at = match end {
            End::Oldest => line.oldest,
            End::Newest => line.newest,
        };
        self.places.get(usize::from(at))?.entry.as_ref()
    }

    /// Puts `entry` at the end of the line of `class`, or gives it back when no place is free.
    pub(super) fn push(&mut self, class: usize, entry: Entry<T>) -> Result<(), Entry<T>> {
        let Some(at) = self.free_place() else { return Err(entry) };
        let (Some(place), Some(line)) = (self.places.get_mut(usize::from(at)), self.lines.get_mut(class)) else {
            return Err(entry);
        };
        if self.free == at {
            self.free = place.newer;
        } else {
            self.fresh += 1;
        }
        *place = Place { entry: Some(entry), older: line.newest, newer: NONE };
        let before = core::mem::replace(&mut line.newest, at);
        line.len += 1;
        match self.places.get_mut(usize::from(before)) {
            Some(before) => before.newer = at,
            None => line.oldest = at,
        }
        Ok(())
    }

    /// Takes the item at that end of the line.
    pub(super) fn take(&mut self, class: usize, end: End) -> Option<Entry<T>> {
        let line = self.lines.get_mut(class)?;
        let at = match end {
            End::Oldest => line.oldest,
            End::Newest => line.newest,
        };
        let place = self.places.get_mut(usize::from(at))?;
        let entry = place.entry.take()?;
        let (older, newer) = (place.older, place.newer);
        place.newer = core::mem::replace(&mut self.free, at);
        line.len -= 1;
        // One of the neighbours is there at most, and then it is at the end now.
        match self.places.get_mut(usize::from(older)) {
            Some(older) => older.newer = NONE,
            None => line.oldest = newer,
        }
        match self.places.get_mut(usize::from(newer)) {
            Some(newer) => newer.older = NONE,
            None => line.newest = older,
        }
        Some(entry)
    }

    /// The clock has stepped back by so many nanoseconds: all instants move with it.
    pub(super) fn step_back(&mut self, by: u64) {
        for entry in self.places.iter_mut().filter_map(|place| place.entry.as_mut()) {
            entry.since = back(entry.since, by);
            entry.deadline = entry.deadline.map(|deadline| back(deadline, by));
        }
    }

    fn free_place(&self) -> Option<u16> {
        if self.free != NONE {
            return Some(self.free);
        }
        (usize::from(self.fresh) < N).then_some(self.fresh)
    }
}
