//! The main job: real text flows from producer processes to consumer processes that count its
//! words, through shared memory, and for comparison through a pipe and through files.
//!
//! `cargo run --release -p examples --example pipeline -- --help`

mod lane;
mod rivals;
mod shared_memory;
mod summary;

use clap::Parser;
use examples::{Corpus, WordCounter, WordCounts, complain, pieces, print};
use indicatif::{ProgressBar, ProgressStyle};
use ipc_queue::harness::Params;
use lane::{Error, Lane, Work};
use rivals::Rival;
use shared_memory::Crew;
use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use summary::Summary;

/// Counts the words of real text in another process, through shared memory and through the naive
/// ways, and checks the result.
#[derive(Parser)]
#[command(name = "pipeline")]
struct Options {
    /// Files and directories to read. By default the text and source files under the current
    /// directory (without target/ and .git) and the sources of unpacked dependencies.
    paths: Vec<PathBuf>,
    /// How much text to read at most, in MiB.
    #[arg(long, default_value_t = Corpus::DEFAULT_LIMIT >> 20, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    limit: u64,
    /// The longest line to send, in KiB. Shorter ones go several to a message, and each of them
    /// whole; a longer one is an error.
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u64).range(4..=524_288))]
    longest_line: u64,
    /// Print one JSON object with all figures instead of the table.
    #[arg(long)]
    json: bool,
    /// Producer processes of the shared-memory lanes. Default: half of the processors.
    #[arg(long, default_value_t = Crew::default().producers, value_parser = number_of_workers)]
    producers: usize,
    /// Consumer processes of the shared-memory lanes. Default: half of the processors.
    #[arg(long, default_value_t = Crew::default().consumers, value_parser = number_of_workers)]
    consumers: usize,
    /// Kill so many of them at random moments while words are counted; they are replaced, and the
    /// text is sent again and again until all this has happened.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100_000))]
    kill: u32,
    /// Stop so many of them for some milliseconds, likewise.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100_000))]
    stop: u32,
}

fn number_of_workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=256) => Ok(count),
        _ => Err("a number from 1 to 256 is wanted".into()),
    }
}

fn main() -> ExitCode {
    // Workers end in here.
    shared_memory::run_if_worker();
    rivals::run_if_worker();

    let options = Options::parse();
    match run(&options) {
        Ok(summary) => {
            if options.json {
                print(format_args!("{}\n", summary.to_json()));
            } else {
                print(&summary);
            }
            if summary.is_correct() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(error) => {
            complain(format_args!("pipeline: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Summary, Error> {
    let interrupted = rivals::watch_for_signals()?;
    let started = Instant::now();
    let (text, corpus) = read_text(options)?;
    let reading = started.elapsed();
    let longest = longest_piece(text.as_slice(), (options.longest_line << 10) as usize)?;

    let started = Instant::now();
    let expected = count(text.as_slice());
    let sequential = started.elapsed();

    let all = pieces(text.as_slice()).count() as u64;
    let crew = Crew {
        producers: options.producers,
        consumers: options.consumers,
        kills: options.kill,
        stops: options.stop,
        longest,
    };
    let mut lanes = Vec::new();
    for work in [Work::CheckOnly, Work::CountWords] {
        let bar = Bar::new("shared memory", work, all);
        lanes.push(shared_memory::run(work, &crew, &text, |done| {
            bar.set(done)
        })?);
        for rival in Rival::ALL {
            let part = rival.part_of(all);
            let bar = Bar::new(rival.name(), work, part);
            lanes.push(rival.run(work, &text, part, &interrupted, |done| bar.set(done))?);
        }
    }
    for lane in &mut lanes {
        let part = lane.text(text.as_slice());
        lane.counted_right = match &lane.words {
            None => true,
            Some(words) if !lane.rounds.is_empty() => {
                *words == shared_memory::expected(text.as_slice(), &lane.rounds)
            }
            Some(words) if part.len() == text.as_slice().len() => *words == expected,
            Some(words) => *words == count(part),
        };
    }
    Ok(Summary {
        corpus,
        reading,
        sequential,
        expected,
        producers: crew.producers,
        consumers: crew.consumers,
        lanes,
    })
}

/// Reads everything once, straight into the memory that the workers will map.
fn read_text(options: &Options) -> Result<(Params, examples::Summary), Error> {
    let paths = if options.paths.is_empty() {
        Corpus::default_paths()
    } else {
        options.paths.clone()
    };
    let found = Cell::new(None);
    let text = Params::from_writer("pipeline text", |file| {
        found.set(Some(Corpus::gather_into(&paths, options.limit << 20, file)));
        Ok(())
    })?;
    // `gather_into` has run, or `from_writer` has failed.
    let corpus = found.take().expect("the writer has run")?;
    Ok((text, corpus))
}

/// The length of the longest message that the text makes, a line if it is above the limit.
fn longest_piece(text: &[u8], limit: usize) -> Result<usize, Error> {
    let (mut at, mut longest) = (0, 0);
    for piece in pieces(text) {
        if piece.len() > limit {
            let newlines = text[..at].iter().filter(|&&byte| byte == b'\n');
            return Err(Error::LineTooLong {
                number: 1 + newlines.count(),
                length: piece.len(),
                longest: limit,
            });
        }
        at += piece.len();
        longest = longest.max(piece.len());
    }
    Ok(longest)
}

fn count(text: &[u8]) -> WordCounts {
    let mut counter = WordCounter::new();
    for piece in pieces(text) {
        counter.feed_whole(piece);
    }
    counter.finish()
}

/// What a lane shows on a terminal while it runs; nothing elsewhere.
struct Bar(ProgressBar);

impl Bar {
    fn new(name: &'static str, work: Work, messages: u64) -> Self {
        let style = ProgressStyle::with_template(
            "{msg:34} {wide_bar} {pos}/{len} messages, {per_sec}, {eta} left",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(messages).with_style(style);
        bar.set_message(format!("{name}, {work}"));
        Self(bar)
    }

    fn set(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Lane {
    /// The part of the text that went through it.
    fn text<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[..(self.bytes as usize).min(text.len())]
    }
}
