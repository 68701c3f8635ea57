//! The service's bad day: what it does when.

use std::time::Duration;

/// A part of the day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// What happens, for the reader of the report.
    pub(crate) what: &'static str,
    /// The fill of the plots, and how much of it.
    pub(crate) colour: (u8, u8, u8),
    /// The part of the whole day, in percent.
    share: u32,
    /// How long one request keeps a worker busy, give or take a quarter.
    work: Duration,
    /// How many answers are a 503, in percent.
    errors: u32,
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const HEALTHY: Phase =
    Phase { name: "healthy", what: "20 ms an answer", colour: (46, 160, 67), share: 15, work: ms(20), errors: 0 };

const DAY: [Phase; 6] = [
    HEALTHY,
    Phase { name: "errors", what: "30 % are 503", colour: (227, 179, 65), errors: 30, ..HEALTHY },
    Phase { name: "slow", what: "0.5 s an answer", colour: (219, 109, 40), work: ms(500), ..HEALTHY },
    Phase {
        name: "outage",
        what: "all are 503, after 1 s",
        colour: (207, 34, 46),
        work: ms(1_000),
        errors: 100,
        ..HEALTHY
    },
    Phase { name: "recovery", what: "warming up: 30 ms", colour: (84, 174, 255), work: ms(30), ..HEALTHY },
    Phase { share: 25, ..HEALTHY },
];

/// The day, stretched to a length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) length: Duration,
}

/// A phase and when it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) phase: Phase,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    pub(crate) work: Duration,
    pub(crate) fails: bool,
}

impl Script {
    /// The phases in order.
    pub(crate) fn scenes(self) -> impl Iterator<Item = Scene> {
        DAY.into_iter().scan(0, move |percent, phase| {
            let from = self.at(*percent);
            *percent += phase.share;
            Some(Scene { phase, from, to: self.at(*percent) })
        })
    }

    fn at(self, percent: u32) -> Duration {
        self.length.mul_f64(f64::from(percent) / 100.0)
    }

    /// The phase at `time`; after the end, the last one.
    pub(crate) fn phase(self, time: Duration) -> Phase {
        self.scenes().find(|scene| time < scene.to).map_or(HEALTHY, |scene| scene.phase)
    }

    /// When the outage is over.
    pub(crate) fn recovers_at(self) -> Duration {
        self.scenes().find(|scene| scene.phase.name == "recovery").map_or(self.length, |scene| scene.from)
    }

    /// What becomes of a request that a worker takes up at `time`; `chance` is any two numbers.
    pub(crate) fn fate(self, time: Duration, chance: [u32; 2]) -> Fate {
        let phase = self.phase(time);
        let [work, fails] = chance.map(|number| f64::from(number) / f64::from(u32::MAX));
        Fate { work: phase.work.mul_f64(0.75 + work / 2.0), fails: fails * 100.0 < f64::from(phase.errors) }
    }
}
