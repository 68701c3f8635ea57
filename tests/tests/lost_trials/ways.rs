//! Ways to run a trial without a runtime, and on one.

use super::*;

/// A clock moved by hand, from any thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hand(pub(crate) Arc<AtomicU64>);

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

impl Timer for Hand {
    type Sleep = std::future::Ready<()>;

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        self.0.fetch_max(deadline.as_nanos(), Ordering::SeqCst);
        ready(())
    }
}

impl BlockingTimer for Hand {
    fn wait(&self, duration: Duration) {
        self.0.fetch_add(fusebox::nanos(duration), Ordering::SeqCst);
    }
}

/// Bare permits; they have no destructor, so whoever drops one should have cancelled it.
pub(crate) struct Raw<G, const CANCELS: bool>(pub(crate) Hand, pub(crate) Shared<RefCell<G>>);

impl<G: Gates, const CANCELS: bool> Way for Raw<G, CANCELS> {
    type Gates = G;
    type Trial<'a> = G::Permit;
    const DROPPED: Dropped = if CANCELS { Dropped::FreesItsPlace } else { Dropped::Lapses };

    fn parts(&self) -> (&impl Timer, &Shared<impl Lock<Value = G>>) {
        (&self.0, &self.1)
    }

    async fn begin(&self) -> Result<Self::Trial<'_>, Rejected> {
        self.1.try_acquire(self.now())
    }

    async fn end<'a>(&'a self, permit: Self::Trial<'a>, good: bool) {
        self.1.release(permit, if good { Outcome::Success } else { Outcome::Failure }, self.now());
    }

    fn drop<'a>(&'a self, permit: Self::Trial<'a>) {
        if CANCELS {
            self.1.cancel(permit, self.now());
        }
    }
}

pub(crate) struct Guards<G>(pub(crate) Hand, pub(crate) Shared<RefCell<G>>);

impl<G: Gates> Way for Guards<G> {
    type Gates = G;
    type Trial<'a> = Guard<'a, Shared<RefCell<G>>, Hand>;
    const DROPPED: Dropped = Dropped::FreesItsPlace;

    fn parts(&self) -> (&impl Timer, &Shared<impl Lock<Value = G>>) {
        (&self.0, &self.1)
    }

    async fn begin(&self) -> Result<Self::Trial<'_>, Rejected> {
        Guard::try_acquire(&self.1, &self.0)
    }

    async fn end<'a>(&'a self, guard: Self::Trial<'a>, good: bool) {
        guard.release(if good { Outcome::Success } else { Outcome::Failure });
    }
}

pub(crate) type Answer = Result<u32, CallError<&'static str>>;

/// What is refused, or an answer that was not expected yet.
pub(crate) fn refusal(answer: Answer) -> Rejected {
    match answer {
        Err(CallError { cause: Cause::Refused(rejected), attempts: 0, .. }) => rejected,
        other => panic!("{other:?}"),
    }
}

/// `call_blocking`, each call in a thread of its own that does as it is told; a thread cannot be dropped, so it panics.
pub(crate) struct Threads<G: Gates>(pub(crate) Arc<Pipeline<Hand, Shared<Mutex<G>>>>);

pub(crate) enum Said {
    Started,
    Ended(Answer),
}

impl<G: Gates> Way for Threads<G> {
    type Gates = G;
    type Trial<'a> = (mpsc::Sender<Option<bool>>, mpsc::Receiver<Said>);
    const DROPPED: Dropped = Dropped::Fails;

    fn parts(&self) -> (&impl Timer, &Shared<impl Lock<Value = G>>) {
        (self.0.timer(), self.0.gate())
    }

    async fn begin(&self) -> Result<Self::Trial<'_>, Rejected> {
        let ((tell, told), (say, said)) = (mpsc::channel::<Option<bool>>(), mpsc::channel());
        let pipeline = self.0.clone();
        std::thread::spawn(move || {
            let answer = pipeline.call_blocking(|_| {
                say.send(Said::Started).unwrap();
                match told.recv() {
                    Ok(Some(good)) => good.then_some(7).ok_or("no"),
                    Ok(None) | Err(_) => resume_unwind(Box::new("told to")),
                }
            });
            let _ = say.send(Said::Ended(answer));
        });
        match said.recv().unwrap() {
            Said::Started => Ok((tell, said)),
            Said::Ended(answer) => Err(refusal(answer)),
        }
    }

    async fn end<'a>(&'a self, (tell, said): Self::Trial<'a>, good: bool) {
        tell.send(Some(good)).unwrap();
        let Ok(Said::Ended(answer)) = said.recv() else { panic!("no answer") };
        assert_eq!(answer.is_ok(), good);
    }

    fn drop<'a>(&'a self, (tell, said): Self::Trial<'a>) {
        tell.send(None).unwrap();
        assert!(said.recv().is_err(), "it panicked");
    }
}

/// Calls on a runtime, each in a box that is polled by hand.
pub(crate) struct Calls<'t, T, L, W>(pub(crate) Pipeline<&'t Logical<T>, Shared<L>, W>);

pub(crate) struct Call<'a> {
    tell: Rc<Cell<Option<bool>>>,
    future: Pin<Box<dyn Future<Output = Answer> + 'a>>,
}

pub(crate) async fn once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

impl<T: Timer, L: Lock<Value: Gates>, W: Turns> Way for Calls<'_, T, L, W> {
    type Gates = L::Value;
    type Trial<'a>
        = Call<'a>
    where
        Self: 'a;
    const DROPPED: Dropped = Dropped::FreesItsPlace;

    fn parts(&self) -> (&impl Timer, &Shared<impl Lock<Value = L::Value>>) {
        (self.0.timer(), self.0.gate())
    }

    async fn begin(&self) -> Result<Self::Trial<'_>, Rejected> {
        let tell = Rc::new(Cell::new(None));
        let told = tell.clone();
        let operation = move |_| {
            let told = told.clone();
            poll_fn(move |_| told.get().map_or(Poll::Pending, |good: bool| Poll::Ready(good.then_some(7).ok_or("no"))))
        };
        let mut future = Box::pin(self.0.call(operation));
        match once(future.as_mut()).await {
            Poll::Pending => Ok(Call { tell, future }),
            Poll::Ready(answer) => Err(refusal(answer)),
        }
    }

    async fn end<'a>(&'a self, call: Self::Trial<'a>, good: bool) {
        call.tell.set(Some(good));
        assert_eq!(call.future.await.is_ok(), good);
    }

    async fn nudge<'a>(&'a self, call: &mut Self::Trial<'a>) {
        assert!(once(call.future.as_mut()).await.is_pending());
    }
}
