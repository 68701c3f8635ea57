use std::fmt::Debug;

use fusebox::entropy::nth;

/// Numbers from a seed, the same in every run.
#[derive(Debug)]
pub struct Dice {
    seed: u32,
    draws: u32,
}

impl Dice {
    /// The numbers of `seed`.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Self::after(seed, 0)
    }

    /// The numbers of `seed` but for the first so many.
    #[must_use]
    pub const fn after(seed: u32, draws: u32) -> Self {
        Self { seed, draws }
    }

    /// Any number.
    pub const fn draw(&mut self) -> u32 {
        self.draws = self.draws.wrapping_add(1);
        nth(self.seed, self.draws)
    }

    /// A number below `n`; zero if there is none.
    ///
    /// # Panics
    /// When `n` is negative.
    #[allow(clippy::unwrap_used, reason = "documented")]
    pub fn below<N>(&mut self, n: N) -> N
    where
        N: TryInto<u64, Error: Debug> + TryFrom<u64, Error: Debug>,
    {
        let n = n.try_into().unwrap().max(1);
        let high = if n > u64::from(u32::MAX) { self.draw() } else { 0 };
        ((u64::from(high) << 32 | u64::from(self.draw())) % n).try_into().unwrap()
    }

    /// Once in `n` times.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there are none.
    #[allow(clippy::indexing_slicing, reason = "documented")]
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// One of the things in `list`, taken out.
    pub fn pick<T>(&mut self, list: &mut Vec<T>) -> Option<T> {
        let at = self.below(list.len());
        (at < list.len()).then(|| list.swap_remove(at))
    }
}
