#!/usr/bin/env bash
# Sets up what is missing and runs every check.
#
#   tests/run.sh         everything
#   tests/run.sh quick   formatting, lints and the host's tests, without the demo: under two minutes
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-full}

TARGETS=(thumbv6m-none-eabi thumbv7m-none-eabi thumbv7em-none-eabihf riscv32imac-unknown-none-elf)
BARE_METAL=(-p fusebox -p fusebox-drive -p fusebox-embassy -p fusebox-embedded-hal)
MSRV=1.85.0
PACKAGES=(--workspace)
LINTED=(--workspace --features fusebox-bench/service)
if [ "$mode" = quick ]; then
    PACKAGES+=(--exclude fusebox-examples --exclude fusebox-bench)
    LINTED=("${PACKAGES[@]}")
fi

step() { printf '\n=== %s (%ds)\n' "$*" "$SECONDS"; }

setup_host() {
    rustup component add rustfmt clippy >/dev/null 2>&1 || true
}

setup_full() {
    rustup target add "${TARGETS[@]}" >/dev/null
    rustup component add llvm-tools rust-src >/dev/null
    rustup toolchain list | grep -q "^$MSRV" || rustup toolchain install "$MSRV" --profile minimal >/dev/null
    rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal >/dev/null
    rustup component add --toolchain nightly miri rust-src >/dev/null
    if ! (command -v qemu-system-arm && command -v valgrind) >/dev/null; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends qemu-system-arm valgrind >/dev/null
    fi
}

lints() {
    step formatting
    cargo fmt --all --check
    (cd examples/firmware && cargo fmt --check)
    step lints
    cargo clippy -q "${LINTED[@]}" --all-targets --locked -- -D warnings
    cargo clippy -q -p fusebox --all-features --all-targets --locked -- -D warnings
}

host_tests() {
    step "tests on the host"
    cargo test "${PACKAGES[@]}" --locked
    cargo test -p fusebox --all-features --locked
}

docs() {
    step documentation
    RUSTDOCFLAGS="-D warnings" cargo doc -q --workspace --no-deps --locked
}

features() {
    step "feature combinations"
    for combination in "" std defmt serde std,defmt std,serde defmt,serde std,defmt,serde; do
        cargo check -q -p fusebox --no-default-features --features "$combination" --locked
    done
    for combination in "" std defmt std,defmt std,notify config,notify quanta; do
        cargo check -q -p fusebox-drive --no-default-features --features "$combination" --locked
    done
    cargo check -q -p fusebox-embassy --features defmt --locked
    for package in fusebox-tokio fusebox-async-std; do
        cargo check -q -p "$package" --all-features --locked
    done
}

msrv() {
    step "rust $MSRV"
    for package in fusebox fusebox-drive fusebox-tokio fusebox-async-std fusebox-embedded-hal; do
        CARGO_TARGET_DIR=target/msrv cargo "+$MSRV" check -q -p "$package" --locked
    done
}

bare_metal() {
    for target in thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imac-unknown-none-elf; do
        step "bare metal: $target"
        cargo build -q --release --target "$target" "${BARE_METAL[@]}" --locked
    done
}

flash() {
    step "flash bytes, and no way to panic"
    tests/flash/measure.sh
}

counts() {
    local bench=(-p fusebox-bench --no-default-features --features curves --locked)
    step "instructions, locks, allocations and clock reads of the hot operations"
    cargo run -q --release "${bench[@]}" --bin count -- check
    step "cost does not grow with keys, windows, idle time"
    cargo run -q --release "${bench[@]}" --bin curves -- check
}

# Runs the firmware on an emulated board; its exit code says whether its readings were right, its trace must be the
# host's.
firmware() { # target
    step "firmware: $1"
    local log
    log=$(mktemp)
    (cd examples/firmware && cargo clippy -q --release --target "$1" --locked -- -D warnings)
    (cd examples/firmware && timeout 300 cargo run -q --release --target "$1" --locked) >"$log" || {
        echo "exit code $?" >&2
        cat "$log" >&2
        return 1
    }
    sed '/^trace: /d' "$log"
    sed -n 's/^trace: //p' "$log" | tr -d '\r' | diff -u tests/golden/trace.txt -
    echo "the trace equals the host's: $(wc -l <tests/golden/trace.txt) lines"
}

# The core forbids unsafe code, so this is about atomics and arithmetic; the rest would take miri an hour.
miri() {
    step "miri on the core"
    CARGO_TARGET_DIR=target/miri cargo +nightly miri test -q -p fusebox --lib --locked -- \
        entropy:: time:: retry::
}

# loom's flag must not reach the other tests' runtimes, so this has its own target folder.
model_check() {
    step "atomic twins under loom"
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
        cargo test -q -p fusebox-loom --release --locked -- --nocapture
}

demo() {
    step "demo"
    local out
    out=$(mktemp -d)
    cargo run -q --release --locked -- --duration 6s --rate 50 --report "$out/report.html" >"$out/demo.txt"
    tail -n 20 "$out/demo.txt"
    grep -q '<svg' "$out/report.html"
    if cargo run -q --release --locked -- --upstream not-a-url 2>"$out/error.txt"; then
        echo "a wrong URL was taken" >&2
        exit 1
    fi
    [ "$(wc -l <"$out/error.txt")" -eq 1 ]
}

setup_host
if [ "$mode" = full ]; then
    # Each thing is built once: what is kept for the next build only fills the disk.
    export CARGO_INCREMENTAL=0
    step setup
    setup_full
fi
lints
host_tests
if [ "$mode" = full ]; then
    docs
    features
    msrv
    bare_metal
    flash
    counts
    for target in thumbv6m-none-eabi thumbv7m-none-eabi thumbv7em-none-eabihf; do
        firmware "$target"
    done
    miri
    model_check
    demo
fi
step "all passed"
