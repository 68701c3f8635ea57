//! The curves as Markdown.

use std::error::Error;
use std::fmt::{self, Display};
use std::fs;

use fusebox_bench::machine;

use crate::curve::{Curve, Panel, Point};
use crate::plot;

const HEADER: &str = "\
# Cost does not grow

Made, and `curves.svg` with it, by

```sh
cargo run --release -p fusebox-bench --no-default-features --features curves --bin curves > tests/bench/CURVES.md
```

With `-- check` it counts again and fails if a curve's end costs more than one and a half times its beginning and 20
instructions.

What a call costs when there are more keys or machines, when a window is longer, when nothing was asked for longer, when
more tasks ask. Instructions are counted by callgrind, for users without LTO, and are the same on every run; nanoseconds are
the median of 15 rounds on a machine that others use, too. Both include the loop that asks: up to 33 instructions.

![curves](curves.svg)
";

/// Prints them.
pub(crate) fn write(panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/curves.svg"), plot::svg(panels)?)?;
    println!("{HEADER}\nOn {}; the larger caches are {}.", machine(), caches());
    for panel in panels {
        println!("\n{panel}");
    }
    Ok(())
}

/// Of the first processor.
fn caches() -> String {
    let cache = |level| fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{level}/size"));
    let caches: Vec<_> = [2, 3].into_iter().flat_map(cache).collect();
    caches.iter().map(|size| size.trim()).collect::<Vec<_>>().join(" and ")
}

impl Display for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}", self.title, self.note)?;
        if self.is_counted {
            self.table(f, "instructions", |point, _| point.counts.map(|counts| format!("{:.0}", counts.instructions)))?;
        }
        self.table(f, "nanoseconds", |point, _| point.nanos.map(nanos))?;
        if !self.is_counted {
            self.table(f, "to the first", |point, first| Some(format!("{:.2}", point.nanos? / first.nanos?)))?;
        }
        Ok(())
    }
}

fn nanos(nanos: f64) -> String {
    format!("{nanos:.0$}", usize::from(nanos < 100.0))
}

impl Panel {
    /// A line per curve, a column per size. `cell` gets a point, and the first of its curve.
    fn table(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        cell: impl Fn(&Point, &Point) -> Option<String>,
    ) -> fmt::Result {
        let sizes = self.curves.first().map_or(&[][..], |curve| &curve.points);
        let head: Vec<_> = sizes.iter().map(|point| (self.label)(point.size)).collect();
        writeln!(f, "\n| {title}: {} | {} |", self.unit, head.join(" | "))?;
        writeln!(f, "| --- |{}", " ---: |".repeat(sizes.len()))?;
        for Curve { name, points, .. } in &self.curves {
            let cells = points.iter().zip(points.iter().cycle().take(1).cycle());
            let cells: Vec<_> = cells.map(|(point, first)| cell(point, first).unwrap_or_default()).collect();
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}
