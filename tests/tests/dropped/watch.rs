//! What shows where a future was when it was dropped.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use fusebox::Rejected;
use fusebox_drive::idempotent::Wakes;
use fusebox_drive::{Bell, Turns};

/// What goes on in the future that is cut, and what ended there last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Rc<RefCell<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Whether the future that is cut is polled just now: what others begin is not marked.
    looks: bool,
    live: Vec<&'static str>,
    last: Option<&'static str>,
}

struct Mark<'m>(&'m Marks, &'static str);

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        let mut seen = self.0.0.borrow_mut();
        let at = seen.live.iter().position(|name| *name == self.1).unwrap();
        seen.live.remove(at);
        seen.last = Some(self.1);
    }
}

impl Marks {
    /// Runs `future`, in which everything is marked.
    pub(crate) async fn look_at<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.0.borrow_mut().looks = true;
            let polled = future.as_mut().poll(cx);
            self.0.borrow_mut().looks = false;
            polled
        })
        .await
    }

    /// Runs `future`, marked as `name` if it is looked at.
    pub(crate) async fn at<F: Future>(&self, name: &'static str, future: F) -> F::Output {
        let looks = self.0.borrow().looks;
        let _mark = looks.then(|| {
            self.0.borrow_mut().live.push(name);
            Mark(self, name)
        });
        pin!(future).await // dropped before the mark is
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().live.is_empty()
    }

    pub(crate) fn here(&self) -> String {
        let seen = self.0.borrow();
        match seen.last {
            _ if !seen.live.is_empty() => seen.live.join(" + "),
            Some(last) => format!("after {last}"),
            None => "begun".to_owned(),
        }
    }
}

/// A line, a bell or a way to be woken, whose waits are marked.
#[derive(Debug)]
pub(crate) struct Watched<X> {
    pub(crate) inner: X,
    pub(crate) marks: Marks,
}

impl<W: Turns> Turns for Watched<W> {
    type Turn<'a>
        = W::Turn<'a>
    where
        Self: 'a;

    async fn turn(&self) -> Result<W::Turn<'_>, Rejected> {
        self.marks.at("in line", self.inner.turn()).await
    }

    fn try_turn(&self) -> Option<W::Turn<'_>> {
        self.inner.try_turn()
    }

    fn free(&self) {
        self.inner.free();
    }

    async fn freed(&self) {
        self.marks.at("waits for a release", self.inner.freed()).await;
    }
}

impl<B: Bell> Bell for Watched<B> {
    fn ring(&self) {
        self.inner.ring();
    }

    async fn heard(&self) {
        self.marks.at("listens", self.inner.heard()).await;
    }
}

impl<W: Wakes> Wakes for Watched<W> {
    fn wake_all(&self) {
        self.inner.wake_all();
    }

    fn woken(&self) -> impl Future<Output = Result<(), Rejected>> {
        self.marks.at("waits for an answer", self.inner.woken()) // called here: it hears from now on
    }
}
