//! recloser: breakers over ring buffers, shared by epochs.

use std::hint::black_box;

use ::recloser::{Error, Recloser};

use super::{HOUR, IN_A_ROW, WINDOW, fails, sure};
use crate::{Entry, Work};

const LATE: &str = "judges from the call after the window is full, and opens on a success too";

pub(super) fn entries() -> Vec<Entry> {
    vec![closed(), window(), open()]
}

/// Nothing but failures in a ring of five are five in a row.
fn consecutive() -> Recloser {
    Recloser::custom().error_rate(1.0).closed_len(IN_A_ROW as usize).open_wait(HOUR).build()
}

fn closed() -> Entry {
    let breaker = consecutive();
    Entry::new(Work::ClosedBreaker, "recloser", move || sure(breaker.call(|| black_box(Ok::<_, u32>(1))).is_ok()))
        .with_note(LATE)
}

fn window() -> Entry {
    let breaker = Recloser::custom().error_rate(0.5).closed_len(WINDOW).open_wait(HOUR).build();
    Entry::looped(Work::WindowBreaker, "recloser", move |times| {
        for call in 0..times {
            let answer = breaker.call(|| black_box(if fails(call) { Err(0) } else { Ok(1) }));
            sure(answer.is_ok() != fails(call));
        }
    })
    .with_note(LATE)
}

fn open() -> Entry {
    let breaker = consecutive();
    for _ in 0..=IN_A_ROW {
        sure(breaker.call(|| Err::<u32, _>(0)).is_err());
    }
    Entry::new(Work::OpenBreaker, "recloser", move || {
        let answer = breaker.call(|| black_box(Ok::<_, u32>(1)));
        sure(matches!(answer, Err(Error::Rejected)));
    })
}
