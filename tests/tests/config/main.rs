//! Pipelines from configuration files: they read the same from TOML and JSON, answer the same as those built by hand, and
//! name what is wrong.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]

mod as_by_hand;
mod mangled;
mod nonsense;
mod options;
mod read;
mod rules;
mod sections;

use fusebox::Entropy;
use fusebox_drive::config::{AnyPipeline, InvalidConfig, PipelineConfig, from_toml};
use fusebox_tests::ManualTimer;

const FULL: &str = include_str!("full.toml");

fn toml(text: &str) -> PipelineConfig {
    from_toml(text).unwrap()
}

fn built(text: &str) -> Result<AnyPipeline<&'static ManualTimer>, InvalidConfig> {
    from_toml::<PipelineConfig>(text)?.build(Box::leak(Box::default()), Entropy::new(7))
}
