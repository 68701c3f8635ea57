//! What grows.

use crate::curve::Panel;
use crate::{idle, keys, tasks, windows};

const KEYS: &str = "\
Each call is for another key or machine, in a pseudo-random order, and none is its first. Instructions stay the same, but a
million of them are in no cache, and calls wait for memory. Below each is its floor: loads out of an array that is as large,
each after the one before. A call of a table waits for several of them; those of breakers one after the other overlap.
`KeyedLimiter` holds as many keys as it can, so a third of them are not in the first group that is looked at, whatever their
number; with up to ten there is one group only.";

const WINDOWS: &str = "\
A call costs the same however long the window. One thing is put off: successes are only counted until a failure takes them
in, 32 at a time, in less than an instruction for each. That is the curve that rises: a failure after as many successes as
the window holds. A window of time has up to 1024 buckets. Logs of 10 k are measured 50 at a time, and those do not fit the
nearer caches.";

const IDLE: &str = "\
Some calls have something to do that is due every so often: the token bucket writes the time once a second, the adaptive rate
is computed twice a second. Calls that are further apart all do it, and it costs them the same however far. A window of time
drops the buckets that are over one by one, each of them once; if all are, at once.";

const TASKS: &str = "\
Nanoseconds of all tasks together, by the number of their calls, on two CPUs: tasks on two workers of tokio, or as many
threads. The pipeline is timeout, bulkhead, breaker and retry around a future that is ready; a task yields every 64 calls.
All share one machine.";

pub(crate) fn panels() -> Vec<Panel> {
    vec![
        Panel {
            title: "Keys and machines",
            unit: "keys or machines",
            label: count,
            note: KEYS,
            is_counted: true,
            curves: keys::curves(),
        },
        Panel {
            title: "Length of a window",
            unit: "calls, buckets or tokens",
            label: count,
            note: WINDOWS,
            is_counted: true,
            curves: windows::curves(),
        },
        Panel {
            title: "Time idle",
            unit: "since the call before",
            label: span,
            note: IDLE,
            is_counted: true,
            curves: idle::curves(),
        },
        Panel {
            title: "Tasks and threads",
            unit: "tasks or threads",
            label: count,
            note: TASKS,
            is_counted: false,
            curves: tasks::curves(),
        },
    ]
}

/// Rounded, because an axis knows the logarithm only.
fn count(size: f64) -> String {
    match size.round() {
        ..1e3 => format!("{size:.0}"),
        ..1e6 => format!("{:.0} k", size / 1e3),
        _ => format!("{:.0} M", size / 1e6),
    }
}

fn span(seconds: f64) -> String {
    const HOUR: f64 = 3_600.0;
    const DAY: f64 = 24.0 * HOUR;
    const YEAR: f64 = 365.0 * DAY;
    let (unit, name) = match seconds * 1.001 {
        ..1e-6 => (1e-9, "ns"),
        ..1e-3 => (1e-6, "us"),
        ..1.0 => (1e-3, "ms"),
        ..60.0 => (1.0, "s"),
        ..HOUR => (60.0, "min"),
        ..DAY => (HOUR, "h"),
        ..YEAR => (DAY, "d"),
        _ => (YEAR, "y"),
    };
    format!("{:.0} {name}", seconds / unit)
}
