//! Who is measured when: all contenders of a measure in every round, each round in another order.

use crate::case::{Case, Sample};
use crate::distance;
use crate::failure::Failure;
use crate::runner::{self, Settings};

/// What one contender gave in a measure.
pub struct Series {
    /// Who, and in which measure.
    pub case: Case,
    /// Its samples by round; `None` where it gave none.
    pub rounds: Vec<Option<Sample>>,
    /// Why it gave none in the last round that it took part in, if so. A contender that failed
    /// takes no part in the later rounds: a hung one would cost the limit each time.
    pub failure: Option<Failure>,
}

impl Series {
    /// The distances of the CPUs in ns before and after each sample, by round.
    pub fn distances(&self) -> Vec<Option<[f64; 2]>> {
        self.rounds
            .iter()
            .map(|sample| Some(sample.as_ref()?.distances))
            .collect()
    }

    /// The figures of one metric by round, those left out that were taken at another distance of
    /// the CPUs than the sample of `other` in the same round, or while it changed.
    pub fn figures_at_distance_of(&self, other: &Series, metric: usize) -> Vec<Option<f64>> {
        self.figures(metric)
            .into_iter()
            .zip(self.distances().into_iter().zip(other.distances()))
            .map(|(figure, (ours, theirs))| {
                if distance::equal(&[ours?, theirs?].concat()) {
                    figure
                } else {
                    None
                }
            })
            .collect()
    }

    /// The figures of one metric by round.
    pub fn figures(&self, metric: usize) -> Vec<Option<f64>> {
        self.rounds
            .iter()
            .map(|sample| sample.as_ref()?.figures.get(metric).copied())
            .collect()
    }
}

/// The order of `contenders` contenders in a round: as listed, begun one later each round, so that
/// none always has the same predecessor in time.
pub fn order(contenders: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..contenders).map(move |place| (place + round) % contenders)
}

/// Measures `cases`, all of one measure, in `rounds` rounds; calls `before` ahead of each
/// measurement. Takes about rounds x cases x budget x 1.5.
///
/// # Errors
/// Only [`Failure::Interrupted`]; other failures are kept in the series of their contender.
pub fn run(
    cases: &[Case],
    rounds: usize,
    settings: &Settings,
    mut before: impl FnMut(usize, &Case),
) -> Result<Vec<Series>, Failure> {
    let mut all: Vec<Series> = cases
        .iter()
        .map(|&case| Series {
            case,
            rounds: Vec::with_capacity(rounds),
            failure: None,
        })
        .collect();
    for round in 0..rounds {
        for index in order(cases.len(), round) {
            let series = &mut all[index];
            before(round, &series.case);
            if series.failure.is_some() {
                series.rounds.push(None);
                continue;
            }
            match runner::run(&series.case, settings) {
                Ok(sample) => series.rounds.push(Some(sample)),
                Err(Failure::Interrupted) => return Err(Failure::Interrupted),
                Err(failure) => {
                    series.rounds.push(None);
                    series.failure = Some(failure);
                }
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_every_contender_and_begins_with_another() {
        let rounds: Vec<Vec<usize>> = (0..4).map(|round| order(3, round).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }
}
