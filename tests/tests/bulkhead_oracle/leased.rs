//! Permits that are good for a time.

use std::time::Duration;

use fusebox::bulkhead::{LeasedBulkhead, LeasedConfig, LeasedPermit, LeasedSnapshot};
use fusebox::{Gate, Outcome, Reason, Rejected};
use fusebox_tests::Dice;

use super::at;

const TTL: u64 = 50;

/// All leases that run, by the number of the permit.
#[derive(Default)]
struct Model {
    out: Vec<(u32, u64)>,
    highest: usize,
    refused: u32,
    lapsed: u32,
}

impl Model {
    /// What time does: leases end, and those from before a step back are cut.
    fn at(&mut self, now: u64) {
        let before = self.out.len();
        self.out.retain(|(_, until)| *until > now);
        self.lapsed += u32::try_from(before - self.out.len()).unwrap();
        for (_, until) in &mut self.out {
            *until = (*until).min(now + TTL);
        }
    }

    fn next(&self) -> Option<u64> {
        self.out.iter().map(|(_, until)| *until).min()
    }
}

fn drive<const N: usize>(seed: u32, operations: u32) -> LeasedSnapshot {
    let mut dice = Dice::new(seed);
    let mut model = Model::default();
    let mut real = LeasedBulkhead::<N>::new(LeasedConfig::new(Duration::from_nanos(TTL)).unwrap());
    // Permits stay with their callers for as long as these like, lapsed or not.
    let mut held: Vec<(u32, LeasedPermit)> = vec![];
    let mut now = 1_000_000;
    for number in 0..operations {
        match dice.below(100) {
            0..=39 => {
                model.at(now);
                match real.try_acquire(at(now)) {
                    Ok(permit) => {
                        assert!(model.out.len() < N, "{number}: over the limit");
                        model.out.push((number, now + TTL));
                        model.highest = model.highest.max(model.out.len());
                        held.push((number, permit));
                    }
                    Err(rejected) => {
                        assert_eq!(model.out.len(), N, "{number}: there was a place");
                        let retry_at = model.next().map(at);
                        assert_eq!(rejected, Rejected { reason: Reason::InFlight, retry_at });
                        let soon = retry_at.unwrap().as_nanos();
                        assert!(real.clone().try_acquire(at(soon - 1)).is_err(), "not a nanosecond before");
                        assert!(real.clone().try_acquire(at(soon)).is_ok());
                        model.refused += 1;
                    }
                }
            }
            40..=69 => {
                if let Some((number, permit)) = dice.pick(&mut held) {
                    model.at(now);
                    model.out.retain(|(other, _)| *other != number);
                    if dice.below(2) == 0 {
                        real.release(permit, Outcome::Success, at(now));
                    } else {
                        real.cancel(permit, at(now));
                    }
                }
            }
            70..=74 => {
                model.at(now);
                real.handle_timeout(at(now));
            }
            75..=76 => drop(dice.pick(&mut held)),
            77..=97 => now += dice.below(12),
            98 => now += dice.below(200),
            _ => now -= dice.below(300),
        }
        let Model { highest, refused, lapsed, .. } = model;
        let expected = LeasedSnapshot { in_flight: model.out.len(), limit: N, highest, refused, lapsed };
        assert_eq!(real.snapshot(), expected, "{number}");
        assert_eq!(real.poll_timeout(), model.next().map(at), "{number}");
    }
    real.snapshot()
}

#[test]
fn a_lost_permit_costs_its_place_for_its_lease_and_no_place_is_freed_twice() {
    const EACH: u32 = 500_000;
    for told in [drive::<1>(1, EACH), drive::<3>(2, EACH), drive::<8>(3, EACH)] {
        println!("{EACH} operations, {told:?}");
        assert!(told.lapsed > EACH / 200 && told.refused > EACH / 200 && told.highest == told.limit);
    }
}
