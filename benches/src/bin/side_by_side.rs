//! Measures every contender in one run and prints medians, spreads and ratios.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::case::Case;
use benches::measure::Measure;
use benches::report::json::{Document, MeasureResult};
use benches::report::machine::Machine;
use benches::report::table::Table;
use benches::runner::Settings;
use benches::{contenders, cpu, interrupt, schedule};
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Measures every contender side by side: in one run, in turn, pinned to two CPUs.
#[derive(Parser)]
struct Options {
    /// Fewer and shorter rounds: under a minute in all, for a first look
    #[arg(long)]
    quick: bool,
    /// Write everything to this JSON file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these contenders, by name, or measures, by the beginning of theirs
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// How many rounds [default: 11, or 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// How long the measured phase of one measurement lasts, in ms [default: 400, or 100 with
    /// --quick]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u16).range(1..))]
    budget: Option<u16>,
    /// The CPUs of the sending and of the receiving peer
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_values_t = [0, 1])]
    cpus: Vec<usize>,
    /// Kill a measurement that takes longer than this many seconds, and report it as failed
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Compare the ways in which a contender can be used instead of the contenders
    #[arg(long)]
    alternatives: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(Verdict::AllMeasured) => ExitCode::SUCCESS,
        Ok(Verdict::SomeFailed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("side_by_side: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Verdict {
    AllMeasured,
    SomeFailed,
}

fn run(options: &Options) -> Result<Verdict, Box<dyn std::error::Error>> {
    interrupt::install()?;
    let allowed = cpu::allowed()?;
    let cpus = pair_of_cpus(&options.cpus, &allowed)?;
    let settings = Settings {
        cpus,
        budget: Duration::from_millis(
            options
                .budget
                .unwrap_or(if options.quick { 100 } else { 400 })
                .into(),
        ),
        limit: Duration::from_secs(options.limit),
    };
    let rounds = usize::from(options.rounds.unwrap_or(if options.quick { 3 } else { 11 }));
    let cases = chosen(options)?;

    let machine = Machine::look(allowed.len());
    let mut out = io::stdout();
    writeln!(
        out,
        "{}, kernel {}, CPUs {} -> {}, {rounds} rounds of {} ms, load {}, clock {:.0} ns\n",
        machine.cpu,
        machine.kernel,
        cpus[0],
        cpus[1],
        settings.budget.as_millis(),
        machine.load,
        machine.clock_read_ns,
    )?;
    let mut document = Document::new(machine, &settings, rounds);
    let progress = progress_bar(rounds * cases.len())?;
    let mut verdict = Verdict::AllMeasured;
    for measure in measures(&cases) {
        let cases: Vec<Case> = cases
            .iter()
            .copied()
            .filter(|case| case.measure == measure)
            .collect();
        let series = schedule::run(&cases, rounds, &settings, |round, case| {
            progress.set_message(format!(
                "{} {} (round {} of {rounds})",
                measure.key(),
                case.contender,
                round + 1
            ));
            progress.inc(1);
        })?;
        if series.iter().any(|series| series.failure.is_some()) {
            verdict = Verdict::SomeFailed;
        }
        if let Some(result) = MeasureResult::new(measure, &series) {
            progress.suspend(|| writeln!(out, "{}", Table(&result)))?;
            document.measures.push(result);
        }
    }
    progress.finish_and_clear();
    if let Some(path) = &options.json {
        document.write(path)?;
    }
    Ok(verdict)
}

/// Two different CPUs that this process may use.
fn pair_of_cpus(asked: &[usize], allowed: &[usize]) -> Result<[usize; 2], String> {
    match *asked {
        [a, b] if a != b && allowed.contains(&a) && allowed.contains(&b) => Ok([a, b]),
        _ => Err(format!(
            "cannot pin the peers to CPUs {asked:?}: give two different ones of {allowed:?} with \
             --cpus, or allow this process more"
        )),
    }
}

/// The cases that were asked for; every name given must name one.
fn chosen(options: &Options) -> Result<Vec<Case>, String> {
    let cases = if options.alternatives {
        contenders::alternatives()
    } else {
        contenders::all()
    };
    let named =
        |case: &Case, name: &str| case.contender == name || case.measure.key().starts_with(name);
    for name in &options.only {
        if !cases.iter().any(|case| named(case, name)) {
            let mut names: Vec<String> = cases
                .iter()
                .flat_map(|case| [case.contender.to_owned(), case.measure.key()])
                .collect();
            names.sort();
            names.dedup();
            return Err(format!(
                "no contender or measure is called {name}; there are {}",
                names.join(", ")
            ));
        }
    }
    Ok(cases
        .into_iter()
        .filter(|case| options.only.is_empty() || options.only.iter().any(|name| named(case, name)))
        .collect())
}

/// The measures of some cases, in order, each once.
fn measures(cases: &[Case]) -> Vec<Measure> {
    let mut measures: Vec<Measure> = cases.iter().map(|case| case.measure).collect();
    measures.dedup();
    measures
}

/// Drawn only on a terminal, and only when it changes: a thread that keeps it ticking would make
/// forking unsafe.
fn progress_bar(steps: usize) -> Result<ProgressBar, Box<dyn std::error::Error>> {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
    bar.set_style(ProgressStyle::with_template(
        "{wide_bar} {pos}/{len} {msg}",
    )?);
    Ok(bar)
}
