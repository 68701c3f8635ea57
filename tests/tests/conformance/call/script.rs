//! What the tries of a call answer, and what that means.

use fusebox_drive::Class;
use serde_json::Value;

use super::{Failed, Out};
use crate::fields::{Fields, NotExpressible};
use crate::vector::Unit;

/// What a try answers, and after how long.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) nanos: u64,
}

/// A value or an error, by its name.
pub(crate) type Answer = Result<String, String>;

/// The replies of a call's tries, in the order in which they start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    replies: Vec<Reply>,
    /// Of all tries after these.
    others: Option<Reply>,
}

impl Script {
    /// The reply to try number `number`, from 1.
    pub(crate) fn of(&self, number: u32) -> Option<Reply> {
        self.replies.get(number as usize - 1).or(self.others.as_ref()).cloned()
    }

    /// All tries answer only after `nanos`.
    pub(crate) fn working(nanos: u64) -> Self {
        Self { replies: vec![], others: Some(Reply { answer: Ok("ok".to_owned()), nanos }) }
    }

    /// `FFS`, `F*` (the last one for ever), a list of values, of `{r, took}`, or words.
    pub(crate) fn read(fields: &Fields<'_>, unit: Unit) -> Result<Self, NotExpressible> {
        let unknown = |why: &str| fields.cannot("results", why);
        match fields.value("results") {
            Some(Value::String(text)) if text.contains(' ') => {
                Self::in_words(text, unit).ok_or_else(|| unknown("words that the runner does not know"))
            }
            Some(Value::String(text)) => {
                let letters = text.strip_suffix('*').unwrap_or(text);
                let replies = letters.chars().map(|letter| match letter {
                    'F' | 'S' => Ok(Reply { answer: answer_of(&letter.to_string().into()).unwrap(), nanos: 0 }),
                    _ => Err(unknown("F or S")),
                });
                let replies: Vec<Reply> = replies.collect::<Result<_, _>>()?;
                let others = text.ends_with('*').then(|| replies.last().cloned()).flatten();
                Ok(Self { replies, others })
            }
            Some(Value::Array(list)) => {
                let replies = list.iter().map(|item| reply_of(item, unit).ok_or_else(|| unknown("an item of it")));
                Ok(Self { replies: replies.collect::<Result<_, _>>()?, others: None })
            }
            _ => Err(unknown("needed here")),
        }
    }

    /// "the first three tries each take 100 and then give 3; others give 0 at once (not accepted)"
    fn in_words(text: &str, unit: Unit) -> Option<Self> {
        const NUMBERS: [&str; 6] = ["no", "one", "two", "three", "four", "five"];
        let (count, rest) = text.strip_prefix("the first ")?.split_once(" tries each take ")?;
        let (took, rest) = rest.split_once(" and then give ")?;
        let (first, rest) = rest.split_once("; others give ")?;
        let (other, remark) = rest.split_once(" at once")?;
        (remark.is_empty() || remark.starts_with(" (")).then_some(())?;
        let reply = |value: &str, nanos| Some(Reply { answer: answer_of(&number_or_text(value))?, nanos });
        let first = reply(first, unit.nanos(took.parse().ok()?))?;
        let count = NUMBERS.iter().position(|word| *word == count)?;
        Some(Self { replies: vec![first; count], others: Some(reply(other, 0)?) })
    }
}

fn number_or_text(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
}

fn reply_of(item: &Value, unit: Unit) -> Option<Reply> {
    let Value::Object(fields) = item else { return Some(Reply { answer: answer_of(item)?, nanos: 0 }) };
    let fields = Fields::new("results", fields);
    let answer = answer_of(fields.value("r")?)?;
    let nanos = unit.nanos(fields.number("took").ok()?.unwrap_or(0.0));
    fields.finish().ok()?;
    Some(Reply { answer, nanos })
}

/// Numbers, `ok` and `S` are values; `F`, `fatal`, `error` and what begins with a capital E are errors.
fn answer_of(value: &Value) -> Option<Answer> {
    let name = name_of(value);
    match name.as_str() {
        _ if value.is_number() => Some(Ok(name)),
        "ok" | "S" => Some(Ok("ok".to_owned())),
        "fatal" | "error" | "F" => Some(Err(name)),
        error if error.starts_with('E') => Some(Err(name)),
        _ => None,
    }
}

/// How a number or text of the file is called.
pub(crate) fn name_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What answers mean to the plan: values are good and errors may be tried again, except for those that are listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    bad_values: Vec<String>,
    /// If there are any, only these end a race.
    accepted: Vec<String>,
    final_errors: Vec<String>,
    /// If there are any, all others are final.
    transient_errors: Vec<String>,
    /// Whether any answer ends a race, an error too.
    takes_all: bool,
}

impl Judge {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, NotExpressible> {
        let names = |key| Ok::<_, NotExpressible>(fields.list(key)?.iter().map(name_of).collect());
        Ok(Self {
            bad_values: names("retry_on_value")?,
            accepted: vec![],
            final_errors: names("abort_on")?,
            transient_errors: names("retry_on")?,
            takes_all: false,
        })
    }

    /// As [`read`](Self::read), for a race. Those of failsafe-go end with the first answer, unless it is told which ones.
    pub(crate) fn of_race(fields: &Fields<'_>, system: &str) -> Result<Self, NotExpressible> {
        let judge = Self::read(fields)?;
        Ok(match fields.value("cancel_on") {
            None => Self { takes_all: system == "failsafe-go/failsafe-go", ..judge },
            Some(kind) if kind == "success" => judge,
            Some(_) => Self { accepted: fields.list("cancel_on")?.iter().map(name_of).collect(), ..judge },
        })
    }

    pub(crate) fn error(&self, name: &str) -> Class {
        let is_in = |list: &[String]| list.iter().any(|known| known == name);
        let is_final = self.takes_all || name == "fatal" || is_in(&self.final_errors);
        let is_transient = self.transient_errors.is_empty() || is_in(&self.transient_errors);
        if is_final || !is_transient { Class::Stop } else { Class::Retry }
    }

    pub(crate) fn class(&self, out: &Out) -> Class {
        match out {
            Err(Failed { class, .. }) => *class,
            Ok(said) if self.bad_values.contains(&said.value) => Class::Retry,
            Ok(said) if !self.accepted.is_empty() && !self.accepted.contains(&said.value) => Class::Retry,
            Ok(_) => Class::Success,
        }
    }
}
