//! The service's bad day: what it does when.

use std::time::Duration;

use fusebox_tokio::fusebox::checked;
use fusebox_tokio::fusebox::fault::FaultConfig;

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
    /// How long requests keep a worker busy, and how many get a 503.
    pub(crate) faults: FaultConfig,
}

/// So long, give or take a quarter; and so many errors in a thousand.
macro_rules! faults {
    ($millis:expr, $errors:expr) => {
        checked!(
            FaultConfig::builder()
                .latency(Duration::from_micros($millis * 750))
                .jitter(Duration::from_micros($millis * 500))
                .errors($errors)
                .build()
        )
    };
}

const HEALTHY: Phase =
    Phase { name: "healthy", what: "20 ms an answer", colour: (46, 160, 67), share: 15, faults: faults!(20, 0) };

const DAY: [Phase; 6] = [
    HEALTHY,
    Phase { name: "errors", what: "30 % are 503", colour: (227, 179, 65), faults: faults!(20, 300), ..HEALTHY },
    Phase { name: "slow", what: "0.5 s an answer", colour: (219, 109, 40), faults: faults!(500, 0), ..HEALTHY },
    Phase {
        name: "outage",
        what: "all are 503, after 1 s",
        colour: (207, 34, 46),
        faults: faults!(1_000, 1_000),
        ..HEALTHY
    },
    Phase { name: "recovery", what: "warming up: 30 ms", colour: (84, 174, 255), faults: faults!(30, 0), ..HEALTHY },
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
}
