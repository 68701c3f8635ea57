"""The runs of service.sh as a Markdown table."""

import math
import sys
from itertools import pairwise
from statistics import median

TITLES = {
    "ready": "A dependency that is ready at once",
    "http": "A dependency over HTTP",
}


def read(lines):
    """What was measured, by name; a list of runs as (is guarded, value) each."""
    runs = {"requests/s": [], "p50, µs": [], "p99, µs": [], "processor time per request, µs": []}
    for line in lines:
        route, *numbers = line.split()
        requests, seconds, _errors, p50, p99, processor = map(float, numbers)
        values = (requests / seconds, p50, p99, processor / requests)
        for measured, value in zip(runs.values(), values):
            measured.append((route.startswith("guarded"), value))
    return runs


def spread(values, form):
    return f"{form(median(values))} ({form(min(values))} .. {form(max(values))})"


def number(value):
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.2f}"


def percent(value):
    return f"{value:+.1f} %"


def unlikely(pairs):
    """How many of so many pairs are alike by chance, were both equal, in less than one case of 20."""
    def tail(least):
        return 2 * sum(math.comb(pairs, k) for k in range(least, pairs + 1)) / 2**pairs
    return next(least for least in range(pairs + 2) if least > pairs / 2 and tail(least) < 0.05)


def row(name, runs):
    bare = [value for guarded, value in runs if not guarded]
    guarded = [value for guarded, value in runs if guarded]
    between, within = [], []
    for (first_guarded, first), (second_guarded, second) in pairwise(runs):
        if first_guarded == second_guarded:
            within.append(100 * (second / first - 1))
        else:
            ratio = first / second if first_guarded else second / first
            between.append(100 * (ratio - 1))
    worse = sum(difference < 0 if name == "requests/s" else difference > 0 for difference in between)
    cells = [name, spread(bare, number), spread(guarded, number), spread(between, percent), f"{worse} of {len(between)}",
             spread(within, percent)]
    return f"| {' | '.join(cells)} |", len(between)


def main():
    rows = [row(name, runs) for name, runs in read(sys.stdin).items()]
    pairs = rows[0][1]
    print(f"\n## {TITLES[sys.argv[1]]}\n")
    print("| | bare | guarded | guarded to bare | guarded is worse in | noise: a route to itself |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(text for text, _ in rows))
    print(f"\nWere there no difference, {unlikely(pairs)} or more of {pairs} pairs would be worse, or better, once in 20 times at most.")


main()
