//! tokio: what it has itself.

use std::hint::black_box;

use ::tokio::sync::Semaphore;
use ::tokio::time::timeout;

use super::{PLACES, SECOND, awaited, sure};
use crate::floor::ready;
use crate::{Entry, Work};

pub(super) fn entries() -> Vec<Entry> {
    let bulkhead = Semaphore::new(PLACES);
    let awaited_bulkhead = Semaphore::new(PLACES);
    vec![
        Entry::new(Work::Bulkhead, "tokio Semaphore", move || sure(black_box(bulkhead.try_acquire()).is_ok())),
        awaited(Work::Bulkhead, "tokio Semaphore, awaited", awaited_bulkhead, async |bulkhead, _| {
            sure(black_box(bulkhead.acquire().await).is_ok());
        }),
        awaited(Work::Timeout, "tokio", (), async |(), _| sure(matches!(timeout(SECOND, ready()).await, Ok(Ok(_))))),
    ]
}
