//! More keys than places.

use fusebox::Reason;

use crate::{SECOND, at, limited_until, slow, spend, table};

const NEW: u64 = 1 << 32;

#[test]
fn gives_no_limited_key_its_tokens_back() {
    const KEYS: u64 = 500;
    let table = table(slow(3), 1_000);
    let mut now = 10 * SECOND;
    let mut full = 0;
    for key in 0..KEYS {
        table.try_acquire_n(&key, 3, at(now)).map(drop).unwrap();
    }
    for n in 0..100_000 {
        now += SECOND / 100_001;
        full += u32::from(spend(&table, NEW + n, now).is_err());
    }
    assert!(full > 99_000, "{full}: none of them is at rest within a second");
    assert_eq!(table.snapshot(at(now)).full, full);
    for key in 0..KEYS {
        assert_eq!(spend(&table, key, 11 * SECOND - 1), limited_until(11 * SECOND));
        assert_eq!(spend(&table, key, 11 * SECOND), Ok(()));
        assert_eq!(spend(&table, key, 11 * SECOND), limited_until(12 * SECOND));
    }
}

/// Limited keys, each told when it has a token, and others that are told when there is a place.
#[test]
fn all_in_debt() {
    const KEYS: u64 = 100_000;
    let table = table(slow(2), KEYS as usize);
    (0..KEYS).for_each(|key| table.try_acquire_n(&key, 2, at(key)).map(drop).unwrap());
    let mut refused = 0;
    for key in NEW..NEW + KEYS {
        let Err(full) = spend(&table, key, SECOND) else { continue };
        let retry_at = full.retry_at.unwrap().as_nanos();
        // Of those in its two groups it is the first that will be full again.
        assert!(full.reason == Reason::KeysFull && (2 * SECOND..2 * SECOND + KEYS).contains(&retry_at));
        refused += 1;
    }
    assert!(refused > 75_000, "{refused}");
    for key in (0..KEYS).step_by(101) {
        let told = limited_until(key + SECOND);
        assert_eq!(spend(&table, key, key + SECOND - 1), told);
    }
    let snapshot = table.snapshot(at(SECOND));
    assert_eq!((snapshot.busy, snapshot.full), (2 * KEYS as usize - refused as usize, refused));
}

/// At that instant there is a place, if nobody else asks; before that there is none.
#[test]
fn full_is_honest() {
    for capacity in [1, 27, 30, 100, 1_000] {
        let table = table(slow(3), capacity);
        let mut now = SECOND;
        let mut placed = 0;
        for key in 0..10_000 {
            now += 1 + key % 7 * 1_000;
            placed += u32::from(spend(&table, key, now).is_ok());
        }
        assert!(placed as usize >= capacity);
        let mut refused = 0;
        for key in NEW..NEW + 300 {
            let Err(full) = spend(&table, key, now) else { continue };
            refused += 1;
            let retry_at = full.retry_at.unwrap().as_nanos();
            assert_eq!(full.reason, Reason::KeysFull);
            assert!(retry_at > now);
            assert_eq!(spend(&table, key, retry_at - 1), Err(full));
            assert_eq!(spend(&table, key, retry_at), Ok(()));
            assert!(retry_at <= now + SECOND);
            now = retry_at;
        }
        assert!(refused > 10, "{refused} of a table of {capacity}");
    }
}
