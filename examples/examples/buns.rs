//! Teaches the end of a stream: producers bake buns, consumers eat them, over a bounded queue that is
//! ended by sentinels; what happens with too few of them; and that closing the queue needs none.
//!
//! `cargo run --release -p examples --example buns -- --help`

use clap::Parser;
use examples::{Failure, Lesson, join_all, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{Process, WorkResult, Worker, run_if_worker};
use ipc_queue::mpmc::{PopError, Queue};
use ipc_sync::{Event, Reset};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use std::time::Duration;

/// Producers and consumers of buns over a bounded queue, ended by sentinels: enough, too few, none.
#[derive(Parser)]
#[command(name = "buns")]
struct Options {
    /// Buns that each producer bakes.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    buns: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

/// A bun is `producer * FIRST + number`, with numbers from 1; the sentinel is no bun.
const FIRST: u64 = 1 << 32;
const SENTINEL: u64 = 0;
/// The counter has room for so many.
const CAPACITY: usize = 4;
/// A consumer waits so long for the next bun, if no more are baked.
const HUNGER: Duration = Duration::from_millis(100);

/// Who ends the stream, and how.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    /// Each producer sends one sentinel after its last bun.
    ByProducers,
    /// The parent sends so many when all producers have been joined.
    ByParent(usize),
    /// The parent closes the queue then.
    Close,
}

/// What a consumer had.
#[derive(Serialize, Deserialize)]
struct Meal {
    buns: Vec<u64>,
    ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ended {
    Sentinel,
    Closed,
    /// Nothing came any more, and nothing ever will.
    Starved,
}

fn main() -> ExitCode {
    run_if_worker("buns", &[("bake", &bake), ("eat", &eat)]);
    let options = Options::parse();
    Lesson::run("buns", options.json, |lesson| {
        use Ended::{Closed, Sentinel, Starved};
        let mut part = |key, crew, end, expected: &[Ended], title| {
            let bakery = Bakery { crew, end };
            bakery.open(lesson, key, options.buns, expected, title)
        };
        let title = "One producer, one consumer; the producer sends the sentinel";
        part("one", (1, 1), End::ByProducers, &[Sentinel], title)?;
        let title = "Two of each; each producer sends a sentinel";
        let both = [Sentinel, Sentinel];
        part("by_producers", (2, 2), End::ByProducers, &both, title)?;
        let title =
            "Three producers, two consumers; the parent joins all producers, then sends two";
        part("by_parent", (3, 2), End::ByParent(2), &both, title)?;
        let title = "The same with too few: one sentinel for two consumers";
        let one = [Sentinel, Starved];
        part("too_few", (3, 2), End::ByParent(1), &one, title)?;
        let title = "The same with none: without a time-out they would wait for ever";
        part("none", (3, 2), End::ByParent(0), &[Starved; 2], title)?;
        let title = "The same, and the parent closes the queue: nobody has to be counted";
        part("closed", (3, 2), End::Close, &[Closed; 2], title)
    })
}

/// So many producers and consumers, and how they come to an end.
struct Bakery {
    crew: (usize, usize),
    end: End,
}

impl Bakery {
    fn open(
        &self,
        lesson: &mut Lesson,
        key: &str,
        buns: u32,
        expected: &[Ended],
        title: &str,
    ) -> Result<(), Failure> {
        lesson.part(title);
        let segment = Segment::create(Place::memfd("bakery"), 1 << 20)?;
        let queue = Queue::<u64>::create_in(&segment, "counter", CAPACITY)?;
        let all_baked = Event::create_in(&segment, "all baked", Reset::Manual)?;
        let describe = |role: &str, index: usize| {
            let order = serde_json::to_vec(&(index as u64, buns, self.end))?;
            Ok(Process::builder("buns", role)
                .name(format!("{role}-{index}"))
                .params(order)
                .fd("segment", segment.descriptor()?))
        };
        let mut eaters = spawn_all(self.crew.1, |index| describe("eat", index))?;
        let mut bakers = spawn_all(self.crew.0, |index| describe("bake", index))?;

        join_all(&mut bakers)?;
        match self.end {
            End::ByProducers => {}
            End::ByParent(sentinels) => {
                let mut sender = queue.sender()?;
                (0..sentinels).try_for_each(|_| sender.push(SENTINEL))?;
            }
            End::Close => drop(queue.close()?),
        }
        all_baked.set()?;

        let mut meals = Vec::new();
        for meal in join_all(&mut eaters)? {
            meals.push(serde_json::from_slice::<Meal>(&meal)?);
        }
        for (index, meal) in meals.iter().enumerate() {
            let (buns, ended) = (meal.buns.len(), meal.ended);
            lesson.say(format_args!("consumer {index}: {buns} buns, {ended:?}"));
        }
        let mut ended: Vec<_> = meals.iter().map(|meal| meal.ended).collect();
        // Which of the consumers gets a sentinel is chance.
        ended.sort_by_key(|&it| it as u32);
        let sentence = "so the consumers ended";
        lesson.expect(&format!("{key}_ended"), ended, expected, sentence);

        // Of each producer, each consumer gets the buns in order.
        let in_order = meals.iter().all(|meal| {
            (0..self.crew.0 as u64).all(|baker| {
                let of_baker = meal.buns.iter().filter(|&&bun| bun / FIRST == baker);
                of_baker.is_sorted()
            })
        });
        let mut eaten: Vec<_> = meals.into_iter().flat_map(|meal| meal.buns).collect();
        eaten.sort_unstable();
        let all = (0..self.crew.0).flat_map(|baker| buns_of(baker as u64, buns));
        let is_right = in_order && eaten.iter().copied().eq(all);
        let sentence = "each bun was eaten, once, those of one producer in order";
        lesson.check(&format!("{key}_eaten"), eaten.len(), is_right, sentence);
        Ok(())
    }
}

fn buns_of(baker: u64, buns: u32) -> impl Iterator<Item = u64> {
    (1..=u64::from(buns)).map(move |number| baker * FIRST + number)
}

fn bake(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut counter = Queue::open_in(&segment, "counter")?.sender()?;
    let (baker, buns, end): (u64, u32, End) = serde_json::from_slice(worker.params())?;
    for bun in buns_of(baker, buns) {
        counter.push(bun)?; // Waits while the counter is full.
    }
    if end == End::ByProducers {
        counter.push(SENTINEL)?;
    }
    Ok(())
}

fn eat(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut counter = Queue::<u64>::open_in(&segment, "counter")?.receiver()?;
    let all_baked = Event::open_in(&segment, "all baked")?;
    let mut buns = Vec::new();
    let ended = loop {
        // Asked before: what was sent until then is there.
        let is_all_baked = all_baked.is_set()?;
        match counter.pop_timeout(HUNGER) {
            Ok(Some(SENTINEL)) => break Ended::Sentinel,
            Ok(Some(bun)) => buns.push(bun),
            Ok(None) => break Ended::Closed,
            Err(PopError::TimedOut) if is_all_baked => break Ended::Starved,
            Err(PopError::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let meal = Meal { buns, ended };
    Ok(worker.set_result(&serde_json::to_vec(&meal)?)?)
}
