//! Randomness that can be repeated, and loops that a soak makes longer.

/// Numbers without a pattern, the same for the same seed.
#[derive(Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// From this seed.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// From a seed that is printed, and can be given in this variable of the environment.
    pub fn seeded(variable: &str) -> Self {
        let seed = from_env(variable, u64::from(std::process::id()));
        println!("{variable}={seed}");
        Self::new(seed)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.u64(..limit)
    }
}

/// A number from a variable of the environment, where it is set.
///
/// # Panics
/// If it is no number.
pub fn from_env(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number, not {value:?}"))
    })
}
