//! Twins in shards: each thread has a word that others seldom touch.
//!
//! # Why
//! A twin costs one write to a word that all threads share, and that word travels from core to core: some 30 to 300 ns,
//! however little there is to do. Where several threads do hardly anything but ask, give each a shard. The answers stay
//! true: a shard's tokens or places are part of the whole, and who finds its own empty looks into the others' before it
//! refuses.
//!
//! # When not
//! Where the limit is small (a handful of places or tokens per shard): then each call looks everywhere. Where calls do
//! real work in between: then they seldom meet.

mod bucket;
mod bulkhead;

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use bucket::{ShardedTokenBucket, ShardedTokens};
pub use bulkhead::{ShardedBulkhead, ShardedPermit};

std::thread_local! {
    static THREAD: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Relaxed)
    };
}

/// The shards, the calling thread's own first. Threads take turns as they come, so as many as there are shards have one each
/// if none has ended before the last began: else two may share one, which is slower and no less right.
#[inline]
fn own_first<const SHARDS: usize>() -> impl Iterator<Item = usize> {
    // A thread that is about to end has no number any more.
    let thread = THREAD.try_with(|thread| *thread).unwrap_or(0);
    let own = thread.checked_rem(SHARDS).unwrap_or(0);
    (own..SHARDS).chain(0..own)
}

/// On a cache line of its own (two on processors that fetch them in pairs).
#[derive(Debug)]
#[repr(align(128))]
struct CacheLine<T>(T);
