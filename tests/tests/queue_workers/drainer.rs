//! The loop that all adapters share, in time that is a number.

use super::*;

struct Counting(NotifyBell, Cell<u32>);

impl Bell for Counting {
    fn ring(&self) {
        self.1.set(self.1.get() + 1);
        self.0.ring();
    }

    fn heard(&self) -> impl Future<Output = ()> {
        self.0.heard()
    }
}

type Manual<'t> = Drainer<&'t ManualTimer, RefCell<LevelingQueue<u32, 8>>, Counting>;

fn drainer(timer: &ManualTimer, builder: LevelBuilder) -> Manual<'_> {
    let bell = Counting(NotifyBell::default(), Cell::new(0));
    Drainer::new(timer, RefCell::new(LevelingQueue::new(config(builder))), bell)
}

#[test]
fn the_bell_rings_only_when_there_is_something_to_do_earlier() {
    let timer = ManualTimer::default();
    let bell = Counting(NotifyBell::default(), Cell::new(0));
    let queue = Drainer::new(&timer, RefCell::new(LevelingQueue::<u32, 8>::new(config(paced()))), &bell);
    let rung = || bell.1.replace(0);
    assert!(queue.try_push(0, Terms::NONE).is_ok());
    assert_eq!(rung(), 1, "it was empty");
    assert!(queue.try_push(1, Terms::NONE).is_ok());
    assert_eq!(rung(), 0, "something was due already");
    assert_eq!(timer.block_on(queue.next()).unwrap().unwrap().unwrap().item, 0);
    assert_eq!(rung(), 1, "another one waits, for another worker perhaps");
    assert!(queue.try_push(2, Terms::NONE).is_ok());
    assert_eq!(rung(), 0, "not before the next token");
    let sooner = Terms::by(fusebox::Instant::from_millis(20));
    assert!(queue.try_push(3, sooner).is_ok());
    assert_eq!(rung(), 0, "it is not looked at before it is the oldest");
    queue.close();
    assert_eq!(rung(), 1);
}

#[test]
fn serves_at_the_rate_and_ends_when_closed() {
    let timer = ManualTimer::default();
    let queue = drainer(&timer, paced().max_wait(ms(25)));
    for item in 0..4 {
        assert!(queue.try_push(item, Terms::NONE).is_ok());
    }
    queue.close();
    let log = RefCell::new(Vec::new());
    let note = |item, how| log.borrow_mut().push((item, how, fusebox::Clock::now(&timer)));
    let serve = |queued: Queued<u32>| {
        note(queued.item, None);
        std::future::ready(())
    };
    timer.block_on(queue.run(serve, |not| note(not.queued.item, Some(not.why)))).unwrap();
    let at = fusebox::Instant::from_millis;
    let expected = [(0, None, at(0)), (1, None, at(10)), (2, None, at(20)), (3, Some(Why::Expired), at(25))];
    assert_eq!(*log.borrow(), expected);
}

/// Two drain; the one that sleeps until the next item is due goes away. The other one must not sleep on.
#[test]
fn whoever_knows_of_the_time_hands_it_on() {
    let timer = ManualTimer::default();
    let queue = drainer(&timer, paced());
    assert!(queue.try_push(0, Terms::NONE).is_ok());
    assert!(timer.block_on(queue.next()).is_some());
    let mut second = pin!(queue.next());
    {
        let mut first = pin!(queue.next());
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert!(queue.try_push(1, Terms::NONE).is_ok());
        assert!(poll(first.as_mut()).is_pending(), "not before its time");
    }
    assert_eq!(timer.block_on(second).unwrap().unwrap().unwrap().item, 1);
}

/// Dropped after every number of polls, at most the one in service is lost, and that is counted.
#[test]
fn dropped_at_any_poll() {
    for polls in 0..60 {
        let timer = ManualTimer::default();
        let queue = drainer(&timer, paced().max_wait(ms(35)));
        for item in 0..6 {
            assert!(queue.try_push(item, Terms::NONE).is_ok());
        }
        let (ended, in_service) = (Cell::new(0), Cell::new(0_u32));
        let serve = |_| {
            in_service.set(in_service.get() + 1);
            let mut left = 2;
            let in_service = &in_service;
            poll_fn(move |_| {
                left -= 1;
                if left > 0 {
                    return Poll::Pending;
                }
                in_service.set(in_service.get() - 1);
                Poll::Ready(())
            })
        };
        {
            let mut run = pin!(queue.run(serve, |_| ended.set(ended.get() + 1)));
            for _ in 0..polls {
                let _ = poll(run.as_mut());
                timer.block_on(fusebox_drive::sleep_until(&&timer, fusebox::Clock::now(&timer).saturating_add(ms(1))));
            }
        }
        let seen = queue.snapshot();
        assert_eq!((seen.lost, accounted(seen)), (in_service.get(), 6), "{polls} polls");
        assert_eq!(seen.expired, ended.get());
    }
}
