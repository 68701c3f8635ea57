//! What is measured, and how.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use fusebox_bench::callgrind::{self, Part};

/// Calls, on machines that are ready for them.
type Batch = Box<dyn FnMut()>;

/// Median of so many.
const ROUNDS: usize = 15;

/// What grows, and what should not cost more then.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// Of the sizes.
    pub(crate) unit: &'static str,
    pub(crate) label: fn(f64) -> String,
    pub(crate) note: &'static str,
    /// Threads are not: valgrind runs one at a time.
    pub(crate) is_counted: bool,
    pub(crate) curves: Vec<Curve>,
}

/// One thing at several sizes.
pub(crate) struct Curve {
    pub(crate) name: String,
    /// As little as possible, to compare with.
    pub(crate) is_floor: bool,
    /// From which size on a call has more to do, once and for all: what it costs must not grow from there on.
    pub(crate) from: f64,
    /// Whether it pays for so many calls before it: then it may cost an instruction more for each of them.
    pub(crate) pays_for_all: bool,
    pub(crate) points: Vec<Point>,
}

pub(crate) struct Point {
    /// How many keys, how long a window, ...
    pub(crate) size: f64,
    /// In a batch.
    calls: u32,
    /// Whether a batch finds the machines of the next one as it did: else each needs new ones.
    is_lasting: bool,
    begin: Box<dyn Fn() -> Batch>,
    /// Per call.
    pub(crate) counts: Option<Part>,
    /// Per call.
    pub(crate) nanos: Option<f64>,
}

impl Panel {
    /// Those to be counted, in their order.
    fn points(&mut self) -> impl Iterator<Item = &mut Point> {
        let counted = self.is_counted;
        self.curves.iter_mut().flat_map(|curve| &mut curve.points).filter(move |_| counted)
    }
}

/// Runs each once, to be counted.
pub(crate) fn run(panels: &mut [Panel]) {
    for point in panels.iter_mut().flat_map(Panel::points) {
        counted(&mut point.begin());
    }
}

/// Callgrind knows it by its name.
#[inline(never)]
fn counted(batch: &mut Batch) -> u32 {
    batch();
    black_box(0) // so that the batch is a call, not a jump
}

/// Has all of them counted by [`run`], in another process.
pub(crate) fn count(panels: &mut [Panel]) -> Result<(), Box<dyn Error>> {
    if cfg!(debug_assertions) {
        return Err("counts are those of --release".into());
    }
    let parts = callgrind::run("curves::curve::counted", true)?;
    let (runs, _exit) = parts.as_chunks();
    let points: Vec<_> = panels.iter_mut().flat_map(Panel::points).collect();
    if runs.len() != points.len() {
        return Err(format!("{} points, but counts of {}", points.len(), runs.len()).into());
    }
    for (point, [_begin, batch]) in points.into_iter().zip(runs) {
        point.counts = Some(Part {
            instructions: point.each(batch.instructions),
            locked: point.each(batch.locked),
            allocations: point.each(batch.allocations),
            clock_reads: point.each(batch.clock_reads),
        });
    }
    Ok(())
}

/// Takes the time of all of them.
pub(crate) fn time(panels: &mut [Panel]) {
    for point in panels.iter_mut().flat_map(|panel| &mut panel.curves).flat_map(|curve| &mut curve.points) {
        point.nanos = Some(point.nanos());
    }
}

impl Curve {
    pub(crate) fn new(name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        let points = points.into_iter().collect();
        Self { name: name.into(), is_floor: false, from: 0.0, pays_for_all: false, points }
    }

    pub(crate) fn floor(name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        Self { is_floor: true, ..Self::new(name, points) }
    }

    /// Why it grows, if it does.
    pub(crate) fn growth(&self) -> Option<String> {
        let mut counted = self.points.iter().filter(|point| point.size >= self.from);
        let (smallest, largest) = (counted.next()?, counted.next_back()?);
        let (was, is) = (smallest.counts?.instructions, largest.counts?.instructions);
        let allowed = 1.5 * was + 20.0 + if self.pays_for_all { largest.size } else { 0.0 };
        (is > allowed).then(|| format!("{}: {was:.0} instructions at first, {is:.0} in the end", self.name))
    }
}

impl Point {
    /// So many `calls` per batch, and batch after batch with the same machines.
    pub(crate) fn lasting<F: FnMut() + 'static>(size: u32, calls: u32, begin: impl Fn() -> F + 'static) -> Self {
        let begin = Box::new(move || -> Batch { Box::new(begin()) });
        Self { size: size.into(), calls, is_lasting: true, begin, counts: None, nanos: None }
    }

    /// One call of each of so many machines, which are not as before then.
    pub(crate) fn once<M: 'static>(
        size: impl Into<f64>,
        machine: impl Fn() -> M + 'static,
        call: impl FnMut(&mut M) + Clone + 'static,
    ) -> Self {
        const MACHINES: u32 = 50;
        let begin = Box::new(move || -> Batch {
            let mut machines: Vec<_> = (0..MACHINES).map(|_| machine()).collect();
            let call = call.clone();
            Box::new(move || machines.iter_mut().for_each(call.clone()))
        });
        Self { size: size.into(), calls: MACHINES, is_lasting: false, begin, counts: None, nanos: None }
    }

    fn begin(&self) -> Batch {
        (self.begin)()
    }

    /// That of a batch, of each of its calls.
    fn each(&self, batch: f64) -> f64 {
        batch / f64::from(self.calls)
    }

    /// Nanoseconds per call.
    fn nanos(&self) -> f64 {
        let mut batch = self.begin();
        let mut round = || {
            if !self.is_lasting {
                batch = self.begin();
            }
            let began = Instant::now();
            batch();
            began.elapsed().as_secs_f64()
        };
        round();
        let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
        rounds.sort_by(f64::total_cmp);
        self.each(1e9 * rounds.get(ROUNDS >> 1).copied().unwrap_or_default())
    }
}
