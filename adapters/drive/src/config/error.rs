//! What is wrong with a file, and where.

use core::fmt::{self, Display};
use std::format;
use std::string::{String, ToString};

use fusebox::ConfigError;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

/// Why a configuration was refused: the setting by its full path, and what is wrong with it and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    /// The setting, as `retry.backoff.first`; empty where the text as a whole is none.
    pub path: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl InvalidConfig {
    pub(super) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// The same, seen from further out: for configurations that hold others.
    #[must_use]
    pub fn within(mut self, section: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("{section}{dot}{}", self.path);
        self
    }

    /// `problem`, and in which line it is, where that is known.
    fn in_line(problem: &str, text: &str, span: Option<core::ops::Range<usize>>) -> String {
        let Some(before) = span.and_then(|span| text.get(..span.start)) else { return problem.into() };
        format!("{problem} (line {})", before.matches('\n').count() + 1)
    }
}

impl Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.path, self.problem)
    }
}

impl core::error::Error for InvalidConfig {}

/// A section's settings are called as the builders call theirs.
impl From<ConfigError> for InvalidConfig {
    fn from(error: ConfigError) -> Self {
        Self::new(error.setting, error.problem)
    }
}

/// What must be there.
pub(super) fn need<T>(setting: Option<T>, path: &str, what: &str) -> Result<T, InvalidConfig> {
    setting.ok_or_else(|| InvalidConfig::new(path, format!("is missing: {what}")))
}

/// Refuses what is given but means nothing to this kind, which knows only `known`.
pub(super) fn only(given: &[(&str, bool)], known: &[&str]) -> Result<(), InvalidConfig> {
    match given.iter().find(|(path, given)| *given && !known.contains(path)) {
        Some((path, _)) if known.is_empty() => {
            Err(InvalidConfig::new(path, "this kind takes no settings; leave it out"))
        }
        Some((path, _)) => {
            Err(InvalidConfig::new(path, format!("this kind has only {}; leave it out", known.join(", "))))
        }
        None => Ok(()),
    }
}

/// Reads whatever serde can, from any format.
///
/// # Errors
/// What serde refuses (a wrong type, an unknown field or kind), with its path.
pub fn from_deserializer<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, InvalidConfig> {
    read(from, ToString::to_string)
}

/// Reads TOML.
///
/// # Errors
/// As [`from_deserializer`], and what is no TOML; with the line.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, InvalidConfig> {
    let problem = |error: &toml::de::Error| InvalidConfig::in_line(error.message(), text, error.span());
    let from = toml::Deserializer::parse(text).map_err(|error| InvalidConfig::new("", problem(&error)))?;
    read(from, problem)
}

/// Reads JSON.
///
/// # Errors
/// As [`from_deserializer`], and what is no JSON; with the line.
pub fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, InvalidConfig> {
    let mut from = serde_json::Deserializer::from_str(text);
    let read = from_deserializer(&mut from)?;
    match from.end() {
        Ok(()) => Ok(read),
        Err(error) => Err(InvalidConfig::new("", error.to_string())),
    }
}

fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
    problem: impl FnOnce(&D::Error) -> String,
) -> Result<T, InvalidConfig> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        // A dot stands for the whole, a question mark for what was not read to its end.
        InvalidConfig::new(error.path().to_string().trim_end_matches(['.', '?']), problem(error.inner()))
    })
}
