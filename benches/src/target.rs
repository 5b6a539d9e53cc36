//! What a ratio is meant to be.

use std::fmt;

/// What the subject's figure divided by a contender's is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// What became of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was reached.
    Met,
    /// It was not.
    Missed,
}

impl Target {
    /// Whether `ratio` is as it is meant to be.
    pub fn outcome(self, ratio: f64) -> Outcome {
        let met = match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        };
        if met { Outcome::Met } else { Outcome::Missed }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
            Self::AtMost(bound) => write!(f, "at most {bound}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_itself_is_met() {
        assert_eq!(Target::AtLeast(1.5).outcome(1.5), Outcome::Met);
        assert_eq!(Target::AtLeast(1.5).outcome(1.4), Outcome::Missed);
        assert_eq!(Target::AtMost(1.5).outcome(1.5), Outcome::Met);
        assert_eq!(Target::AtMost(1.5).outcome(1.6), Outcome::Missed);
    }
}
