//! Keyed gates.
