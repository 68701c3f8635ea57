//! What happened to each key, and what must follow from it in any table. For a clock that does not step back.

use std::collections::HashMap;

use fusebox::Reason;

use super::model::Said;
use super::{LEASE, TTL};

#[derive(Clone, Copy, PartialEq)]
enum End {
    Open,
    Cancelled,
    Finished(u64),
}

/// The last grant of a key.
#[derive(Clone, Copy)]
struct Grant {
    number: u32,
    print: u64,
    leased: u64,
    end: End,
}

#[derive(Default)]
pub(crate) struct History(HashMap<u32, Grant>);

impl History {
    pub(crate) fn asked(&mut self, key: u32, print: u64, number: u32, said: Said, now: u64) {
        let last = self.0.get(&key).copied();
        let in_flight = last.filter(|last| last.end == End::Open && now < last.leased + LEASE);
        let done = last.filter(|last| matches!(last.end, End::Finished(at) if now < at + TTL));
        match said {
            Said::Run => {
                assert!(in_flight.is_none() && done.is_none(), "{number}: granted twice");
                self.0.insert(key, Grant { number, print, leased: now, end: End::Open });
            }
            Said::Stored(value) => {
                let done = done.unwrap();
                assert_eq!((value, print), (done.number, done.print), "{number}: another one's answer");
            }
            Said::Refused(rejected) => match rejected.reason {
                Reason::KeyInFlight => assert_eq!(in_flight.unwrap().print, print),
                Reason::KeyConflict => assert_ne!(in_flight.or(done).unwrap().print, print),
                Reason::RecordsFull => assert!(in_flight.is_none() && done.is_none(), "it has a place"),
                other => panic!("{other:?}"),
            },
        }
    }

    fn last(&mut self, key: u32, number: u32) -> Option<&mut Grant> {
        self.0.get_mut(&key).filter(|last| last.number == number && last.end == End::Open)
    }

    pub(crate) fn finished(&mut self, key: u32, number: u32, kept: bool, now: u64) {
        match self.last(key, number) {
            None => assert!(!kept, "{number} was kept, and is not the last"),
            Some(last) if kept => last.end = End::Finished(now),
            Some(last) => assert!(now >= last.leased + LEASE, "{number} was in time"),
        }
    }

    pub(crate) fn cancelled(&mut self, key: u32, number: u32) {
        if let Some(last) = self.last(key, number) {
            last.end = End::Cancelled;
        }
    }

    pub(crate) fn renewed(&mut self, key: u32, number: u32, renewed: bool, now: u64) {
        match self.last(key, number) {
            None => assert!(!renewed, "{number} was renewed, and is not the last"),
            Some(last) if renewed => last.leased = now,
            Some(last) => assert!(now >= last.leased + LEASE, "{number} was in time"),
        }
    }
}
