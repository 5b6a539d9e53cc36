//! A run as a page.

use super::table::outcomes;
use super::{Operation, Report};
use std::fmt;

/// Shows a run as an HTML page that needs nothing else.
pub struct Page<'a>(pub &'a Report);

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>The fault lab</title><style>
:root { color-scheme: light dark; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; }
table { border-collapse: collapse; }
th, td { padding: .2em .7em; text-align: right; border-bottom: 1px solid #8884; vertical-align: top; }
th { position: sticky; top: 0; background: Canvas; }
td:first-child, th:first-child, td.text, th.text { text-align: left; }
.bad { color: #c22; }
</style></head><body>
";

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let (kills, stops) = report.cases();
        f.write_str(HEAD)?;
        writeln!(
            f,
            "<h1>The fault lab</h1><p>{} operations, {kills} kills, {stops} stops ({} reached step by step), {} violations, \
             {:.0} s ({}; every {}. instruction, from {} on).</p>",
            report.operations.len(),
            report.stepped(),
            report.violations(),
            report.seconds,
            Escaped(&report.build),
            report.plan.every,
            report.plan.offset,
        )?;
        writeln!(
            f,
            "<table><tr><th>operation<th>instructions<th>accesses<th>system calls<th>kills<th>stops\
             <th>others went on, p50 &micro;s<th>max &micro;s<th>violations\
             <th class=text>killed<th class=text>stopped, then continued</tr>"
        )?;
        for operation in &report.operations {
            row(f, operation)?;
        }
        writeln!(f, "</table></body></html>")
    }
}

fn row(f: &mut fmt::Formatter<'_>, it: &Operation) -> fmt::Result {
    writeln!(
        f,
        "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{:.1}<td>{:.1}<td>{}<td class=text>{}\
         <td class=text>{}</tr>",
        Escaped(&it.operation),
        it.instructions,
        it.accesses,
        it.calls,
        it.kills,
        it.stops,
        it.went_on_p50_us,
        it.went_on_max_us,
        it.violations,
        Escaped(&outcomes(&it.killed)),
        Escaped(&outcomes(&it.stopped)),
    )?;
    for violation in &it.first {
        writeln!(
            f,
            "<tr class=bad><td colspan=11 class=text>{:?} {}, {}: {}</tr>",
            violation.fate,
            violation.when(),
            Escaped(&violation.place),
            Escaped(&violation.what),
        )?;
    }
    Ok(())
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|it| match it {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            other => write!(f, "{other}"),
        })
    }
}
