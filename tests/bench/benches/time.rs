//! Time, by criterion: each entry with one thread and with two, and how far apart two threads are.
//!
//! As usual, a part of a name (`work/who/threads`) picks some: `cargo bench -p fusebox-bench -- token/governor`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fusebox_bench::{Work, crossing, entries};

fn time(criterion: &mut Criterion) {
    let mut entries = entries();
    // What is compared is measured at the same time: other users of the machine come and go.
    entries.sort_by_key(|entry| entry.work);
    for entry in entries {
        let mut group = criterion.benchmark_group(entry.work.name());
        for &threads in entry.threads {
            group.bench_function(BenchmarkId::new(entry.who, threads), |bencher| {
                // What it makes when it is first wanted must not be taken for what a call costs.
                entry.run(0);
                bencher.iter_custom(|times| entry.time(times, threads));
            });
        }
    }
    criterion.benchmark_group(Work::Floor.name()).bench_function(BenchmarkId::new("line crossing", 2), |bencher| {
        bencher.iter_custom(crossing);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .nresamples(1_000)
        .without_plots();
    targets = time
}
criterion_main!(benches);
