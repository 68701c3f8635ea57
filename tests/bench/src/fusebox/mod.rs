//! fusebox itself.

mod call;
mod gates;
mod keyed;

use crate::Entry;

pub(crate) fn entries() -> Vec<Entry> {
    gates::entries().into_iter().chain(keyed::entries()).chain(call::entries()).collect()
}
