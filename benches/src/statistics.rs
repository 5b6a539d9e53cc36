//! Medians, spreads and ratios over rounds.

/// The middle and the extremes of some figures.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// The middle figure, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// Summarises the figures that are there; `None` if none is.
pub fn summary(figures: &[Option<f64>]) -> Option<Summary> {
    let mut sorted: Vec<f64> = figures.iter().copied().flatten().collect();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    Some(Summary { median, min, max })
}

/// Summarises `subject / other` taken round by round, over the rounds in which both have a figure:
/// what disturbs a whole round then disturbs the ratio little. `None` if there is no such round.
pub fn ratio(subject: &[Option<f64>], other: &[Option<f64>]) -> Option<Summary> {
    let by_round: Vec<Option<f64>> = subject
        .iter()
        .zip(other)
        .map(|(&subject, &other)| Some(subject? / other?))
        .collect();
    summary(&by_round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_figures_no_summary() {
        assert_eq!(summary(&[]), None);
        assert_eq!(summary(&[None, None]), None);
    }

    #[test]
    fn an_odd_number_of_figures_has_a_middle_one() {
        let expected = Summary {
            median: 3.0,
            min: 1.0,
            max: 10.0,
        };
        assert_eq!(summary(&[Some(10.0), Some(1.0), Some(3.0)]), Some(expected));
    }

    #[test]
    fn an_even_number_of_figures_has_the_mean_of_the_middle_ones() {
        let figures = [Some(4.0), Some(1.0), None, Some(2.0), Some(100.0)];
        let expected = Summary {
            median: 3.0,
            min: 1.0,
            max: 100.0,
        };
        assert_eq!(summary(&figures), Some(expected));
    }

    #[test]
    fn the_ratio_is_taken_by_round_before_the_median() {
        // The ratio of the medians would be 20 / 20 = 1.
        let subject = [Some(10.0), Some(20.0), Some(60.0)];
        let other = [Some(5.0), Some(40.0), Some(20.0)];
        let expected = Summary {
            median: 2.0,
            min: 0.5,
            max: 3.0,
        };
        assert_eq!(ratio(&subject, &other), Some(expected));
    }

    #[test]
    fn rounds_without_both_figures_do_not_count_in_the_ratio() {
        let subject = [Some(10.0), None, Some(30.0)];
        let other = [Some(5.0), Some(1.0), None];
        assert_eq!(ratio(&subject, &other).map(|ratio| ratio.max), Some(2.0));
        assert_eq!(ratio(&subject, &[None, Some(2.0), None]), None);
    }
}
