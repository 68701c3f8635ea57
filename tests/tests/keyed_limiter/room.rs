//! How many keys find a place, and what it takes.

use std::hash::RandomState;

use allocation_counter::measure;
use fusebox_tokio::KeyedLimiter;

use crate::{SECOND, at, slow, spend, table};

/// By chance, and seeded by chance: a table that refuses a key before it holds as many as it says is to be heard of.
#[test]
fn as_many_keys_as_it_says() {
    let mut capacity = 1;
    while capacity <= 200_000 {
        for _ in 0..(20_000 / capacity).clamp(1, 100) {
            let table = KeyedLimiter::<usize>::new(slow(1), capacity).unwrap();
            let refused = (0..capacity).filter(|key| table.try_acquire(key, at(0)).is_err());
            assert_eq!(refused.count(), 0, "of {capacity}");
        }
        capacity += capacity * 2 / 3 + 1;
    }
}

/// Keys that come and go fill the places as evenly.
#[test]
fn also_when_keys_come_and_go() {
    const CAPACITY: u64 = 10_000;
    let table = KeyedLimiter::<u64>::new(slow(1), CAPACITY as usize).unwrap();
    for key in 0..20 * CAPACITY {
        // Each is busy for a second, in which as many come as there is room for.
        assert!(table.try_acquire(&key, at(key * (SECOND / CAPACITY + 1))).is_ok(), "{key}");
    }
}

#[test]
fn weak_hashes_fill_it_as_well() {
    for stride in [1, 2, 64, 1_000, 1 << 20, 1 << 40] {
        let table = KeyedLimiter::<u64, Itself>::with_hasher(slow(1), 10_000, Itself::default()).unwrap();
        // There is a hash that no key has, which is that of the first here: so the second shares its bucket.
        assert!(table.try_acquire(&0, at(0)).is_ok());
        assert_eq!(table.snapshot(at(0)).occupied, 1);
        for n in 2..=10_000 {
            assert!(table.try_acquire(&(n * stride), at(0)).is_ok(), "{n} x {stride}");
        }
    }
}

/// Hashes a number to itself.
#[derive(Default)]
struct Number(u64);

impl std::hash::Hasher for Number {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

type Itself = std::hash::BuildHasherDefault<Number>;

#[test]
fn bytes_per_key() {
    for (capacity, most) in [(1, 512), (25, 512), (26, 1_024), (1_000, 20_000), (1_000_000, 20_000_000)] {
        let used = measure(|| drop(KeyedLimiter::<str>::new(slow(1), capacity).unwrap()));
        assert!(used.bytes_max <= most, "{capacity} keys: {} bytes", used.bytes_max);
    }
    assert!(size_of::<KeyedLimiter<str, RandomState>>() <= 96);
}

#[test]
fn no_call_allocates() {
    let table = table(slow(2), 100);
    let (mut full, mut limited) = (0, 0);
    let calls = measure(|| {
        for n in 0..10_000_u64 {
            let now = n * SECOND / 100;
            full += u32::from(spend(&table, 1_000 + n, now).is_err());
            full += u32::from(spend(&table, 100_000 + n, now).is_err());
            limited += u32::from(spend(&table, 1, now).is_err());
            if let Ok(tokens) = table.try_acquire(&2, at(now)) {
                table.cancel(&2, tokens, at(now));
            }
        }
    });
    assert!(full > 1_000 && limited > 1_000, "{full} {limited}");
    assert_eq!(calls.count_total, 0);
    assert!(table.snapshot(at(100 * SECOND)).occupied > 100);
}
