use super::*;

const MS: u64 = 1_000_000;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn delays<const N: usize>(backoff: Backoff, entropy: u32) -> [u64; N] {
    let mut schedule = Schedule::new();
    core::array::from_fn(|_| backoff.next(&mut schedule, entropy))
}

const TABLE: &[Duration] = &[ms(7), ms(30), ms(2), ms(5)];

fn shapes() -> [Backoff; 9] {
    [
        Backoff::constant(ms(100)),
        Backoff::linear(ms(100), ms(30), ms(250)),
        Backoff::exponential(ms(100), ms(250)),
        Backoff::exponential(Duration::MAX, Duration::MAX),
        Backoff::fibonacci(ms(100), ms(250)),
        Backoff::fibonacci(Duration::MAX, Duration::MAX),
        Backoff::table(TABLE),
        Backoff::polly_exponential(ms(100), ms(250)),
        Backoff::polly_exponential(ms(100), Duration::MAX),
    ]
    .map(Result::unwrap)
}

fn jitters() -> [Jitter; 6] {
    let around = |permille| Jitter::around(permille).unwrap();
    [Jitter::None, Jitter::Full, Jitter::Equal, around(250), around(1_000), Jitter::Decorrelated]
}

#[test]
fn schedules() {
    let constant = Backoff::constant(ms(3)).unwrap();
    assert_eq!(delays(constant, 0), [3 * MS, 3 * MS, 3 * MS]);
    let linear = Backoff::linear(ms(10), ms(5), ms(18)).unwrap();
    assert_eq!(delays(linear, 0), [10 * MS, 15 * MS, 18 * MS, 18 * MS]);
    let half_more = Backoff::exponential_by(1_500, ms(4), ms(1_000)).unwrap();
    assert_eq!(delays(half_more, 0), [4 * MS, 6 * MS, 9 * MS, 13_500_000]);
    let fibonacci = Backoff::fibonacci(ms(2), ms(30)).unwrap();
    assert_eq!(delays(fibonacci, 0), [2, 2, 4, 6, 10, 16, 26, 30, 30].map(|n| n * MS));
    let table = Backoff::table(TABLE).unwrap();
    assert_eq!(delays(table, 0), [7, 30, 2, 5, 5, 5].map(|n| n * MS));
    assert_eq!(delays(Backoff::IMMEDIATE, u32::MAX), [0; 3]);
}

#[test]
fn cap_holds_for_every_kind_and_entropy_and_so_does_the_floor() {
    for shape in shapes() {
        for jitter in jitters() {
            let plain = shape.with_jitter(jitter);
            let floor = plain.cap().min(3 * MS);
            let floored = plain.with_floor(Duration::from_nanos(floor)).unwrap();
            for entropy in [0, 1, u32::MAX >> 1, u32::MAX] {
                assert!(delays::<100>(plain, entropy).iter().all(|d| *d <= plain.cap()), "{plain}");
                let all = delays::<100>(floored, entropy);
                assert!(all.iter().all(|d| (floor..=plain.cap()).contains(d)), "{floored}");
            }
        }
    }
}

#[test]
fn the_cap_that_is_told_is_the_longest_delay() {
    let constant = Backoff::constant(ms(100)).unwrap();
    assert_eq!(constant.cap(), 100 * MS);
    assert_eq!(Backoff::table(TABLE).unwrap().cap(), 30 * MS);
    assert_eq!(constant.with_jitter(Jitter::around(250).unwrap()).cap(), 125 * MS);
    assert_eq!(constant.with_jitter(Jitter::Decorrelated).cap(), 100 * MS);
    assert_eq!(constant.with_cap(ms(40)).unwrap().cap(), 40 * MS);
    assert_eq!(constant.with_cap(ms(400)).unwrap().with_jitter(Jitter::Decorrelated).cap(), 400 * MS);
    assert_eq!(Backoff::linear(ms(1), ms(1), ms(9)).unwrap().cap(), 9 * MS);
    assert_eq!(Backoff::IMMEDIATE.cap(), 0);
    let odd = constant.with_jitter(Jitter::around(500).unwrap()).with_floor(ms(120)).unwrap();
    assert_eq!((odd.cap(), odd.floor()), (150 * MS, 120 * MS));
    assert_eq!(odd.with_jitter(Jitter::None).cap(), 120 * MS);
    assert_eq!(delays(odd.with_jitter(Jitter::None), 0), [120 * MS; 2]);
    let above = constant.with_floor(ms(300)).unwrap().with_jitter(Jitter::Decorrelated);
    assert_eq!((above.cap(), delays(above, u32::MAX)), (300 * MS, [300 * MS; 2]));
}

