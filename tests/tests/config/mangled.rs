//! No text panics, and what builds can be reviewed, printed and called.

use std::future::ready;
use std::time::Duration;

use fusebox::Entropy;
use fusebox_drive::config::{EXAMPLE, PipelineConfig, from_json, from_toml};
use fusebox_tests::ManualTimer;
use tokio::time::timeout;

const JSON: &str = include_str!("full.json");
const VALUES: [&str; 16] = [
    "0",
    "1",
    "-1",
    "999",
    "1000",
    "1001",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "'0s'",
    "'1ns'",
    "'584years'",
    "'full'",
    "{ kind = 'ewma' }",
];

fn pick<'a, T>(entropy: &Entropy, of: &'a [T]) -> &'a T {
    &of[entropy.draw() as usize % of.len()]
}

/// Bytes turned into others, taken out and doubled.
fn garbled(text: &str, entropy: &Entropy) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=entropy.draw() % 4 {
        let at = entropy.draw() as usize % bytes.len();
        match entropy.draw() % 4 {
            0 => bytes[at] = *pick(entropy, b"0123456789{}[]\"'=.,: \nemsx-"),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            _ => bytes.truncate(at.max(8)),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Settings left out, moved under other headings and set to extremes.
fn shuffled(entropy: &Entropy) -> String {
    let lines = EXAMPLE.lines().chain(crate::FULL.lines()).filter(|_| !entropy.draw().is_multiple_of(4));
    let text = lines.map(|line| match line.split_once(" = ") {
        Some((name, _)) if entropy.draw().is_multiple_of(6) && !line.contains('{') => {
            format!("{name} = {}\n", pick(entropy, &VALUES))
        }
        _ => format!("{line}\n"),
    });
    let text: String = text.collect();
    // Halves of it, so that a heading is not there twice.
    let from = text.char_indices().filter(|(_, c)| *c == '[').map(|(at, _)| at).collect::<Vec<_>>();
    let (a, b) = (*pick(entropy, &from), *pick(entropy, &from));
    text[a.min(b)..a.max(b)].into()
}

fn try_out(config: &PipelineConfig) -> bool {
    let timer: &'static ManualTimer = Box::leak(Box::default());
    let blocking = config.build_blocking((), Entropy::new(1)).is_ok();
    match config.build(timer, Entropy::new(1)) {
        Ok(pipeline) => {
            assert!(blocking == config.hedge.is_none());
            let _ = format!("{:?} {pipeline:?}", pipeline.review());
            for answer in [Ok("fine"), Err("no"), Err("no")] {
                // For ever, if it waits for gates for so long.
                let _ended = timer.block_on(pipeline.call(|_| ready(answer)));
            }
            true
        }
        Err(error) => {
            assert!(!blocking && !error.path.is_empty() && !error.problem.is_empty());
            false
        }
    }
}

#[test]
fn no_text_panics() {
    let entropy = Entropy::new(11);
    let (mut read, mut built) = (0, 0);
    for _ in 0..5_000 {
        let config = match entropy.draw() % 4 {
            0 => from_toml(&garbled(EXAMPLE, &entropy)),
            1 => from_toml(&garbled(crate::FULL, &entropy)),
            2 => from_json(&garbled(JSON, &entropy)),
            _ => from_toml(&shuffled(&entropy)),
        };
        match config {
            Ok(config) => {
                read += 1;
                built += u32::from(try_out(&config));
            }
            Err(error) => assert!(!error.problem.is_empty()),
        }
    }
    assert!(read > 500 && built > 200, "{read} were read, {built} built");
}

#[tokio::test(start_paused = true)]
async fn what_was_built_from_extremes_still_answers() {
    let text = "pipeline = { deadline = '584years', attempt_timeout = '583years' }\n\
                rate_limit = { count = 4294967295, period = '4294967295ns' }\nbulkhead.limit = 4294967295\n\
                breaker = { rule = { kind = 'ewma', permille = 1, minimum_calls = 4294967295, last = 1000000 } }\n\
                retry = { attempts = 65535, max_hint = '18446744073709551615ns' }";
    let pipeline = crate::toml(text).build(fusebox_tokio::TokioTimer::new(), Entropy::new(1)).unwrap();
    let answer = timeout(Duration::from_secs(1), pipeline.call(|_| ready(Ok::<_, ()>(1)))).await.unwrap();
    assert_eq!(answer, Ok(1));
}
