//! What a sharded table is made from.

use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::Duration;

use fusebox::keyed::IDLE;
use fusebox::{ConfigError, GateKind};

use super::ShardedKeyed;
use super::shard::Shard;

/// Builds a [`ShardedKeyed`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ShardedKeyedBuilder<K, C, S> {
    kind: C,
    hasher: S,
    capacity: usize,
    shards: Option<usize>,
    idle: Duration,
    keys: PhantomData<fn() -> K>,
}

impl<K, C> ShardedKeyedBuilder<K, C, RandomState> {
    pub(super) fn new(kind: C, capacity: usize) -> Self {
        Self { kind, hasher: RandomState::new(), capacity, shards: None, idle: IDLE, keys: PhantomData }
    }
}

impl<K, C, S> ShardedKeyedBuilder<K, C, S> {
    /// How long a key is kept that nobody uses. Shorter than its gate can refuse means: that long. Default [`IDLE`].
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// The number of shards, a power of two. Default: as many as give four to each processor, but 128 places or more to
    /// each shard.
    pub const fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// What hashes the keys. Default: the standard library's, which withstands keys chosen to collide.
    pub fn hasher<H: BuildHasher>(self, hasher: H) -> ShardedKeyedBuilder<K, C, H> {
        let Self { kind, capacity, shards, idle, keys, .. } = self;
        ShardedKeyedBuilder { kind, hasher, capacity, shards, idle, keys }
    }

    /// An empty table.
    ///
    /// # Errors
    /// When there are no places or more than 2^31, or when the shards are no power of two or more than the places or
    /// than 65536.
    pub fn build(self) -> Result<ShardedKeyed<K, C, S>, ConfigError>
    where
        C: GateKind,
    {
        if self.capacity == 0 || self.capacity > 1 << 31 {
            return Err(ConfigError { setting: "capacity", problem: "from 1 to 2^31 places" });
        }
        let shards = self.shards.unwrap_or_else(|| default_shards(self.capacity));
        if !shards.is_power_of_two() || shards > self.capacity || shards > 1 << 16 {
            return Err(ConfigError { setting: "shards", problem: "a power of two, at most the capacity and 65536" });
        }
        let bits = shards.trailing_zeros();
        // The places that are left over go to the first shards, one to each.
        let places = |shard| (self.capacity >> bits) + usize::from(shard < self.capacity & (shards - 1));
        let shards = (0..shards).map(|shard| Mutex::new(Shard::new(places(shard), self.idle))).collect();
        Ok(ShardedKeyed { kind: self.kind, hasher: self.hasher, shards, bits })
    }
}

fn default_shards(capacity: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let most = processors.next_power_of_two().saturating_mul(4).min(1 << 16);
    let roomy = (capacity >> 7).max(1);
    // The power of two at or below.
    most.min(1 << roomy.ilog2())
}
