//! One measure as a table to read.

use std::fmt;

use super::json::{ContenderResult, MeasureResult, MetricResult};
use crate::case::Peers;
use crate::distance;
use crate::statistics::{self, Summary};

/// Shows a measure as a table, one line per contender and figure.
pub struct Table<'a>(pub &'a MeasureResult);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = self.0;
        let ratio = format!("{} / this", result.subject);
        writeln!(f, "{} [{}]", result.title, result.measure)?;
        writeln!(
            f,
            "  {:<22} {:<9} {:<15} {:>10}  {:<23} {:>18}  (min .. max)",
            "contender", "peers", "figure", "median", "(min .. max)", ratio,
        )?;
        for contender in &result.contenders {
            for metric in &contender.metrics {
                line(f, contender, metric)?;
            }
            if let Some(failure) = &contender.failure {
                writeln!(f, "  {:<22} FAILED: {failure}", contender.contender)?;
            }
        }
        distances(f, result)?;
        for contender in &result.contenders {
            target(f, result.subject, contender)?;
        }
        Ok(())
    }
}

/// Says what the ratio to a contender is meant to be, if that was said, and is.
fn target(f: &mut fmt::Formatter<'_>, subject: &str, contender: &ContenderResult) -> fmt::Result {
    let (Some(target), Some(metric)) = (contender.target, contender.metrics.first()) else {
        return Ok(());
    };
    let (name, figure) = (contender.contender, metric.metric.name);
    write!(f, "  TARGET {subject} / {name}, {figure}: {target}; ")?;
    match (metric.deciding_ratio(), contender.outcome) {
        (Some((ratio, rounds)), Some(outcome)) => {
            let (ratio, _) = columns(Some(ratio));
            let of = metric.by_round.len();
            writeln!(f, "is {ratio} ({rounds} of {of} rounds): {outcome}")
        }
        _ => writeln!(f, "no figure"),
    }
}

/// Says at which distances of the CPUs the figures were taken, and where that makes the medians
/// doubtful.
fn distances(f: &mut fmt::Formatter<'_>, result: &MeasureResult) -> fmt::Result {
    let all: Vec<f64> = result
        .contenders
        .iter()
        .flat_map(|contender| contender.distances.iter().flatten().flatten().copied())
        .collect();
    let looks: Vec<Option<f64>> = all.iter().copied().map(Some).collect();
    let (median, spread) = columns(statistics::summary(&looks));
    writeln!(f, "  CPUs apart, ns there and back: {median} {spread}")?;
    if distance::equal(&all) {
        return Ok(());
    }
    writeln!(
        f,
        "  NOTE: that changed meanwhile: the medians above mix states of the machine. Over the \
         rounds in which both were taken at one distance, {} / this is:",
        result.subject,
    )?;
    for contender in &result.contenders {
        for metric in &contender.metrics {
            let (ratio, spread) = columns(metric.subject_over_this_at_equal_distance);
            let (rounds, of) = (metric.rounds_at_equal_distance, metric.by_round.len());
            let (name, figure) = (contender.contender, metric.metric.name);
            writeln!(
                f,
                "    {name:<22} {figure:<5} {ratio:>10}  {spread}  {rounds} of {of} rounds"
            )?;
        }
    }
    Ok(())
}

fn line(
    f: &mut fmt::Formatter<'_>,
    contender: &ContenderResult,
    metric: &MetricResult,
) -> fmt::Result {
    let peers = match contender.peers {
        Peers::Threads => "threads",
        Peers::Processes => "processes",
        Peers::One => "alone",
    };
    let figure = format!("{} {}", metric.metric.name, metric.metric.unit);
    let (median, spread) = columns(metric.summary);
    let (ratio, ratio_spread) = columns(metric.subject_over_this);
    let text = format!(
        "  {:<22} {peers:<9} {figure:<15} {median:>10}  {spread:<23} {ratio:>18}  {ratio_spread}",
        contender.contender,
    );
    writeln!(f, "{}", text.trim_end())
}

/// The median and the spread; a dash where there is no figure.
fn columns(summary: Option<Summary>) -> (String, String) {
    summary.map_or_else(
        || ("-".to_owned(), String::new()),
        |Summary { median, min, max }| {
            let spread = format!("({} .. {})", short(min), short(max));
            (short(median), spread)
        },
    )
}

/// A figure with about four digits, whatever its size.
fn short(figure: f64) -> String {
    let digits = match figure.abs() {
        1000.0.. => 0,
        100.0.. => 1,
        10.0.. => 2,
        0.1.. => 3,
        _ => 6,
    };
    format!("{figure:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_about_four_digits() {
        let shown: Vec<_> = [123_456.7, 123.45, 12.345, 1.23456, 0.012_345]
            .into_iter()
            .map(short)
            .collect();
        assert_eq!(shown, ["123457", "123.5", "12.35", "1.235", "0.012345"]);
    }

    #[test]
    fn no_figure_is_a_dash() {
        assert_eq!(columns(None), ("-".to_owned(), String::new()));
    }
}
