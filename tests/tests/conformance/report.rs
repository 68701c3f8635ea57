//! What became of each vector, and whether that is what the lists say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display, Formatter, Result as FmtResult};

use crate::fields::NotExpressible;
use crate::vector::{File, Kind, Vector};

/// A runner for some areas, with its lists.
pub(crate) struct Area {
    /// The vectors' `area`s.
    pub(crate) names: &'static [&'static str],
    pub(crate) run: fn(&Vector) -> Result<Findings, NotExpressible>,
    pub(crate) differ: &'static [Differs],
    pub(crate) gaps: &'static [Gap],
}

/// A vector that fusebox does not agree with, on purpose.
pub(crate) struct Differs {
    pub(crate) id: &'static str,
    /// All that differs, as the runner says it: `step 3: state`.
    pub(crate) at: &'static [&'static str],
    pub(crate) ground: Ground,
    pub(crate) why: &'static str,
}

/// On what a difference stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// These rows of the table of decided semantics, or its paragraph on composition; the only ground on which a universal
    /// vector may differ.
    Decided(&'static [&'static str]),
    /// Our answer to a question that each system answers in its own way.
    Choice,
}

/// A vector that cannot be said in fusebox's words.
pub(crate) struct Gap {
    pub(crate) id: &'static str,
    /// How the runner's reason begins: the field.
    pub(crate) field: &'static str,
    pub(crate) why: &'static str,
}

/// What running a vector showed.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Where fusebox's answer is another one.
    pub(crate) differences: Vec<Difference>,
    /// Expected fields that nothing of fusebox's corresponds to, by the reason.
    skipped: BTreeMap<String, BTreeSet<String>>,
    compared: u32,
}

#[derive(Debug)]
pub(crate) struct Difference {
    at: String,
    expected: String,
    got: String,
}

impl Findings {
    /// Compares what was expected at `at` with what fusebox says.
    pub(crate) fn compare<T: PartialEq + Debug>(&mut self, at: &str, expected: T, got: T) {
        self.compared += 1;
        if expected != got && !self.differences.iter().any(|known| known.at == at) {
            let (expected, got) = (format!("{expected:?}"), format!("{got:?}"));
            self.differences.push(Difference { at: at.to_owned(), expected, got });
        }
    }

    /// Says that `field` cannot be compared.
    pub(crate) fn skip(&mut self, field: &str, why: &str) {
        self.skipped.entry(why.to_owned()).or_default().insert(field.to_owned());
    }
}

/// The sums, the lists, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    ran: usize,
    agreed: usize,
    differ: Vec<String>,
    not_expressible: Vec<String>,
    not_comparable: Vec<String>,
    pub(crate) problems: Vec<String>,
}

impl Report {
    pub(crate) fn over(file: &File, areas: &[Area]) -> Self {
        let mut report = Self::default();
        for vector in &file.vectors {
            let runner = areas.iter().find(|area| area.names.contains(&vector.area.as_str()));
            match runner {
                Some(area) => report.add(vector, area),
                None => report.problem(vector, &format!("nobody runs the area {}", vector.area)),
            }
        }
        if file.own {
            report.check_lists(file, areas);
        }
        report
    }

    /// How the only vector of a file that is in no list ended.
    pub(crate) fn end(&self) -> &'static str {
        match (self.agreed, self.not_expressible.len()) {
            (1, _) => "agrees",
            (_, 1) => "not-expressible",
            _ => "differs",
        }
    }

    fn problem(&mut self, vector: &Vector, what: &str) {
        self.problems.push(format!("{}: {what}", vector.id));
    }

    fn add(&mut self, vector: &Vector, area: &Area) {
        self.ran += 1;
        let listed = area.differ.iter().find(|listed| listed.id == vector.id);
        let gap = area.gaps.iter().find(|listed| listed.id == vector.id);
        match vector.check_fields().and_then(|()| (area.run)(vector)) {
            Err(NotExpressible(what)) => self.add_gap(vector, &what, gap),
            Ok(findings) if findings.compared == 0 => self.add_gap(vector, "expect: nothing that compares", gap),
            Ok(findings) => {
                if gap.is_some() {
                    self.problem(vector, "listed as not expressible, but it is");
                }
                self.add_findings(vector, &findings, listed);
            }
        }
    }

    fn add_gap(&mut self, vector: &Vector, what: &str, gap: Option<&Gap>) {
        let why = gap.map_or("not listed", |gap| gap.why);
        self.not_expressible.push(format!("{}: {what}\n      {why}", vector.id));
        if gap.is_none_or(|gap| !what.starts_with(gap.field)) {
            self.problem(vector, &format!("not expressible, and not listed so: {what}"));
        }
    }

    fn add_findings(&mut self, vector: &Vector, findings: &Findings, listed: Option<&Differs>) {
        if !findings.skipped.is_empty() {
            let skipped = findings.skipped.iter().map(|(why, fields)| {
                let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                format!("\n      {}: {why}", fields.join(", "))
            });
            self.not_comparable.push(format!("{}:{}", vector.id, skipped.collect::<String>()));
        }
        let at: BTreeSet<&str> = findings.differences.iter().map(|difference| difference.at.as_str()).collect();
        let told = Self::told(&findings.differences);
        match listed {
            None if at.is_empty() => self.agreed += 1,
            None => self.problem(vector, &format!("differs: {told}")),
            Some(listed) => {
                self.differ.push(format!("{}: {} ({})\n      {told}", vector.id, listed.why, listed.ground));
                if at != listed.at.iter().copied().collect() {
                    self.problem(vector, &format!("differs otherwise than listed: {told}"));
                }
                if vector.kind == Kind::Universal && listed.ground == Ground::Choice {
                    self.problem(vector, "is universal: only a decided row can excuse it");
                }
            }
        }
    }

    fn told(differences: &[Difference]) -> String {
        let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
        if told.is_empty() { "in nothing".to_owned() } else { told.join("; ") }
    }

    /// Entries for vectors or areas that are not there, and vectors listed twice.
    fn check_lists(&mut self, file: &File, areas: &[Area]) {
        let mut seen = BTreeSet::new();
        for area in areas {
            let ids = area.differ.iter().map(|listed| listed.id).chain(area.gaps.iter().map(|listed| listed.id));
            for id in ids {
                let there = |vector: &Vector| vector.id == id && area.names.contains(&vector.area.as_str());
                if !file.vectors.iter().any(there) {
                    self.problems.push(format!("{id}: listed, but there is no such vector"));
                }
                if !seen.insert(id) {
                    self.problems.push(format!("{id}: listed twice"));
                }
            }
        }
        for name in areas.iter().flat_map(|area| area.names) {
            if !file.vectors.iter().any(|vector| vector.area == *name) {
                self.problems.push(format!("no vector is of the area {name}"));
            }
        }
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        write!(f, "{}: {}, not {}", self.at, self.got, self.expected)
    }
}

impl Display for Ground {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        match self {
            Self::Decided(rows) => write!(f, "decided: {}", rows.join(", ")),
            Self::Choice => f.write_str("our choice"),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        let (differ, gaps) = (self.differ.len(), self.not_expressible.len());
        let (ran, agreed) = (self.ran, self.agreed);
        writeln!(f, "ran {ran}, agreed {agreed}, differ by decision {differ}, not expressible {gaps}")?;
        let lists = [
            ("differ by decision", &self.differ),
            ("not expressible", &self.not_expressible),
            ("fields not comparable", &self.not_comparable),
            ("PROBLEMS", &self.problems),
        ];
        for (title, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            writeln!(f, "\n{title}:")?;
            list.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}
