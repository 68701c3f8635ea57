#!/usr/bin/env bash
# A service under wrk, with and without the full pipeline. Takes some seven minutes, of a machine that has nothing else to
# do. Fails if the two answer differently, a request fails, or the pipelines have not seen all that was sent.
#
#   tests/bench/service.sh [ROUNDS] [SECONDS] >tests/bench/SERVICE.md
set -euo pipefail
cd "$(dirname "$0")"
rounds=${1:-10}
seconds=${2:-5}
connections=32
SERVICE=(-q --release --locked -p fusebox-bench --no-default-features --features service --bin service)

fail() {
    echo "error: $*" >&2
    exit 1
}

setup() {
    if ! (command -v wrk && command -v curl && command -v python3) >/dev/null; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends wrk curl python3 >/dev/null
    fi
    cargo build "${SERVICE[@]}"
}

start() {
    cargo run "${SERVICE[@]}" >"$out/url" &
    service=$! # cargo becomes what it runs
    until [ -s "$out/url" ]; do
        kill -0 "$service" || fail "the service did not start"
        sleep 0.1
    done
    url=$(<"$out/url")
}

# What a process and those of its children that are over have used of the processors, in ticks.
used() { # pid
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 + $14 + $15 }'
}

# What all but the service and this script have used of the processors, or could not get of them, in ticks.
used_by_others() {
    local all
    all=$(awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat)
    echo $((all - $(used "$service") - $(used $$)))
}

# One run; prints the route, what service.lua says of it, and the processor time in microseconds.
load() { # route
    local before requests errors run
    before=$(used "$service")
    run=$(wrk --threads 1 --connections "$connections" --duration "${seconds}s" --script service.lua "$url/$1" 2>&1 >/dev/null)
    read -r requests _ errors _ <<<"$run"
    [ "$errors" = 0 ] || fail "$1: $run"
    sent[$1]=$((${sent[$1]:-0} + requests))
    runs=$((runs + 1))
    echo "$1 $run $((($(used "$service") - before) * 1000000 / $(getconf CLK_TCK)))"
    echo "$1 $run" >&2
}

# Bare, guarded, guarded, bare, and again: each run stands beside one of its own route and one of the other.
compare() { # dependency
    local bare guarded
    bare=$(curl -sSf "$url/bare/$1")
    guarded=$(curl -sSf "$url/guarded/$1")
    [ "$bare" = "$guarded" ] || fail "$1: '$bare' is not '$guarded'"
    load "bare/$1" >/dev/null
    load "guarded/$1" >/dev/null
    others=$(used_by_others)
    began=$EPOCHSECONDS
    for ((round = 0; round < rounds; round++)); do
        for way in bare guarded guarded bare; do
            load "$way/$1"
        done
    done
    others=$((($(used_by_others) - others) * 100 / ((EPOCHSECONDS - began) * $(getconf CLK_TCK) * $(nproc))))
    echo "- $1: $others %" >>"$out/others"
    curl -sSf "$url/snapshot" | grep "^$1: " >>"$out/snapshot"
}

# The pipeline has seen all requests that were answered, and at most those besides that wrk left open.
was_guarded() { # dependency
    local calls unanswered
    calls=$(sed -n "s/^$1: \([0-9]*\) calls.*/\1/p" "$out/snapshot")
    unanswered=$((calls - sent[guarded/$1]))
    ((unanswered > 0 && unanswered <= 1 + runs * connections)) ||
        fail "$1: ${sent[guarded/$1]} requests were answered, but the pipeline saw $calls"
}

((rounds >= 3)) || fail "fewer than 3 rounds tell nothing from chance"
out=$(mktemp -d)
trap 'kill "${service:-}" 2>/dev/null || true; rm -r "$out"' EXIT
declare -A sent
runs=0
setup
load_before=$(cut -d ' ' -f 1-3 /proc/loadavg)
start
for dependency in ready http; do
    compare "$dependency" >"$out/$dependency"
done
was_guarded ready
was_guarded http

cat <<PAGE
# What the full pipeline costs a service

Made by \`tests/bench/service.sh $rounds $seconds >tests/bench/SERVICE.md\`; part of \`fusebox-bench\`, but of no check, because it takes
minutes of a machine that has nothing else to do.

An axum service answers each request with what one call to its dependency says, bare or through the full pipeline
(\`src/bin/service.rs\`): total deadline, retries with jittered backoff and a shared budget, breaker over the failure rate of
10 s, token bucket, bulkhead, attempt timeout. wrk drives it from one thread over $connections connections as fast as it can, so
latencies are those of a service at its limit. Both routes are in one process.

Runs of $seconds s follow each other as bare, guarded, guarded, bare, and so on. A difference is between two runs next to each
other: of guarded to bare, or, for the noise, of a route to itself, where all there is to see is the machine. Medians, with
the least and the most. The processor time is the service's.

$(nproc) processors ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)); load before it began: $load_before. What others took of the
processors meanwhile:

$(<"$out/others")
PAGE
for dependency in ready http; do
    python3 service.py "$dependency" <"$out/$dependency"
done
printf '\n## What the pipelines saw\n\n'
sed 's/^/    /' "$out/snapshot"
printf '\nwrk saw no error.\n'
