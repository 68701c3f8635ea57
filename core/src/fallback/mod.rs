//! Fallback: something else to say when there is no good answer.
//!
//! # Why
//! An answer from a replica, a default, or the one of a minute ago is often worth more than an error. But it is not the
//! answer: whoever gets it must be told, and it must not hide that the callee is down.
//!
//! # State picture
//! ```text
//!   call ends ---- success ----------------------------------------------> its answer, fresh
//!       |
//!       | cause
//!       v
//!   alternative 1: is it for this cause? ---- yes, and it has an answer --> that one, marked
//!       | no
//!       v
//!   alternative 2 ...                                  none has one -----> the call's own error
//! ```
//!
//! # Contract
//! - [`When`] is a set of causes: failed, stopped, out of time, refused, or refused for certain reasons.
//! - [`Stale`] keeps the last good answer and gives it back with its age, up to `max_age`. Only fresh answers are kept, so an
//!   age is always since the callee itself said so.
//! - A clock that steps back makes no kept answer older or younger than `max_age` from then on.
//!
//! # Defaults
//! None: what may stand in for what, and for how long, only the caller knows.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::fallback::{Stale, When};
//! use fusebox::{Cause, Instant, checked};
//!
//! const DOWN: When = When::REFUSED.or(When::OUT_OF_TIME);
//! assert!(!DOWN.has(Cause::Stopped), "a wrong request stays wrong");
//!
//! let mut rates: Stale<f32> = checked!(Stale::new(Duration::from_secs(60)));
//! rates.keep(1.08, Instant::from_secs(100));
//! let kept = rates.get(Instant::from_secs(130)).unwrap();
//! assert_eq!((*kept.value, kept.age), (1.08, Duration::from_secs(30)));
//! assert!(rates.get(Instant::from_secs(161)).is_none());
//! ```
//!
//! # When not
//! Where a wrong answer is worse than none (a balance, a lock). Where the alternative is the same callee under another name:
//! then it is a retry, and needs a budget. And never inside a retry, which it would hide the failure from.

mod stale;
mod when;

pub use stale::{Aged, Stale};
pub use when::When;
