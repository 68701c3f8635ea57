//! What it is for: ten times the load for a second, into a consumer that cannot do more than it can.
//!
//! The consumer starts at most one item every 10 ms and takes 10 ms for it. 80 come a second, for one second 1000. An
//! answer is of use for 200 ms after the question.

use std::num::NonZeroU16;
use std::time::Duration;

use fusebox::queue::{Codel, LevelBuilder, LevelConfig, LevelingQueue, Order, Popped, Terms};
use fusebox::{Instant, Quota};

const MS: u64 = 1_000_000;
const TAKES: u64 = 10 * MS;
const OF_USE: u64 = 200 * MS;
/// Seconds: the burst is the second one.
const BURST: std::ops::Range<u64> = 1_000..2_000;
const END: u64 = 10_000;

#[derive(Debug, Default)]
struct Seen {
    came: u32,
    served: u32,
    in_time: u32,
    /// The same for what came in the burst.
    burst: (u32, u32),
    /// Told that they will not be served, or not even let in.
    told: u32,
    waits: Vec<u64>,
}

impl Seen {
    fn wait(&self, percent: usize) -> u64 {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        waits.get(waits.len() * percent / 100).map_or(0, |nanos| nanos / MS)
    }

    fn permille_in_time(&self) -> u32 {
        self.in_time * 1_000 / self.served.max(1)
    }
}

/// When items come.
fn arrivals() -> impl Iterator<Item = u64> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let came = next;
        next += if BURST.contains(&(came / 1_000)) { 1_000 } else { 12_500 };
        Some(came * 1_000)
    })
    .take_while(|came| *came < END * MS)
}

fn run<const N: usize>(config: LevelBuilder, with_deadline: bool) -> Seen {
    let rate = Quota::per_second(100).unwrap().with_burst(1).unwrap();
    let mut queue: LevelingQueue<u64, N> = LevelingQueue::new(config.rate(rate).build().unwrap());
    let (mut seen, mut now) = (Seen::default(), Instant::EPOCH);
    for came in arrivals().map(Some).chain([None]) {
        // The consumer is there whenever something is due.
        let until = Instant::from_nanos(came.unwrap_or(END * MS));
        while let Some(due) = queue.due(now).filter(|due| *due <= until) {
            now = due;
            match queue.pop(now) {
                Popped::Serve(queued) => {
                    let waited = now.as_nanos() - queued.item;
                    let in_time = u32::from(waited + TAKES <= OF_USE);
                    seen.served += 1;
                    seen.in_time += in_time;
                    if BURST.contains(&(queued.item / MS)) {
                        seen.burst = (seen.burst.0 + 1, seen.burst.1 + in_time);
                    }
                    seen.waits.push(waited);
                }
                Popped::Unserved(_) => seen.told += 1,
                Popped::Wait { .. } | Popped::Empty => {}
            }
        }
        now = until;
        if let Some(came) = came {
            seen.came += 1;
            let terms = if with_deadline { Terms::by(now.after(OF_USE)) } else { Terms::NONE };
            seen.told += u32::from(queue.push(came, terms, now).is_err());
        }
    }
    seen
}

#[test]
fn a_burst_of_ten_times_the_load() {
    let plain = LevelConfig::builder;
    let lifo = Order::LifoFrom(NonZeroU16::new(10).unwrap());
    let codel = Codel::new(Duration::from_millis(20), Duration::from_millis(100)).unwrap();
    let rows = [
        ("first in, first out", run::<2048>(plain(), false)),
        ("  + deadline", run::<2048>(plain(), true)),
        ("  + deadline, CoDel", run::<2048>(plain().codel(codel), true)),
        ("  + deadline, newest first from 10", run::<2048>(plain().order(lifo), true)),
        ("  + deadline, CoDel, newest first", run::<2048>(plain().codel(codel).order(Order::LifoOverloaded), true)),
        ("  + deadline, refused early, 15 places", run::<15>(plain().refuse_late(), true)),
    ];
    println!(
        "{:40} {:>5} {:>6} {:>7} {:>8} {:>5} {:>8} {:>8}",
        "", "came", "served", "in time", "", "told", "p50", "p99"
    );
    for (name, seen) in &rows {
        let Seen { came, served, in_time, told, .. } = seen;
        let share = f64::from(seen.permille_in_time()) / 10.0;
        let (p50, p99) = (seen.wait(50), seen.wait(99));
        let (of_burst, good) = seen.burst;
        print!("{name:37} {came:5} {served:6} {in_time:7} {share:5.1} % {told:5}");
        println!(" {p50:5} ms {p99:5} ms   {good} of {of_burst}");
    }
    let shares = rows.each_ref().map(|(_, seen)| seen.permille_in_time());
    let [fifo, deadline, codel, lifo, both, bounded] = shares;
    assert!(fifo < 200, "nearly all of it late");
    assert!(fifo < deadline && deadline < codel && codel <= both && deadline < lifo, "{shares:?}");
    assert!(both >= 950 && lifo >= 950 && bounded >= 950, "{shares:?}");
    let served = rows.each_ref().map(|(_, seen)| seen.served);
    assert!(served.iter().all(|n| *n * 10 > served[0] * 7), "none of them idles: {served:?}");
}
