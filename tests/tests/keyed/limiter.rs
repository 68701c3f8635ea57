//! Keyed rate limits: token buckets by key.

use std::time::Duration;

use fusebox::{Instant, Keyed, Outcome, Quota, Reason};
use fusebox_tokio::ShardedKeyed;

const HOUR: Duration = Duration::from_secs(3_600);

/// Two at once, one an hour: a key that took one is in debt for an hour, one that took two for two.
fn quota() -> Quota {
    Quota::new(1, HOUR).unwrap().with_burst(2).unwrap()
}

/// A million keys, all in debt: nobody's debt is forgotten for a new key's sake, and new ones are told when to come.
#[test]
fn a_million_keys_in_debt() {
    const KEYS: u64 = 1 << 20;
    let at = Instant::from_secs;
    let limits: ShardedKeyed<u64, Quota> = ShardedKeyed::builder(quota(), KEYS as usize).build().unwrap();
    let spend =
        |key: u64, now| limits.try_acquire(&key, now).map(|permit| limits.release(permit, Outcome::Success, now));
    // Shards fill unevenly, so a few keys find theirs full.
    let placed: Vec<u64> = (0..KEYS).filter(|key| spend(*key, at(0)).is_ok()).collect();
    assert!(placed.len() as u64 > KEYS * 9 / 10 && limits.len() == placed.len());
    let refused = (KEYS..KEYS + 100_000).filter_map(|key| spend(key, at(1)).err()).collect::<Vec<_>>();
    assert!(refused.iter().all(|refused| refused.reason == Reason::KeysFull && refused.retry_at == Some(at(3_600))));
    assert!(limits.len() <= KEYS as usize && refused.len() > 80_000);
    for key in placed.iter().step_by(101) {
        assert!(spend(*key, at(2)).is_ok(), "one is left");
        assert_eq!(spend(*key, at(2)).unwrap_err().retry_at, Some(at(3_600)), "and its debt was kept");
    }
    // Those in debt for one hour are at rest then, and make room.
    let came_in = (KEYS..KEYS + 100_000).filter(|key| spend(*key, at(3_600)).is_ok()).count();
    assert!(came_in > 95_000, "{came_in}");
    for key in placed.iter().step_by(101) {
        assert!(spend(*key, at(3_600)).is_ok() && spend(*key, at(3_600)).is_err(), "still in debt by one hour");
    }
}

#[test]
fn eight_keys_on_a_small_device() {
    let at = Instant::from_secs;
    let mut limits: Keyed<u8, Quota, 8> = Keyed::new(quota());
    for key in 0..8 {
        let permit = limits.try_acquire(&key, at(u64::from(key))).unwrap();
        limits.release(permit, Outcome::Success, at(u64::from(key)));
    }
    let refused = limits.try_acquire(&8, at(100)).unwrap_err();
    assert_eq!((refused.reason, refused.retry_at), (Reason::KeysFull, Some(at(3_600))));
    assert!(limits.try_acquire(&8, Instant::from_nanos(3_600_000_000_000 - 1)).is_err());
    assert!(limits.try_acquire(&8, at(3_600)).is_ok());
}
