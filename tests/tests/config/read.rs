//! Reading and writing.

use std::collections::BTreeMap;
use std::time::Duration;

use fusebox::Entropy;
use fusebox_drive::config::{EXAMPLE, InvalidConfig, PipelineConfig, from_deserializer, from_json, from_toml};

use crate::{FULL, built, toml};

const JSON: &str = include_str!("full.json");

#[test]
fn toml_and_json_read_the_same() {
    let config = toml(FULL);
    assert_eq!(from_json(JSON), Ok(config));
    assert_eq!(from_deserializer(serde_json::from_str::<serde_json::Value>(JSON).unwrap()), Ok(config));
    assert_eq!(config.hedge.unwrap().delay, Some(Duration::from_millis(500)));
    assert_eq!(config.retry.unwrap().hint_on_top, Some(Duration::from_secs(90)));
    let text = serde_json::to_string(&config).unwrap();
    assert!(!text.contains("null"), "the file is to have every setting: {text}");
}

fn round_trip(config: &PipelineConfig) {
    assert_eq!(from_toml(&toml::to_string(config).unwrap()), Ok(*config));
    assert_eq!(from_json(&serde_json::to_string(config).unwrap()), Ok(*config));
}

#[test]
fn what_was_written_reads_the_same() {
    let entropy = Entropy::new(1);
    round_trip(&PipelineConfig::default());
    for _ in 0..200 {
        // Any half of the settings, under all headings.
        let half: Vec<_> = FULL.lines().filter(|line| line.starts_with('[') || entropy.draw() & 1 == 1).collect();
        round_trip(&toml(&half.join("\n")));
    }
}

#[test]
fn durations_are_kept_to_the_nanosecond() {
    let entropy = Entropy::new(2);
    let mut config = toml("");
    for bits in 0..64 {
        let nanos = (u64::from(entropy.draw()) << 32 | u64::from(entropy.draw())) >> bits;
        config.pipeline.deadline = Some(Duration::from_nanos(nanos));
        round_trip(&config);
    }
    config.pipeline.deadline = Some(Duration::ZERO);
    round_trip(&config);
}

#[test]
fn the_example_builds_and_nothing_is_to_be_said_about_it() {
    let pipeline = built(EXAMPLE).unwrap();
    assert!(pipeline.review().is_empty(), "{:?}", pipeline.review());
    let (each, once) = (pipeline.gate(), pipeline.call_gate());
    assert!(each.breaker.is_some() && each.rate_limit.is_some() && each.bulkhead.is_none());
    assert!(once.breaker.is_none() && once.rate_limit.is_none() && once.bulkhead.is_some());
}

#[test]
fn a_file_of_several() {
    type File = BTreeMap<String, PipelineConfig>;
    let file: File = from_toml("[stock.bulkhead]\nlimit = 2\n[payments.retry]\nattempts = 0").unwrap();
    let build = |name: &str| file[name].build((), Entropy::new(1)).map(|_| ()).map_err(|error| error.within(name));
    assert_eq!((build("stock"), build("payments").unwrap_err().path.as_str()), (Ok(()), "payments.retry.attempts"));
    let error = from_toml::<File>("[stock.bulkhead]\nlimits = 2").unwrap_err();
    assert_eq!(error.path, "stock.bulkhead.limits");
}

fn refused(path: &str, problem: &str) -> Result<PipelineConfig, InvalidConfig> {
    Err(InvalidConfig { path: path.into(), problem: problem.into() })
}

