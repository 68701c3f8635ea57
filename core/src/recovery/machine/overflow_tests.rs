//! Instants and counts at their ends.
#![allow(clippy::panic, reason = "a test may panic")]

use core::time::Duration;

use super::*;
use crate::recovery::Rung;

#[test]
fn the_end_of_time_and_of_all_counts() {
    let second = Duration::from_secs(1);
    let config = LadderConfig::builder(second, [Rung::<()>::retry(second), Rung::action((), second, second)]);
    let mut l = Ladder::new(config.build().unwrap());
    l.counts = [RungCounts { uses: u32::MAX, recent: u32::MAX, failed: u32::MAX, cured: u32::MAX }; 2];
    (l.recoveries, l.recovered, l.gave_up, l.refused) = (u32::MAX, u32::MAX, u32::MAX, u32::MAX);
    l.generation = u32::MAX;
    let permit = l.try_acquire(Instant::MAX).unwrap();
    l.release(permit, Outcome::Failure, Instant::MAX);
    assert_eq!(l.generation, 0);
    let trial = l.try_acquire(Instant::MAX).unwrap(); // no time is left to wait
    assert!(l.try_acquire(Instant::EPOCH).is_err());
    l.release(trial, Outcome::Success, Instant::EPOCH);
    l.start(Instant::EPOCH);
    l.handle_timeout(Instant::from_secs(1));
    let trial = l.try_acquire(Instant::from_secs(1)).unwrap();
    l.release(trial, Outcome::Failure, Instant::from_secs(1));
    let Ok(Next::Act(turn)) = l.next(Instant::from_secs(1)) else { panic!() };
    l.acted(turn, Acted::Failed, Instant::from_secs(1));
    let told = l.snapshot();
    assert_eq!((told.recoveries, told.recovered, told.gave_up, told.refused), (u32::MAX, u32::MAX, u32::MAX, u32::MAX));
    assert_eq!(l.counts.map(|rung| (rung.uses, rung.failed, rung.cured)), [(u32::MAX, u32::MAX, u32::MAX); 2]);
}
