//! One measure as a table to read.

use std::fmt;

use super::json::{ContenderResult, MeasureResult, MetricResult};
use crate::case::Peers;
use crate::statistics::Summary;

/// Shows a measure as a table, one line per contender and figure.
pub struct Table<'a>(pub &'a MeasureResult);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = self.0;
        let ratio = format!("{} / this", result.subject);
        writeln!(f, "{} [{}]", result.title, result.measure)?;
        writeln!(
            f,
            "  {:<22} {:<9} {:<15} {:>10}  {:<23} {:>18}  {}",
            "contender", "peers", "figure", "median", "(min .. max)", ratio, "(min .. max)",
        )?;
        for contender in &result.contenders {
            for metric in &contender.metrics {
                line(f, contender, metric)?;
            }
            if let Some(failure) = &contender.failure {
                writeln!(f, "  {:<22} FAILED: {failure}", contender.contender)?;
            }
        }
        Ok(())
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    contender: &ContenderResult,
    metric: &MetricResult,
) -> fmt::Result {
    let peers = match contender.peers {
        Peers::Threads => "threads",
        Peers::Processes => "processes",
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
