//! The throttle before a callee that accepts only so much.

use std::time::Duration;

use fusebox::{Gate, Outcome, Throttle, ThrottleConfig};
use fusebox_tests::Dice;

use super::{SECOND, at};

/// What happened in each second.
#[derive(Clone, Copy, Default)]
struct Second {
    wanted: u32,
    sent: u32,
    accepted: u32,
}

/// About 1000 calls a second; the callee accepts at most `capacity` in a hundredth of a second, 50 ms later.
fn run((k, at_most): (u32, u16), seed: u32, seconds: u64, capacity: impl Fn(u64) -> u32) -> Vec<Second> {
    let config = ThrottleConfig::builder().k_permille(k).at_most_permille(at_most).window(Duration::from_secs(10));
    let mut throttle = Throttle::<10>::new(config.build().unwrap(), seed);
    let (mut dice, mut result) = (Dice::new(seed), vec![Second::default(); seconds as usize]);
    let mut running = std::collections::VecDeque::new();
    for hundredth in 0..seconds * 100 {
        let (second, mut room) = (hundredth / 100, capacity(hundredth / 100));
        let of = &mut result[second as usize];
        for call in 0..dice.below(21) {
            let now = hundredth * SECOND / 100 + call;
            while running.front().is_some_and(|(ends, _, _)| *ends <= now) {
                let (ends, permit, outcome) = running.pop_front().unwrap();
                throttle.release(permit, outcome, at(ends));
            }
            of.wanted += 1;
            if let Ok(permit) = throttle.try_acquire(at(now)) {
                of.sent += 1;
                let outcome = if room > 0 { Outcome::Success } else { Outcome::Failure };
                of.accepted += u32::from(room > 0);
                room = room.saturating_sub(1);
                running.push_back((now + SECOND / 20, permit, outcome));
            }
        }
    }
    result
}

fn sum(seconds: &[Second], of: impl Fn(&Second) -> u32) -> f64 {
    seconds.iter().map(|second| f64::from(of(second))).sum()
}

#[test]
fn what_is_sent_follows_k_times_what_is_accepted() {
    for (k_permille, seed) in [(2_000, 1), (2_000, 2), (1_500, 3), (1_100, 4), (3_000, 5)] {
        let seen = run((k_permille, 1_000), seed, 120, |_| 2); // about 200 of 1000 a second
        let steady = &seen[30..];
        let ratio = sum(steady, |s| s.sent) / sum(steady, |s| s.accepted);
        let k = f64::from(k_permille) / 1_000.0;
        println!("K = {k}: sent {ratio:.3} times what was accepted");
        assert!((ratio / k - 1.0).abs() < 0.03, "K = {k}: {ratio}");
    }
}

#[test]
fn it_recovers_when_the_callee_does_and_is_not_there_when_all_is_well() {
    for seed in 0..5 {
        let down = |second| if (30..60).contains(&second) { 0 } else { u32::MAX };
        let all_again = |seen: &[Second]| seen[60..].iter().position(|s| s.sent >= s.wanted).unwrap();
        let seen = run((2_000, 900), seed, 120, down);
        let (before, outage, after) = (&seen[..30], &seen[45..60], &seen[80..]);
        assert!(sum(before, |s| s.sent) >= sum(before, |s| s.wanted));
        let share = sum(outage, |s| s.sent) / sum(outage, |s| s.wanted);
        assert!((0.09..0.11).contains(&share), "what `at_most` leaves: {share}");
        assert!(sum(after, |s| s.sent) >= sum(after, |s| s.wanted));
        // Without a maximum nearly nothing is sent, so that nearly nothing can be accepted.
        let seen_without = run((2_000, 1_000), seed, 180, down);
        assert!(sum(&seen_without[45..60], |s| s.sent) < 0.001 * sum(&seen_without[45..60], |s| s.wanted));
        let (back, back_without) = (all_again(&seen), all_again(&seen_without));
        println!("seed {seed}: all is sent again {back} s after the outage, without a maximum {back_without} s");
        assert!(back <= 25 && back_without > 2 * back, "{back}, {back_without}");
    }
}