#[test]
fn jitter_ranges() {
    let backoff = Backoff::constant(ms(100)).unwrap();
    let first = |jitter, entropy| delays::<1>(backoff.with_jitter(jitter), entropy)[0];
    assert_eq!(first(Jitter::Full, 0), 0);
    assert_eq!(first(Jitter::Full, 1 << 31), 50 * MS);
    assert_eq!(first(Jitter::Equal, 0), 50 * MS);
    assert!((99 * MS..=100 * MS).contains(&first(Jitter::Equal, u32::MAX)));
    let three = Backoff::constant(Duration::from_nanos(3)).unwrap().with_jitter(Jitter::Equal);
    assert_eq!(delays(three, 0), [2]); // the larger half is certain
    let around = Jitter::around(200).unwrap();
    assert_eq!(first(around, 0), 80 * MS);
    assert_eq!(first(around, 1 << 31), 100 * MS);
    assert!((119 * MS..=120 * MS).contains(&first(around, u32::MAX)));
    assert_eq!(first(Jitter::around(1_000).unwrap(), 0), 1);
    let wide = Backoff::exponential(ms(100), ms(1_000)).unwrap().with_jitter(Jitter::Decorrelated);
    assert_eq!(delays(wide, 0), [100 * MS; 3]);
    assert_eq!(delays::<1>(wide, 1 << 31), [200 * MS]);
    assert_eq!(delays(wide, 1 << 31), [200 * MS, 350 * MS, 575 * MS, 912_500_000, 1_000 * MS]);
    assert_eq!(delays::<5>(wide, u32::MAX)[4], 1_000 * MS);
}

#[test]
fn jitter_does_not_bend_the_growth_and_neither_does_the_floor() {
    let backoff = Backoff::exponential(ms(10), ms(1_000)).unwrap();
    let around = backoff.with_jitter(Jitter::around(500).unwrap());
    assert_eq!(delays(around, 0), [5 * MS, 10 * MS, 20 * MS, 40 * MS]);
    let floored = backoff.with_floor(ms(35)).unwrap();
    assert_eq!(delays(floored, 0), [35, 35, 40, 80].map(|n| n * MS));
    let full = floored.with_jitter(Jitter::Full);
    assert_eq!(delays(full, 0), [35 * MS; 4]);
    assert_eq!(delays(full, 1 << 31), [35 * MS, 35 * MS, 37_500_000, 57_500_000]);
}

#[test]
#[allow(clippy::integer_division, reason = "a test may round")]
fn presets_are_what_their_systems_say() {
    let millis = |backoff, entropy| delays::<12>(backoff, entropy).map(|n| (n + MS / 2) / MS);
    assert_eq!(millis(Backoff::AWS, u32::MAX)[..3], [50, 100, 200]);
    assert_eq!(millis(Backoff::AWS, u32::MAX)[8..], [12_800, 20_000, 20_000, 20_000]);
    assert_eq!(delays(Backoff::AWS, 0), [0; 4]);
    assert_eq!(millis(Backoff::AWS_THROTTLED, 1 << 31)[..6], [500, 1_000, 2_000, 4_000, 8_000, 10_000]);
    assert_eq!(millis(Backoff::AWS_DYNAMODB, u32::MAX)[..3], [25, 50, 100]);
    assert_eq!(millis(Backoff::GRPC_CONNECT, 1 << 31)[..4], [1_000, 1_600, 2_560, 4_096]);
    assert_eq!(millis(Backoff::GRPC_CONNECT, 0)[..3], [800, 1_280, 2_048]);
    assert_eq!(millis(Backoff::GRPC_CONNECT, 0)[11], 96_000);
    assert_eq!(millis(Backoff::GRPC_CONNECT, u32::MAX)[10..], [120_000, 120_000]);
    let retry = Backoff::grpc_retry(ms(100), ms(1_000), 2_000).unwrap();
    assert_eq!(millis(retry, u32::MAX)[..4], [120, 240, 480, 960]);
    assert_eq!(millis(Backoff::polly_constant(ms(100)).unwrap(), 0)[..2], [75, 75]);
    assert_eq!(millis(Backoff::polly_constant(ms(100)).unwrap(), u32::MAX)[..2], [125, 125]);
    let linear = Backoff::polly_linear(ms(100), ms(260)).unwrap();
    assert_eq!(millis(linear, u32::MAX)[..3], [125, 250, 260]);
    let doubling = Backoff::polly_exponential(ms(100), ms(900)).unwrap().with_jitter(Jitter::None);
    assert_eq!(millis(doubling, 0)[..5], [100, 200, 400, 800, 900]);
}

