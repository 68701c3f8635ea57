//! The table as a list that is looked at from front to back.

use fusebox::{Instant, Reason, Rejected};

use super::{LEASE, TTL, at};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Run,
    Stored(u32),
    Refused(Rejected),
}

#[derive(Clone, Copy)]
struct Row {
    key: u32,
    print: u64,
    /// The number of the grant, and its answer.
    number: u32,
    done: bool,
    until: u64,
}

pub(crate) struct Model {
    rows: Vec<Option<Row>>,
    last: u64,
    pub(crate) lapsed: u32,
    pub(crate) late: u32,
    pub(crate) questions: u32,
}

fn refused(reason: Reason, retry_at: Option<Instant>) -> Said {
    Said::Refused(Rejected { reason, retry_at })
}

impl Model {
    pub(crate) fn new(places: usize) -> Self {
        Self { rows: vec![None; places], last: 0, lapsed: 0, late: 0, questions: 0 }
    }

    /// What a step back of the clock does.
    pub(crate) fn look(&mut self, now: u64) {
        for row in self.rows.iter_mut().flatten() {
            let longest = now + if row.done { TTL } else { LEASE };
            if now < self.last && row.until > longest {
                row.until = longest;
            }
        }
        self.last = now;
    }

    pub(crate) fn begin(&mut self, key: u32, print: u64, number: u32, now: u64) -> Said {
        self.look(now);
        self.questions += 1;
        let own = self.rows.iter().flatten().find(|row| row.key == key && now < row.until);
        match own {
            Some(row) if row.print != print => return refused(Reason::KeyConflict, None),
            Some(row) if row.done => return Said::Stored(row.number),
            Some(row) => return refused(Reason::KeyInFlight, Some(at(row.until))),
            None => {}
        }
        // How good each place is: its own, one that is of no use to anybody, one that may still be.
        let goodness = |row: &Option<Row>| match row {
            Some(row) if row.key == key => Some(0),
            None => Some(1),
            Some(row) if now < row.until => None,
            Some(row) => Some(if row.done { 1 } else { 2 }),
        };
        let places = self.rows.iter().enumerate();
        let Some((_, best)) = places.filter_map(|(at, row)| Some((goodness(row)?, at))).min() else {
            let soonest = self.rows.iter().flatten().map(|row| row.until).min();
            return refused(Reason::RecordsFull, soonest.map(at));
        };
        self.lapsed += u32::from(self.rows[best].is_some_and(|row| !row.done));
        self.rows[best] = Some(Row { key, print, number, done: false, until: now + LEASE });
        Said::Run
    }

    fn granted(&mut self, number: u32) -> Option<&mut Row> {
        self.rows.iter_mut().flatten().find(|row| row.number == number && !row.done)
    }

    /// Whether the answer is kept.
    pub(crate) fn finish(&mut self, number: u32, now: u64) -> bool {
        self.look(now);
        let row = self.granted(number).map(|row| {
            row.done = true;
            row.until = now + TTL;
        });
        self.late += u32::from(row.is_none());
        row.is_some()
    }

    pub(crate) fn renew(&mut self, number: u32, now: u64) -> Option<u64> {
        self.look(now);
        self.granted(number).map(|row| {
            row.until = now + LEASE;
            row.until
        })
    }

    pub(crate) fn cancel(&mut self, number: u32, now: u64) {
        self.look(now);
        for row in &mut self.rows {
            if row.is_some_and(|row| row.number == number && !row.done) {
                *row = None;
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: u64) {
        self.look(now);
        for row in &mut self.rows {
            if row.is_some_and(|row| row.done && now >= row.until) {
                *row = None;
            }
        }
    }

    /// The answer, if any, and the end of what is known of `key`.
    pub(crate) fn state(&self, key: u32, now: u64) -> Option<(Option<u32>, u64)> {
        let mut cut = Self { rows: self.rows.clone(), ..*self };
        cut.look(now);
        let row = *cut.rows.iter().flatten().find(|row| row.key == key && now < row.until)?;
        Some((row.done.then_some(row.number), row.until))
    }

    pub(crate) fn next_done(&self) -> Option<u64> {
        self.rows.iter().flatten().filter(|row| row.done).map(|row| row.until).min()
    }

    /// How many are in flight and done.
    pub(crate) fn live(&self, now: u64) -> (usize, usize) {
        let live = |done| self.rows.iter().flatten().filter(|row| row.done == done && now < row.until).count();
        (live(false), live(true))
    }
}
