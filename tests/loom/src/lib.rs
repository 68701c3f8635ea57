//! Nothing; see `tests`.
