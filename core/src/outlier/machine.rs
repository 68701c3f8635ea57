//! The state machine over the whole set.

use super::config::OutlierConfig;
use super::endpoint::Endpoint;
use super::stats::Crowd;
use super::{EndpointChange, EndpointPermit, EndpointSnapshot, OutlierRule, OutlierSnapshot};
use crate::gate::earlier;
use crate::{ConfigError, Instant, Outcome, Reason, Rejected};

/// Up to `N` endpoints, at most 1024, numbered from 0: see the [module](super). 48 bytes each, stored inline.
///
/// What time alone does is done by every call that takes `&mut self` and the time.
#[derive(Clone, Debug)]
pub struct Outliers<const N: usize> {
    config: OutlierConfig,
    places: [Endpoint; N],
    len: usize,
    out: usize,
    sweep_at: Option<Instant>,
    /// The earliest of the sweep and the ends of ejections.
    due: Option<Instant>,
    /// The latest instant that anything is measured from: before it, the clock has stepped back.
    measured_from: Instant,
    /// Whether any endpoint may have a change to tell.
    untold: bool,
    ejections: u32,
    spared: u32,
    refused: u32,
}

impl<const N: usize> Outliers<N> {
    /// A set of `N` endpoints, all in.
    ///
    /// # Errors
    /// When `N` is not from 1 to 1024, or nothing could ever be ejected from so few: the cap rounds to none, or no rule
    /// can be met.
    pub const fn new(config: OutlierConfig) -> Result<Self, ConfigError> {
        if N == 0 || N > 1_024 {
            return Err(ConfigError::new("N", "from 1 to 1024 endpoints"));
        }
        if !config.allows(1, N) {
            return Err(ConfigError::new(
                "max_out_permille",
                "of so few none could go: raise it, or allow at_least_one",
            ));
        }
        if !config.can_eject_of(N) {
            return Err(ConfigError::new("minimum_endpoints", "of so few none could ever meet a rule"));
        }
        Ok(Self {
            config,
            places: [Endpoint::NEW; N],
            len: N,
            out: 0,
            sweep_at: None,
            due: None,
            measured_from: Instant::EPOCH,
            untold: false,
            ejections: 0,
            spared: 0,
            refused: 0,
        })
    }

