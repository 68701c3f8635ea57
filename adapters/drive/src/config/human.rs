//! Durations as people write them: "250ms", "2s", "1m 30s".

use core::fmt;
use core::time::Duration;
use std::format;

use humantime::{format_duration, parse_duration};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

#[expect(clippy::ref_option, reason = "so serde calls it")]
pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    duration.map(Human).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<Human>::deserialize(from)?.map(|Human(duration)| duration))
}

struct Human(Duration);

impl Serialize for Human {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Human {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Human;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, such as \"250ms\" or \"2s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Human, E> {
        let refused = |error| E::custom(format!("{text:?} is no duration, such as \"250ms\" or \"2s\": {error}"));
        parse_duration(text).map(Human).map_err(refused)
    }
}