#[test]
fn what_serde_refuses_is_named_by_its_path_and_line() {
    let cases = [
        ("[retry]\natempts = 3", "retry.atempts", "unknown field `atempts`, expected one of `attempts`"),
        ("\n[retri]\nattempts = 3", "retri", "unknown field `retri`, expected one of `pipeline`, `retry`"),
        ("[retry]\nattempts = \"3\"", "retry.attempts", "invalid type: string \"3\", expected u16 (line 2)"),
        ("[retry]\nattempts = -1", "retry.attempts", "invalid value: integer `-1`, expected u16"),
        ("[retry]\nattempts = 65536", "retry.attempts", "invalid value: integer `65536`, expected u16"),
        ("retry = 3", "retry", "invalid type: integer `3`, expected a section of settings"),
        ("[retry.backoff]\nkind = \"exp\"", "retry.backoff.kind", "unknown variant `exp`, expected one of `immediate`"),
        ("[retry.backoff]\njitter = 1", "retry.backoff.jitter", ""),
        (
            "[retry.backoff]\n\nfirst = 50",
            "retry.backoff.first",
            "invalid type: integer `50`, expected a duration with its unit, such as \"250ms\" or \"2s\" (line 3)",
        ),
        (
            "[retry.backoff]\nfirst = \"50\"",
            "retry.backoff.first",
            "\"50\" is no duration, such as \"250ms\" or \"2s\": time unit needed",
        ),
        ("[retry.backoff]\nfirst = \"-5s\"", "retry.backoff.first", "\"-5s\" is no duration"),
        (
            "[breaker]\nrule = { permille = 1.5 }",
            "breaker.rule.permille",
            "invalid type: floating point `1.5`, expected u16",
        ),
        (
            "[breaker]\nor_rule = { kind = \"any\" }",
            "breaker.or_rule.kind",
            "unknown variant `any`, expected one of `consecutive`",
        ),
        ("[breaker]\nslow_start = { form = 1 }", "breaker.slow_start.form", "unknown field `form`"),
        ("[breaker]\nseed = 1", "breaker.seed", "unknown field `seed`"),
        ("[rate_limit]\nper = \"second\"", "rate_limit.per", "unknown variant `second`, expected `attempt` or `call`"),
        ("[bulkhead]\nlimit = 0", "bulkhead.limit", "invalid value: integer `0`, expected a nonzero u32"),
        ("[budget.floor]\nrate = 1", "budget.floor.rate", "unknown field `rate`"),
        ("[budget.costs]\nfailures = 1", "budget.costs.failures", "unknown field `failures`"),
        (
            "[pipeline]\nwait_for_gates = \"yes\"",
            "pipeline.wait_for_gates",
            "invalid type: string \"yes\", expected a boolean",
        ),
        ("[hedge]\ndelay = \"1s\"\nattempts = 2", "hedge.attempts", "unknown field `attempts`"),
        ("[retry]\nattempts = 3\nattempts = 4", "", "duplicate key (line 3)"),
        ("\n\nx = [", "", "unclosed array, expected `]` (line 3)"),
    ];
    for (text, path, problem) in cases {
        let error = from_toml::<PipelineConfig>(text).unwrap_err();
        assert_eq!(error.path, path, "{text}");
        assert!(error.problem.starts_with(problem) && error.problem.contains("(line "), "{text}: {error}");
    }
}

#[test]
fn json_says_where_too() {
    let json = from_json::<PipelineConfig>;
    assert_eq!(
        json("{\"pipeline\":\n{\"deadline\": 5}}"),
        refused(
            "pipeline.deadline",
            "invalid type: integer `5`, expected a duration with its unit, such as \"250ms\" or \"2s\" at line 2 column 14"
        )
    );
    assert_eq!(json("{} {}"), refused("", "trailing characters at line 1 column 4"));
    assert_eq!(json("{"), refused("", "EOF while parsing an object at line 1 column 1"));
    assert_eq!(json("{\"retry\": {").unwrap_err().path, "retry");
    assert_eq!(json("{\"retry\": null, \"pipeline\": {\"deadline\": null}}"), Ok(PipelineConfig::default()));
}

#[test]
fn an_error_reads_as_one_line() {
    let line = |text: &str| built(text).unwrap_err().to_string();
    assert_eq!(
        line("[retry.backoff]\nkind = \"constant\""),
        "retry.backoff.first: is missing: the first delay, such as \"50ms\""
    );
    assert_eq!(line("x"), "key with no value, expected `=` (line 1)");
    let error = InvalidConfig { path: String::new(), problem: "no such file".into() };
    assert_eq!(error.within("payments").to_string(), "payments: no such file");
}