    /// An empty set with room for `N`; [`add`](Self::add) fills it. While it is small the cap may round to none.
    ///
    /// # Errors
    /// As [`new`](Self::new), for the full set.
    pub const fn empty(config: OutlierConfig) -> Result<Self, ConfigError> {
        match Self::new(config) {
            Ok(full) => Ok(Self { len: 0, ..full }),
            error => error,
        }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &OutlierConfig {
        &self.config
    }

    /// How many endpoints there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an endpoint, and says its number; `None` when there is no room.
    pub fn add(&mut self, now: Instant) -> Option<usize> {
        self.handle_timeout(now);
        let endpoint = self.len;
        self.places.get_mut(endpoint)?.replace(Endpoint::NEW);
        self.len = endpoint + 1;
        Some(endpoint)
    }

    /// Removes an endpoint; the last one takes its number, as in `Vec::swap_remove`. Permits of both are dropped when
    /// they come back, and so is what the removed one had to tell. Nothing happens if there is none of that number.
    pub fn swap_remove(&mut self, endpoint: usize, now: Instant) {
        self.handle_timeout(now);
        let Some((last, others)) = self.members_mut().split_last_mut() else { return };
        if let Some(removed) = others.get_mut(endpoint) {
            removed.replace(*last);
        } else if endpoint != others.len() {
            return;
        }
        last.replace(Endpoint::NEW);
        self.len -= 1;
        self.recount();
        self.keep_cap(now);
    }

    /// Another endpoint has taken its place: all that is known of it is forgotten, and its permits are dropped when
    /// they come back. Nothing happens if there is none of that number.
    pub fn reset(&mut self, endpoint: usize, now: Instant) {
        self.handle_timeout(now);
        if let Some(endpoint) = self.members_mut().get_mut(endpoint) {
            endpoint.reset(now);
            self.noticed(now);
        }
    }

    /// Takes an endpoint back in before its time, say because a health check succeeded. Its next ejection is still a
    /// longer one. Nothing happens if it is in.
    pub fn restore(&mut self, endpoint: usize, now: Instant) {
        self.handle_timeout(now);
        if let Some(endpoint) = self.members_mut().get_mut(endpoint).filter(|e| e.ejection().is_some()) {
            endpoint.come_back(now);
            self.noticed(now);
        }
    }

    /// Asks to call `endpoint` at `now`.
    ///
    /// # Errors
    /// [`Reason::Ejected`] with the instant at which it comes back; [`Reason::NoSuchEndpoint`].
    #[inline]
    pub fn try_acquire(&mut self, endpoint: usize, now: Instant) -> Result<EndpointPermit, Rejected> {
        self.handle_timeout(now);
        let rejected = match (u16::try_from(endpoint), self.members().get(endpoint)) {
            (Ok(endpoint), Some(member)) => match member.ejection() {
                None => return Ok(EndpointPermit { endpoint, generation: member.generation }),
                Some(ejection) => Rejected { reason: Reason::Ejected, retry_at: Some(ejection.until) },
            },
            _ => Rejected { reason: Reason::NoSuchEndpoint, retry_at: None },
        };
        self.refused = self.refused.saturating_add(1);
        Err(rejected)
    }

    /// The call ran, and ended at `now` with `outcome`.
    #[inline]
    pub fn release(&mut self, permit: EndpointPermit, outcome: Outcome, now: Instant) {
        self.handle_timeout(now);
        if outcome == Outcome::Ignored {
            return;
        }
        let (endpoint, failed) = (permit.endpoint(), outcome != Outcome::Success);
        let Some(member) = self.members_mut().get_mut(endpoint) else { return };
        if member.generation != permit.generation {
            return; // of before an ejection, or of another endpoint
        }
        let in_a_row = member.record(failed);
        if self.config.sweeps() && self.sweep_at.is_none() {
            let sweep_at = now.after(self.config.interval);
            self.sweep_at = Some(sweep_at);
            self.arm(now, sweep_at);
        }
        if failed && self.config.consecutive.is_some_and(|limit| in_a_row >= limit.get()) {
            self.eject_or_spare(endpoint, OutlierRule::ConsecutiveFailures, now);
        }
    }

    /// The call never ran.
    #[inline]
    pub fn cancel(&mut self, permit: EndpointPermit, now: Instant) {
        self.release(permit, Outcome::Ignored, now);
    }

    /// Whether `endpoint` is out at `now`; so is one that there is not. What a sweep that is due will say does not show.
    #[must_use]
    pub fn is_out(&self, endpoint: usize, now: Instant) -> bool {
        self.members().get(endpoint).is_none_or(|member| member.ejection_at(now).is_some())
    }

    /// The endpoints that are in at `now`, for a load balancer to choose from. As [`is_out`](Self::is_out).
    pub fn available(&self, now: Instant) -> impl Iterator<Item = usize> + '_ {
        let members = self.members().iter().enumerate();
        members.filter(move |(_, member)| member.ejection_at(now).is_none()).map(|(endpoint, _)| endpoint)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has work to do: the earliest end of an ejection, or the sweep. The
    /// value may change after every call that takes `&mut self`.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Does what is due at `now`. Early and repeated calls are no-ops. Its work does not grow with the time passed.
    #[inline]
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.measured_from {
            self.clip(now);
        }
        if self.due.is_some_and(|due| now >= due) {
            self.catch_up(now);
        }
    }

    /// Takes the changes of one endpoint since they were last taken, made into one; the oldest first.
    pub fn poll_event(&mut self) -> Option<EndpointChange> {
        if !self.untold {
            return None;
        }
        let members = self.members_mut().iter_mut().enumerate();
        let oldest =
            members.filter_map(|(n, member)| Some((member.untold_at()?, n, member))).min_by_key(|m| (m.0, m.1));
        let event = oldest.and_then(|(at, endpoint, member)| {
            Some(EndpointChange { endpoint, was_out: member.tell()?, out: member.ejection(), at })
        });
        self.untold = event.is_some();
        event
    }

    /// What is known of `endpoint` as of `now`; `None` if there is none of that number.
    #[must_use]
    pub fn endpoint(&self, endpoint: usize, now: Instant) -> Option<EndpointSnapshot> {
        self.members().get(endpoint).map(|member| member.snapshot(&self.config, now))
    }

