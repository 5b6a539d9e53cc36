//! The whole run as one JSON document.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::machine::Machine;
use crate::case::Peers;
use crate::failure::Failure;
use crate::measure::{Measure, Metric};
use crate::runner::Settings;
use crate::schedule::Series;
use crate::statistics::{self, Summary};
use crate::target::{Outcome, Target};

/// The whole run.
#[derive(Serialize)]
pub struct Document {
    /// On what.
    pub machine: Machine,
    /// The CPU of the peer and the CPU of the runner.
    pub pinned_to: [usize; 2],
    /// How many rounds were asked for.
    pub rounds: usize,
    /// How long each measured phase was meant to last, in ms.
    pub budget_ms: u128,
    /// After how long a measurement was killed, in ms.
    pub limit_ms: u128,
    /// What came out.
    pub measures: Vec<MeasureResult>,
}

/// One measure.
#[derive(Serialize)]
pub struct MeasureResult {
    /// Its short name.
    pub measure: String,
    /// What was measured.
    pub title: String,
    /// The contender whose ratios to the others are given.
    pub subject: &'static str,
    /// Everyone who took part.
    pub contenders: Vec<ContenderResult>,
}

/// One contender in one measure.
#[derive(Serialize)]
pub struct ContenderResult {
    /// Its name.
    pub contender: &'static str,
    /// Between what.
    pub peers: Peers,
    /// How it was used.
    pub how: String,
    /// What the subject's first figure divided by its own is meant to be, if that was said.
    pub target: Option<Target>,
    /// What became of that; null if there is no ratio.
    pub outcome: Option<Outcome>,
    /// Why it has no figures from some round on, if so.
    pub failure: Option<String>,
    /// The distance of the CPUs in ns before and after each of its samples, by round.
    pub distances: Vec<Option<[f64; 2]>>,
    /// Its figures.
    pub metrics: Vec<MetricResult>,
}

/// One figure of a contender.
#[derive(Serialize)]
pub struct MetricResult {
    /// Which, in which unit.
    #[serde(flatten)]
    pub metric: Metric,
    /// Over the rounds; null if there is no figure.
    pub summary: Option<Summary>,
    /// The subject's figure divided by this one, taken by round; null if no round has both.
    pub subject_over_this: Option<Summary>,
    /// The same over those rounds only in which both were taken at one distance of the CPUs.
    pub subject_over_this_at_equal_distance: Option<Summary>,
    /// How many rounds those are.
    pub rounds_at_equal_distance: usize,
    /// By round.
    pub by_round: Vec<Option<f64>>,
}

impl Document {
    /// A document without measures.
    pub fn new(machine: Machine, settings: &Settings, rounds: usize) -> Self {
        Self {
            machine,
            pinned_to: settings.cpus,
            rounds,
            budget_ms: settings.budget.as_millis(),
            limit_ms: settings.limit.as_millis(),
            measures: Vec::new(),
        }
    }

    /// Writes the document to `path`, replacing what is there.
    ///
    /// # Errors
    /// [`Failure::System`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let file = File::create(path).map_err(Failure::system("make the JSON file"))?;
        let mut file = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut file, self)
            .map_err(Failure::contender("write the JSON file"))?;
        writeln!(file)
            .and_then(|()| file.flush())
            .map_err(Failure::system("write the JSON file"))
    }
}

impl MeasureResult {
    /// Summarises the series of one measure; the first is the subject. `None` if there is none.
    pub fn new(measure: Measure, all: &[Series]) -> Option<Self> {
        let subject = all.first()?;
        Some(Self {
            measure: measure.key(),
            title: measure.title(),
            subject: subject.case.contender,
            contenders: all
                .iter()
                .map(|series| ContenderResult::new(measure, subject, series))
                .collect(),
        })
    }
}

impl ContenderResult {
    fn new(measure: Measure, subject: &Series, series: &Series) -> Self {
        let metrics: Vec<MetricResult> = measure
            .metrics()
            .iter()
            .enumerate()
            .map(|(index, &metric)| MetricResult::new(index, metric, subject, series))
            .collect();
        let ratio = metrics.first().and_then(MetricResult::deciding_ratio);
        let target = series.case.target;
        Self {
            contender: series.case.contender,
            peers: series.case.peers,
            how: (series.case.how)(),
            distances: series.distances(),
            failure: series.failure.as_ref().map(ToString::to_string),
            target,
            outcome: ratio.and_then(|(ratio, _)| Some(target?.outcome(ratio.median))),
            metrics,
        }
    }
}

impl MetricResult {
    fn new(index: usize, metric: Metric, subject: &Series, series: &Series) -> Self {
        let by_round = series.figures(index);
        let of_subject = subject.figures(index);
        let comparable = series.figures_at_distance_of(subject, index);
        Self {
            metric,
            summary: statistics::summary(&by_round),
            subject_over_this: statistics::ratio(&of_subject, &by_round),
            subject_over_this_at_equal_distance: statistics::ratio(&of_subject, &comparable),
            rounds_at_equal_distance: comparable.iter().flatten().count(),
            by_round,
        }
    }

    /// The ratio that decides about a target, and over how many rounds it was taken: those at equal
    /// distance if they are half of all at least, since few say little; else all.
    pub fn deciding_ratio(&self) -> Option<(Summary, usize)> {
        let rounds = self.rounds_at_equal_distance;
        match self.subject_over_this_at_equal_distance {
            Some(ratio) if 2 * rounds >= self.by_round.len() => Some((ratio, rounds)),
            _ => {
                let rounds = self.by_round.iter().flatten().count();
                self.subject_over_this.map(|ratio| (ratio, rounds))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_rounds_at_equal_distance_do_not_decide() {
        let ratio = |median| Summary {
            median,
            min: 0.0,
            max: 9.0,
        };
        let decided_by = |rounds_at_equal_distance| {
            let result = MetricResult {
                metric: Measure::OneWay.metrics()[0],
                summary: None,
                subject_over_this: Some(ratio(1.0)),
                subject_over_this_at_equal_distance: Some(ratio(2.0)),
                rounds_at_equal_distance,
                by_round: vec![Some(1.0); 5],
            };
            result
                .deciding_ratio()
                .map(|(ratio, of)| (ratio.median, of))
        };
        assert_eq!(decided_by(2), Some((1.0, 5)));
        assert_eq!(decided_by(3), Some((2.0, 3)));
    }
}