#[test]
fn the_total_is_the_longest_that_all_delays_can_take() {
    let backoff = Backoff::exponential(ms(10), ms(50)).unwrap();
    let totals = [0, 1, 2, 3, 5, 6].map(|attempts| backoff.total(attempts));
    assert_eq!(totals, [0, 0, 10, 30, 120, 170].map(|n| n * MS));
    let around = backoff.with_jitter(Jitter::around(100).unwrap());
    assert!((32 * MS..=33 * MS).contains(&around.total(3)));
    let endless = Backoff::exponential(Duration::MAX, Duration::MAX).unwrap();
    assert_eq!(endless.total(u16::MAX), u64::MAX);
    assert_eq!(Backoff::table(TABLE).unwrap().total(6), 49 * MS);
}

#[test]
fn counts_do_not_overflow() {
    let table = Backoff::table(TABLE).unwrap();
    let mut schedule = Schedule { last: 1, before: u64::MAX };
    assert_eq!([0; 2].map(|_| table.next(&mut schedule, 0)), [5 * MS; 2]);
    let polly = Backoff::polly_exponential(ms(100), Duration::MAX).unwrap();
    assert_eq!([0; 2].map(|_| polly.next(&mut schedule, 0)), [u64::MAX; 2]);
    let longest = Backoff::polly_exponential(Duration::from_nanos(1 << 62), Duration::MAX).unwrap();
    let [first, second] = delays(longest, u32::MAX);
    assert!(first < 1 << 63 && second == u64::MAX, "{first} {second}");
}

#[test]
fn nonsense_is_refused_by_name() {
    let setting = |backoff: Result<Backoff, ConfigError>| backoff.unwrap_err().setting;
    assert_eq!(setting(Backoff::constant(Duration::ZERO)), "first");
    assert_eq!(setting(Backoff::linear(ms(1), Duration::ZERO, ms(1))), "step");
    assert_eq!(setting(Backoff::exponential(ms(1), Duration::ZERO)), "cap");
    assert_eq!(setting(Backoff::exponential_by(1_000, ms(1), ms(2))), "factor_permille");
    assert_eq!(setting(Backoff::fibonacci(Duration::ZERO, ms(1))), "first");
    assert_eq!(setting(Backoff::table(&[])), "delays");
    assert_eq!(setting(Backoff::table(const { &[ms(1), Duration::ZERO] })), "delays");
    let backoff = Backoff::exponential(ms(2), ms(9)).unwrap();
    assert_eq!(setting(backoff.with_floor(Duration::ZERO)), "floor");
    assert_eq!(setting(backoff.with_floor(ms(10))), "floor");
    assert_eq!(setting(backoff.with_floor(ms(9)).unwrap().with_cap(ms(8))), "cap");
    assert!(backoff.with_floor(ms(8)).unwrap().with_cap(ms(8)).is_ok());
    assert_eq!([0, 1_001].map(|permille| Jitter::around(permille).unwrap_err().setting), ["permille"; 2]);
    assert!([1, 1_000].iter().all(|permille| Jitter::around(*permille).is_ok()));
}

#[test]
fn it_reads_as_it_is() {
    let told = |backoff: Backoff| {
        let mut text = heapless::String::<80>::new();
        core::fmt::write(&mut text, format_args!("{backoff}")).unwrap();
        text
    };
    assert_eq!(told(Backoff::IMMEDIATE), "at once");
    assert_eq!(told(Backoff::constant(ms(3)).unwrap()), "constant 3ms");
    assert_eq!(told(Backoff::linear(ms(1), ms(2), ms(9)).unwrap()), "linear from 1ms by 2ms, up to 9ms");
    assert_eq!(told(Backoff::AWS), "exponential from 50ms, x2, up to 20s, full jitter");
    let grpc = "exponential from 1s, x1.600, up to 120s, give or take 200 permille";
    assert_eq!(told(Backoff::GRPC_CONNECT), grpc);
    let equal = Backoff::fibonacci(ms(1), ms(9)).unwrap().with_jitter(Jitter::Equal);
    assert_eq!(told(equal.with_floor(ms(2)).unwrap()), "fibonacci from 1ms, up to 9ms, at least 2ms, equal jitter");
    let most = Backoff::constant(ms(1)).unwrap().with_jitter(Jitter::around(1_000).unwrap());
    assert_eq!(told(most), "constant 1ms, give or take 1000 permille");
    assert_eq!(told(Backoff::table(TABLE).unwrap()), "table [7ms, 30ms, 2ms, 5ms]");
    let polly = Backoff::polly_exponential(ms(1), ms(9)).unwrap();
    assert_eq!(told(polly), "polly exponential from 1ms, up to 9ms, decorrelated jitter");
    let mut debug = heapless::String::<20>::new();
    core::fmt::write(&mut debug, format_args!("{:?}", Backoff::IMMEDIATE)).unwrap();
    assert_eq!(debug, "Backoff(at once)");
}