    /// What is known of the set as of `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> OutlierSnapshot {
        OutlierSnapshot {
            endpoints: self.len,
            out: self.members().iter().filter(|member| member.ejection_at(now).is_some()).count(),
            sweep_at: self.sweep_at,
            ejections: self.ejections,
            spared: self.spared,
            refused: self.refused,
        }
    }

    fn members(&self) -> &[Endpoint] {
        self.places.get(..self.len).unwrap_or(&[])
    }

    fn members_mut(&mut self) -> &mut [Endpoint] {
        self.places.get_mut(..self.len).unwrap_or(&mut [])
    }

    /// Something that is measured from `now` ends at `due`.
    fn arm(&mut self, now: Instant, due: Instant) {
        self.measured_from = self.measured_from.max(now);
        self.due = earlier(self.due, Some(due));
    }

    /// Endpoints have come back at `now`.
    fn noticed(&mut self, now: Instant) {
        self.measured_from = self.measured_from.max(now);
        self.untold = true;
        self.recount();
    }

    fn recount(&mut self) {
        let ends = || self.members().iter().filter_map(|member| Some(member.ejection()?.until));
        let (out, first) = (ends().count(), ends().min());
        self.out = out;
        self.due = earlier(self.sweep_at, first);
    }

    /// What happened up to `now`, in its order: after the sweep nothing is left to judge, so there is only one.
    fn catch_up(&mut self, now: Instant) {
        if let Some(at) = self.sweep_at.filter(|at| now >= *at) {
            self.take_back(at);
            self.sweep(at);
        }
        self.take_back(now);
    }

    fn take_back(&mut self, now: Instant) {
        for member in self.members_mut() {
            if let Some(ejection) = member.ejection().filter(|ejection| now >= ejection.until) {
                member.come_back(ejection.until);
            }
        }
        self.noticed(now);
    }

    fn sweep(&mut self, at: Instant) {
        self.sweep_at = None;
        // Both rules judge the set as it is before either ejects.
        let with_calls = |minimum| self.members().iter().filter(move |member| member.counts().0 >= minimum);
        let low =
            self.config.success_rate.map(|rule| (rule, Crowd::of(with_calls(rule.minimum_calls).map(Endpoint::rate))));
        let low = low.filter(|(rule, crowd)| crowd.len() >= rule.minimum_endpoints.into());
        let failing = self.config.failure_threshold;
        let failing = failing.filter(|rule| with_calls(rule.minimum_calls).count() >= rule.minimum_endpoints.into());
        if let Some((rule, crowd)) = low {
            self.eject_worst(OutlierRule::SuccessRate, at, |member| {
                member.counts().0 >= rule.minimum_calls && crowd.is_outlier(member.rate(), rule.stdev_permille)
            });
        }
        if let Some(rule) = failing {
            self.eject_worst(OutlierRule::FailureThreshold, at, |member| {
                let (calls, failures) = member.counts();
                calls >= rule.minimum_calls
                    && u64::from(failures) * 1_000 >= u64::from(rule.permille) * u64::from(calls)
            });
        }
        self.members_mut().iter_mut().for_each(Endpoint::clear_counts);
    }

    /// Ejects those that are outliers, the worst first, until none is left or the cap is reached. An ejected one has no
    /// counts any more, so it is not found again.
    fn eject_worst(&mut self, rule: OutlierRule, at: Instant, is_outlier: impl Fn(&Endpoint) -> bool) {
        loop {
            let outliers = self.members().iter().enumerate().filter(|(_, member)| is_outlier(member));
            let Some((worst, _)) = outliers.min_by_key(|(_, member)| member.rate()) else { return };
            if !self.eject_or_spare(worst, rule, at) {
                // The others are spared like this one.
                let others = self.members().iter().filter(|member| is_outlier(member)).count() - 1;
                self.spared = self.spared.saturating_add(u32::try_from(others).unwrap_or(u32::MAX));
                return;
            }
        }
    }

    /// Ejects a member if the cap leaves room, and says whether it did.
    fn eject_or_spare(&mut self, endpoint: usize, rule: OutlierRule, at: Instant) -> bool {
        let room = self.config.allows(self.out + 1, self.len);
        let config = self.config;
        let Some(member) = self.members_mut().get_mut(endpoint).filter(|_| room) else {
            self.spared = self.spared.saturating_add(1);
            return false;
        };
        let until = member.eject(&config, rule, at);
        self.out += 1;
        self.ejections = self.ejections.saturating_add(1);
        self.untold = true;
        self.arm(at, until);
        true
    }

    /// Takes back those that would be back first until no more are out than may be.
    fn keep_cap(&mut self, now: Instant) {
        while !self.config.allows(self.out, self.len) {
            let members = self.members_mut().iter_mut().filter_map(|member| Some((member.ejection()?.until, member)));
            let Some((_, first)) = members.min_by_key(|(until, _)| *until) else { return };
            first.come_back(now);
            self.noticed(now);
        }
    }

    /// The clock stepped back to `now`, before something was measured from.
    fn clip(&mut self, now: Instant) {
        let config = self.config;
        self.members_mut().iter_mut().for_each(|member| member.clip(&config, now));
        self.sweep_at = self.sweep_at.map(|at| at.min(now.after(config.interval)));
        self.measured_from = now;
        self.recount();
    }
}
