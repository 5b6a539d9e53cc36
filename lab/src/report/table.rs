//! A run as a table to read.

use super::{Operation, Report};
use crate::tally::Count;
use std::fmt;

/// Shows a run, one line per operation.
pub struct Table<'a>(pub &'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let width = report
            .operations
            .iter()
            .map(|it| it.operation.len())
            .max()
            .unwrap_or(9);
        writeln!(
            f,
            "{:<width$} {:>7} {:>7} {:>7} {:>9} {:>9} {:>10}  killed: outcomes",
            "operation", "instr.", "kills", "stops", "p50 us", "max us", "violations",
        )?;
        for operation in &report.operations {
            line(f, operation, width)?;
        }
        let (kills, stops) = report.cases();
        writeln!(
            f,
            "{} operations, {kills} kills, {stops} stops ({} reached step by step), {} violations, {:.0} s ({}; every {}. \
             instruction, from {} on)",
            report.operations.len(),
            report.stepped(),
            report.violations(),
            report.seconds,
            report.build,
            report.plan.every,
            report.plan.offset,
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, operation: &Operation, width: usize) -> fmt::Result {
    writeln!(
        f,
        "{:<width$} {:>7} {:>7} {:>7} {:>9.1} {:>9.1} {:>10}  {}",
        operation.operation,
        operation.instructions,
        operation.kills,
        operation.stops,
        operation.went_on_p50_us,
        operation.went_on_max_us,
        operation.violations,
        outcomes(&operation.killed),
    )?;
    for violation in &operation.first {
        writeln!(
            f,
            "    {:?} {}: {}",
            violation.fate,
            violation.when(),
            violation.place
        )?;
        writeln!(f, "        {}", violation.what.replace('\n', " "))?;
    }
    Ok(())
}

/// All outcomes and how often they came.
pub fn outcomes(counts: &[Count]) -> String {
    let each: Vec<String> = counts
        .iter()
        .map(|it| format!("{} {}", it.cases, it.outcome))
        .collect();
    each.join(", ")
}
