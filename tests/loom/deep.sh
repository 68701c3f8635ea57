#!/usr/bin/env bash
# Slow proof: the atomic twins under loom with one more preemption than `tests/run.sh` allows, the bulkhead with any number
# of them. A quarter of an hour.
# Last runs, 2026-11-23 and 24: nothing found in some 5 million executions.
set -euo pipefail
cd "$(dirname "$0")/../.."
LOOM_DEEP=1 RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
    cargo test -q -p fusebox-loom --release --locked -- --nocapture
