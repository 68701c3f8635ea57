//! The machine.

use super::member::{Member, Standing};
use super::{Basis, Component, ComponentReport, HealthChange, HealthSnapshot, Held, Reading, Role, Status};
use crate::Instant;

/// The health of `N` components and of the whole: see the [module](super). Components are numbered as they are given.
/// `N` x 72 + 88 bytes, stored inline; a call looks at each component a few times.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Health<const N: usize> {
    components: [Component; N],
    members: [Member; N],
    /// Up to when everything is told of in `told`.
    as_of: Instant,
    told: HealthSnapshot,
    event: Option<HealthChange>,
}

impl<const N: usize> Health<N> {
    /// Nothing is known yet, and no time has passed.
    #[must_use]
    pub const fn new(components: [Component; N]) -> Self {
        let told = HealthSnapshot { status: Status::Unknown, live: true, cause: None };
        Self { components, members: [Member::NEW; N], as_of: Instant::EPOCH, told, event: None }
    }

    /// A reading of `component` was taken at `now`. Answers how the component is; `None` if there is none of that number.
    pub fn record(&mut self, component: usize, reading: impl Into<Reading>, now: Instant) -> Option<Status> {
        let reading = reading.into();
        self.change(component, now, |member, component| member.record(component, reading, now))
    }

    /// The task `component` is alive: a healthy reading. Answers as [`record`](Self::record).
    pub fn check_in(&mut self, component: usize, now: Instant) -> Option<Status> {
        self.record(component, Reading::Healthy, now)
    }

    /// `component` counts for nothing until its next reading: a task that sleeps on purpose, a dependency that is being
    /// serviced. Its readings are forgotten. Answers as [`record`](Self::record).
    pub fn pause(&mut self, component: usize, now: Instant) -> Option<Status> {
        self.change(component, now, |member, _| member.pause(now))
    }

    /// `component` is as new: its readings are forgotten and its grace starts again. Answers as
    /// [`record`](Self::record).
    pub fn restart(&mut self, component: usize, now: Instant) -> Option<Status> {
        self.change(component, now, |member, _| member.restart(now))
    }

    /// Whether the watchdog may be fed: whether no task is unhealthy. Ask each time before it is fed. As this is told
    /// the time each time, a clock that steps back cannot keep a watchdog fed.
    ///
    /// # Errors
    /// Which task holds it back.
    pub fn may_feed(&mut self, now: Instant) -> Result<(), Held<'static>> {
        self.handle_timeout(now);
        self.held(now).map_or(Ok(()), Err)
    }

    /// How the whole is at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> HealthSnapshot {
        let (mut status, mut cause) = (None, None);
        for (n, (component, standing)) in self.standings(now).enumerate() {
            let counts = component.role.counts_as(standing.status).filter(|_| standing.basis != Basis::Paused);
            let is_longer = |(_, since): (usize, Instant)| standing.since < since;
            if counts > status || (counts == status && cause.is_some_and(is_longer)) {
                (status, cause) = (counts, Some((n, standing.since)));
            }
        }
        let cause = cause.filter(|_| status > Some(Status::Healthy)).map(|(n, _)| n);
        HealthSnapshot { status: status.unwrap_or(Status::Unknown), live: self.held(now).is_none(), cause }
    }

    /// What is known of `component` at `now`; `None` if there is none of that number.
    #[must_use]
    pub fn component(&self, component: usize, now: Instant) -> Option<ComponentReport<'static>> {
        self.components(now).nth(component)
    }

    /// What is known of each component at `now`, in their order: for a `/health` answer.
    pub fn components(&self, now: Instant) -> impl Iterator<Item = ComponentReport<'static>> + '_ {
        self.components.iter().zip(&self.members).map(move |(component, member)| member.report(component, now))
    }

    /// The number of the first component of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.components.iter().position(|component| component.name == name)
    }

    /// Takes the changes of the whole since they were last taken, made into one.
    pub const fn poll_event(&mut self) -> Option<HealthChange> {
        self.event.take()
    }

    /// Whether there is a change to take.
    #[must_use]
    pub const fn has_event(&self) -> bool {
        self.event.is_some()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has work to do: when the next component falls silent. The value may
    /// change after every call that takes `&mut self`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silences = self.components.iter().zip(&self.members).filter_map(|(component, m)| m.silent_at(component));
        silences.filter(|at| *at > self.as_of).min()
    }

    /// Notes what time has changed up to `now`. Early and repeated calls are no-ops.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle(now);
        self.note(now);
    }

    fn change(
        &mut self,
        component: usize,
        now: Instant,
        change: impl FnOnce(&mut Member, &Component),
    ) -> Option<Status> {
        self.settle(now);
        let (member, component) = self.members.get_mut(component).zip(self.components.get(component))?;
        change(member, component);
        let status = member.standing(component, now).status;
        self.note(now);
        Some(status)
    }

    /// Follows the clock to `now`, and notes what has happened on the way, in its order.
    fn settle(&mut self, now: Instant) {
        for member in &mut self.members {
            member.follow(now);
        }
        self.as_of = self.as_of.min(now);
        // One turn for each component that has fallen silent, at most.
        while let Some(at) = self.poll_timeout().filter(|at| *at <= now) {
            self.note(at);
        }
    }

    /// Notes how the whole is, at `at`.
    fn note(&mut self, at: Instant) {
        self.as_of = at;
        let to = self.snapshot(at);
        if (to.status, to.live) != (self.told.status, self.told.live) {
            let from = self.event.map_or(self.told, |event| event.from);
            self.event = Some(HealthChange { from, to, at });
        }
        self.told = to;
    }

    fn standings(&self, now: Instant) -> impl Iterator<Item = (&Component, Standing)> {
        let members = self.components.iter().zip(&self.members);
        members.map(move |(component, member)| (component, member.standing(component, now)))
    }

    /// The task that is unhealthy for the longest time.
    fn held(&self, now: Instant) -> Option<Held<'static>> {
        let ill = self
            .standings(now)
            .enumerate()
            .filter(|(_, (component, standing))| component.role == Role::Task && standing.status == Status::Unhealthy);
        let (component, (Component { name, .. }, standing)) = ill.min_by_key(|(_, (_, standing))| standing.since)?;
        Some(Held { component, name, basis: standing.basis, since: standing.since })
    }
}
