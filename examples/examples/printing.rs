//! Teaches when processes take turns: lines of three that print at once without a lock, whole blocks
//! with one, and one after another by join; and why lock and join differ.
//!
//! `cargo run --release -p examples --example printing -- --help`

use clap::Parser;
use examples::{Failure, Lesson, join_all, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{Process, WorkResult, Worker, run_if_worker};
use ipc_sync::{Barrier, Mutex, UpdateError};
use std::io::{BufRead, BufReader, PipeWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Three processes print blocks of lines to one output: at once, with a lock, and one after another.
#[derive(Parser)]
#[command(name = "printing")]
struct Options {
    /// Blocks that each process prints.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    blocks: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

const PRINTERS: usize = 3;
const LINES: usize = 4;
/// What it takes to write a line, and to think of a block.
const WRITING: Duration = Duration::from_millis(1);
const THINKING: Duration = Duration::from_millis(20);
/// How often the three print at once, if need be, until two get into each other's way.
const TRIES: usize = 20;

fn main() -> ExitCode {
    run_if_worker("printing", &[("no lock", &print), ("lock", &print_locked)]);
    let options = Options::parse();
    Lesson::run("printing", options.json, |lesson| {
        let blocks = options.blocks;
        let mut at_once = Printed::by("no lock", blocks, PRINTERS)?;
        for _ in 1..TRIES {
            if at_once.whole_blocks().is_none() {
                break;
            }
            at_once = Printed::by("no lock", blocks, PRINTERS)?;
        }
        at_once.show(lesson, "no_lock", "Three at once, without a lock");
        let is_mixed = at_once.whole_blocks().is_none();
        lesson.expect("mixed", is_mixed, true, "their lines are mixed");

        let locked = Printed::by("lock", blocks, PRINTERS)?;
        locked.show(lesson, "lock", "Three at once, a lock around each block");
        let whole = locked.whole_blocks().map_or(0, |blocks| blocks.len());
        let all = blocks as usize * PRINTERS;
        lesson.expect("blocks_lock", whole, all, "all blocks are whole");

        // Each is joined before the next one starts.
        let in_turn = Printed::by("no lock", blocks, 1)?;
        in_turn.show(lesson, "join", "One after another by join, without a lock");
        let order = in_turn.whole_blocks().unwrap_or_default();
        let expected: Vec<_> = (0..PRINTERS)
            .flat_map(|printer| vec![printer; blocks as usize])
            .collect();
        lesson.expect("order_join", order, expected, "whole, and in order");

        lesson.part("Why they differ");
        lesson.say("The lock makes them print in turn, in any order, while the others think;");
        lesson.say("join makes them do everything in turn, thinking too.");
        let (lock, join) = (locked.seconds(), in_turn.seconds());
        lesson.say(format_args!(
            "{lock:.2} s with the lock, {join:.2} s with join"
        ));
        Ok(())
    })
}

/// What came out, line by line, and how long it took.
struct Printed {
    lines: Vec<String>,
    elapsed: Duration,
}

impl Printed {
    /// Has the printers print, so many at once.
    fn by(role: &str, blocks: u32, at_once: usize) -> Result<Self, Failure> {
        let (output, into) = std::io::pipe()?;
        let reading = std::thread::spawn(move || BufReader::new(output).lines().collect());
        let started = Instant::now();
        for first in (0..PRINTERS).step_by(at_once) {
            let segment = Segment::create(Place::memfd("printing"), 1 << 16)?;
            Mutex::create_in(&segment, "lock", ())?;
            Barrier::create_in(&segment, "start", at_once as u32)?;
            join_all(&mut spawn_all(at_once, |index| {
                let printer = first + index;
                Ok(Process::builder("printing", role)
                    .name(format!("printer-{printer}"))
                    .params(serde_json::to_vec(&(printer, blocks))?)
                    .fd("segment", segment.descriptor()?)
                    .fd("output", &into))
            })?)?;
        }
        let elapsed = started.elapsed();
        drop(into);
        let lines: Result<_, std::io::Error> = reading.join().map_err(|_| "the reader failed")?;
        Ok(Self {
            lines: lines?,
            elapsed,
        })
    }

    fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }

    /// Whose each block is; `None` if there is one with lines of two printers.
    fn whole_blocks(&self) -> Option<Vec<usize>> {
        let blocks = self.lines.chunks(LINES).map(|block| {
            let printer: usize = block[0].split(' ').nth(1)?.parse().ok()?;
            let number = block[0].split(' ').nth(3)?;
            let is_whole = block.iter().enumerate().all(|(line, text)| {
                *text == format!("printer {printer} block {number} line {line}")
            });
            (is_whole && block.len() == LINES).then_some(printer)
        });
        blocks.collect()
    }

    fn show(&self, lesson: &mut Lesson, key: &str, title: &str) {
        lesson.part(title);
        let shown = 2 * LINES;
        self.lines.iter().take(shown).for_each(|it| lesson.say(it));
        let (more, took) = (self.lines.len().saturating_sub(shown), self.elapsed);
        lesson.say(format_args!("... and {more} more, in {took:.0?}"));
        lesson.note(&format!("seconds_{key}"), self.seconds());
    }
}

/// What the worker has got, once all who print at once are there.
fn begin(worker: &mut Worker) -> Result<(Segment, PipeWriter, usize, u32), Failure> {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let (printer, blocks) = serde_json::from_slice(worker.params())?;
    Barrier::open_in(&segment, "start")?.join()?.wait()?;
    Ok((segment, worker.take_fd("output")?.into(), printer, blocks))
}

fn print(worker: &mut Worker) -> WorkResult {
    let (_, output, printer, blocks) = begin(worker)?;
    for block in 0..blocks {
        std::thread::sleep(THINKING);
        print_block(&output, printer, block)?;
    }
    Ok(())
}

fn print_locked(worker: &mut Worker) -> WorkResult {
    let (segment, output, printer, blocks) = begin(worker)?;
    let lock = Mutex::<()>::open_in(&segment, "lock")?;
    for block in 0..blocks {
        std::thread::sleep(THINKING);
        let _turn = lock.lock().map_err(UpdateError::from)?;
        print_block(&output, printer, block)?;
    }
    Ok(())
}

fn print_block(mut output: &PipeWriter, printer: usize, block: u32) -> std::io::Result<()> {
    for line in 0..LINES {
        let text = format!("printer {printer} block {block} line {line}\n");
        output.write_all(text.as_bytes())?;
        std::thread::sleep(WRITING);
    }
    Ok(())
}
