//! The same work, done by fusebox, by its peers, and by as little as possible.
//!
//! Each library is a module that lists its [`Entry`]s; whatever measures (time, instructions, allocations) runs all of
//! them. To add a library, add a module and its line in [`entries`].

pub mod callgrind;
mod crossing;
mod entry;
mod floor;
mod fusebox;
mod keys;
mod machine;
#[cfg(feature = "peers")]
mod peers;

pub use crossing::crossing;
pub use entry::{Entry, Work};
pub use machine::machine;

/// All there is to measure.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let mut entries = floor::entries();
    entries.extend(fusebox::entries());
    #[cfg(feature = "peers")]
    entries.extend(peers::entries());
    entries
}
