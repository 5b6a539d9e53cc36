//! What became of the trials: a table to read and a JSON file to keep.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::series::Series;
use super::{Moment, Outcome, Whose};
use crate::failure::Failure;
use crate::report::machine::Machine;
use crate::statistics::{self, Summary};
use crate::target::Target;

/// Within which time ours are meant to go on, in ms: two slices of waiting.
pub const TARGET: Target = Target::AtMost(20.0);

/// All results of a run.
#[derive(Serialize)]
pub struct Document {
    machine: Machine,
    rounds: usize,
    limit_ms: u128,
    results: Vec<TrialResult>,
}

/// One moment of one primitive.
#[derive(Serialize)]
pub struct TrialResult {
    subject: &'static str,
    whose: Whose,
    how: &'static str,
    moment: Moment,
    /// How often it hung.
    hung: usize,
    /// How often the kill came too late whatever was tried: these count neither way.
    too_late: usize,
    /// The time until all others had gone on, in ms, over the rounds in which they did.
    ms: Option<Summary>,
    failure: Option<String>,
    outcomes: Vec<Outcome>,
}

impl TrialResult {
    fn new(series: &Series) -> Self {
        let times: Vec<Option<f64>> = series
            .outcomes
            .iter()
            .map(|outcome| match *outcome {
                Outcome::WentOn { ms } => Some(ms),
                _ => None,
            })
            .collect();
        let count = |what| series.outcomes.iter().filter(|&&is| is == what).count();
        Self {
            subject: series.trial.subject,
            whose: series.trial.whose,
            how: series.trial.how,
            moment: series.trial.moment,
            hung: count(Outcome::Hung),
            too_late: count(Outcome::TooLate),
            ms: statistics::summary(&times),
            failure: series.failure.as_ref().map(ToString::to_string),
            outcomes: series.outcomes.clone(),
        }
    }

    fn cell(&self) -> String {
        if self.failure.is_some() {
            return "FAILED".to_owned();
        }
        let tried = self.outcomes.len() - self.too_late;
        match (self.hung, self.ms) {
            (0, None) => "-".to_owned(),
            (0, Some(Summary { median, max, .. })) => format!("{median:.1}, at most {max:.1}"),
            (hung, _) => format!("HANGS {hung} of {tried}"),
        }
    }
}

/// Whether ours did as they are meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// None of them hung, and every trial could be made.
    AsMeant,
    /// One of ours hung, or a trial failed.
    Not,
}

impl Document {
    /// Summarises what was tried.
    pub fn new(machine: Machine, rounds: usize, limit: Duration, all: &[Series]) -> Self {
        Self {
            machine,
            rounds,
            limit_ms: limit.as_millis(),
            results: all.iter().map(TrialResult::new).collect(),
        }
    }

    /// Whether ours did as they are meant to.
    pub fn verdict(&self) -> Verdict {
        let wrong = |result: &TrialResult| {
            result.failure.is_some() || result.whose == Whose::Ours && result.hung > 0
        };
        if self.results.iter().any(wrong) {
            Verdict::Not
        } else {
            Verdict::AsMeant
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

    fn slowest_of_ours(&self) -> Option<f64> {
        let ours = self.results.iter().filter(|it| it.whose == Whose::Ours);
        ours.filter_map(|it| Some(it.ms?.max)).reduce(f64::max)
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A process is killed ({} times each). Time until all others have gone on, in ms, median \
             and maximum; who has not after {} ms hangs",
            self.rounds, self.limit_ms,
        )?;
        writeln!(
            f,
            "  {:<25} {:<22} {:<22} while being woken",
            "", "while it has it", "while it waits",
        )?;
        for of_one in self.results.chunk_by(|a, b| a.subject == b.subject) {
            let cell = |moment| {
                let result = of_one.iter().find(|result| result.moment == moment);
                result.map_or_else(String::new, TrialResult::cell)
            };
            let [has, waits, woken] = Moment::ALL.map(cell);
            let subject = of_one[0].subject;
            writeln!(f, "  {subject:<25} {has:<22} {waits:<22} {woken}")?;
        }
        for result in &self.results {
            if let Some(failure) = &result.failure {
                writeln!(
                    f,
                    "  FAILED: {}, {:?}: {failure}",
                    result.subject, result.moment
                )?;
            }
        }
        if let Some(slowest) = self.slowest_of_ours() {
            let outcome = TARGET.outcome(slowest);
            writeln!(
                f,
                "  TARGET ours, ms: {TARGET}; is at most {slowest:.1}: {outcome}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deaths::Trial;

    fn series(subject: &str, outcomes: &[Outcome]) -> Series {
        let named = |trial: &Trial| trial.subject == subject;
        let trial = crate::deaths::all().into_iter().find(named);
        Series {
            trial: trial.expect("there is such a primitive"),
            outcomes: outcomes.to_vec(),
            failure: None,
        }
    }

    const SOON: Outcome = Outcome::WentOn { ms: 1.5 };

    #[test]
    fn a_cell_says_how_often_it_hung_of_those_that_count() {
        let cell = |outcomes: &[_]| TrialResult::new(&series("sem_t", outcomes)).cell();
        assert_eq!(cell(&[]), "-");
        assert_eq!(cell(&[Outcome::TooLate]), "-");
        assert_eq!(
            cell(&[SOON, Outcome::WentOn { ms: 2.5 }]),
            "2.0, at most 2.5"
        );
        assert_eq!(
            cell(&[SOON, Outcome::TooLate, Outcome::Hung]),
            "HANGS 1 of 2"
        );
    }

    #[test]
    fn only_ours_are_meant_not_to_hang() {
        let verdict = |subject, outcomes: &[_]| {
            let machine = Machine::look(1);
            Document::new(machine, 1, Duration::ZERO, &[series(subject, outcomes)]).verdict()
        };
        assert_eq!(verdict("Mutex", &[SOON]), Verdict::AsMeant);
        assert_eq!(verdict("Mutex", &[SOON, Outcome::Hung]), Verdict::Not);
        assert_eq!(verdict("sem_t", &[Outcome::Hung]), Verdict::AsMeant);
    }
}
