//! Numbers that a seed determines.

/// A stream of them.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// The stream of the `number`-th part of what a seed determines.
    pub fn of_part(seed: u64, number: u64) -> Self {
        let mut whole = Self::new(seed ^ number.wrapping_mul(0xA24B_AED4_963E_E407));
        Self::new(whole.word())
    }

    /// A seed that nobody chose.
    pub fn seed() -> u64 {
        fastrand::u64(..)
    }

    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// From 0 to `limit - 1`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.u64(..limit.max(1))
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
