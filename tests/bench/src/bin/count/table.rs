//! The table, as text and compared.

use std::error::Error;
use std::fmt;

use fusebox_bench::Entry;
use fusebox_bench::callgrind::Part;

use super::TIMES;

/// What a count may differ by: as a share of what it was, made by the same compiler and by another one. What the source
/// decides may not; what the compiler does may by a little, since code that moves to another unit is inlined otherwise.
struct Column {
    title: &'static str,
    same: f64,
    other: f64,
}

const COLUMNS: [Column; 5] = [
    Column { title: "instructions", same: 0.03, other: 0.15 },
    Column { title: "locked", same: 0.0, other: 0.0 },
    Column { title: "allocations", same: 0.0, other: 0.0 },
    Column { title: "clock reads", same: 0.0, other: 0.0 },
    Column { title: "future bytes", same: 0.0, other: 0.15 },
];

/// Of this many instructions or bytes no share is taken.
const LEAST: f64 = 3.0;
/// What is due once a second is due in more of the calls where these take longer.
const DUE: f64 = 0.02;

#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    name: String,
    counts: [Option<f64>; COLUMNS.len()],
}

impl Row {
    pub(crate) fn new(entry: &Entry, once: &Part, twice: &Part) -> Self {
        let each = |count: fn(&Part) -> f64, steps: f64| {
            let each = (count(twice) - count(once)) / f64::from(TIMES);
            Some((each * steps).round() / steps + 0.0) // never "-0"
        };
        let counts = [
            each(|part| part.instructions, 1.0),
            each(|part| part.locked, 100.0),
            each(|part| part.allocations, 100.0),
            each(|part| part.clock_reads, 100.0),
            entry.future.and_then(|bytes| u32::try_from(bytes).ok()).map(f64::from),
        ];
        Self { name: format!("{}/{}", entry.work.name(), entry.who), counts }
    }

    fn parse(line: &str) -> Result<Self, Box<dyn Error>> {
        let (name, counts) = line.split_once("  ").ok_or_else(|| format!("no counts: {line}"))?;
        let counts =
            counts.split_whitespace().map(|count| if count == "-" { Ok(None) } else { count.parse().map(Some) });
        let counts: Vec<_> = counts.collect::<Result<_, _>>()?;
        let counts = counts.try_into().map_err(|_| format!("more or fewer counts than titles: {line}"))?;
        Ok(Self { name: name.to_owned(), counts })
    }

    fn differences(&self, was: &Self, same_compiler: bool) -> Vec<String> {
        let counts = COLUMNS.iter().zip(was.counts.into_iter().zip(self.counts));
        counts
            .filter(|(column, (was, is))| !near(*was, *is, if same_compiler { column.same } else { column.other }))
            .map(|(column, (was, is))| {
                let verdict = if is > was { "worse" } else { "better" };
                format!("{}: {} {} -> {}: {verdict}", self.name, column.title, text(was), text(is))
            })
            .collect()
    }
}

fn near(was: Option<f64>, is: Option<f64>, share: f64) -> bool {
    match (was, is) {
        (Some(was), Some(is)) if share > 0.0 => (is - was).abs() <= LEAST.max(was * share),
        (Some(was), Some(is)) => (is - was).abs() <= DUE,
        _ => was == is,
    }
}

fn text(count: Option<f64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

#[derive(Debug)]
pub(crate) struct Table {
    /// Who made what was counted.
    pub(crate) rustc: String,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    pub(crate) fn parse(text: &str) -> Result<Self, Box<dyn Error>> {
        let rustc = text.lines().find_map(|line| line.strip_prefix(MADE_BY)).unwrap_or_default().to_owned();
        let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
        Ok(Self { rustc, rows: rows.map(Row::parse).collect::<Result<_, _>>()? })
    }

    /// Line by line; none if all is as it `was`, or near enough.
    pub(crate) fn differences(&self, was: &Self) -> Vec<String> {
        let same_compiler = self.rustc == was.rustc;
        let kept = |row: &Row| {
            was.find(row).map_or_else(|| vec![format!("{}: new", row.name)], |was| row.differences(was, same_compiler))
        };
        let gone = was.rows.iter().filter(|row| self.find(row).is_none());
        self.rows.iter().flat_map(kept).chain(gone.map(|row| format!("{}: gone", row.name))).collect()
    }

    fn find(&self, row: &Row) -> Option<&Row> {
        self.rows.iter().find(|own| own.name == row.name)
    }
}

const MADE_BY: &str = "# made by ";

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        write!(f, "{MADE_BY}{}\n{:<width$}", self.rustc, "operation")?;
        COLUMNS.iter().try_for_each(|column| write!(f, "  {}", column.title))?;
        for row in &self.rows {
            write!(f, "\n{:<width$}", row.name)?;
            for (column, count) in COLUMNS.iter().zip(row.counts) {
                write!(f, "  {:>1$}", text(count), column.title.len())?;
            }
        }
        writeln!(f)
    }
}
