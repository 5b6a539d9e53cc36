//! Teaches the event: many wait for it and all go when it is set. And what it does not do: that it
//! was set when one looked does not keep it set, which takes a lock.
//!
//! `cargo run --release -p examples --example traffic_light -- --help`

use clap::Parser;
use examples::{Failure, Lesson, join_all, patience, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{Process, WorkResult, Worker, run_if_worker};
use ipc_sync::{Array, Event, Latch, Reset, RwLock, Value};
use std::process::ExitCode;
use std::time::Duration;

/// Cars wait for green, which is an event that turns; none crosses at red.
#[derive(Parser)]
#[command(name = "traffic_light")]
struct Options {
    /// Cars, each a process.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    cars: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

/// How often each car crosses.
const LAPS: u32 = 5;
const GREEN: u32 = 1;
const RED: u32 = 0;
/// How long the light stays as it is.
const TURN: Duration = Duration::from_millis(2);
/// What the cars count.
const CROSSED: usize = 0;
const AT_RED: usize = 1;
const TURNED_BACK: usize = 2;

fn main() -> ExitCode {
    run_if_worker("traffic_light", &[("car", &drive)]);
    let options = Options::parse();
    Lesson::run("traffic_light", options.json, |lesson| {
        old_news(lesson)?;
        crossing(lesson, options.cars)
    })
}

fn old_news(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("That it was green is old news");
    let segment = Segment::create(Place::memfd("light"), 4096)?;
    let green = Event::create_in(&segment, "green", Reset::Manual)?;
    green.set()?;
    green.wait()?;
    // Here the light turns, before the car has started.
    green.reset()?;
    let sentence = "waited for green, and starts at red: an event alone is not enough";
    lesson.expect("green_when_it_starts", green.is_set()?, false, sentence);
    Ok(())
}

fn crossing(lesson: &mut Lesson, cars: u32) -> Result<(), Failure> {
    lesson.part(format_args!(
        "{cars} cars cross {LAPS} times each, with the crossing locked while they are on it"
    ));
    let segment = Segment::create(Place::memfd("light"), 1 << 18)?;
    let green = Event::create_in(&segment, "green", Reset::Manual)?;
    let crossing = RwLock::create_in(&segment, "crossing", RED)?;
    let lamp = Value::create_in(&segment, "lamp", RED)?;
    let counts = Array::create_in(&segment, "counts", 3, |_| 0u32)?;
    let arrived = Latch::create_in(&segment, "arrived", cars)?;
    let mut drivers = spawn_all(cars as usize, |index| {
        Ok(Process::builder("traffic_light", "car")
            .name(format!("car-{index}"))
            .fd("segment", segment.descriptor()?))
    })?;

    arrived.wait_timeout(patience())?;
    let sentence = "all cars are there, and the light is red";
    lesson.expect("crossed_at_first_red", counts.get(CROSSED)?, 0, sentence);

    let mut turns = 0;
    while drivers.iter_mut().any(|driver| driver.is_alive()) {
        // Who writes waits until nobody is on the crossing, and lets nobody on it meanwhile.
        let mut light = crossing.write().map_err(|error| error.to_string())?;
        *light = match *light {
            RED => GREEN,
            _ => RED,
        };
        lamp.set(*light)?;
        match *light {
            GREEN => green.set()?,
            _ => green.reset()?,
        }
        drop(light);
        turns += 1;
        std::thread::sleep(TURN);
    }
    join_all(&mut drivers)?;

    lesson.note("turns", turns);
    lesson.note("turned_back", counts.get(TURNED_BACK)?);
    lesson.say(format_args!(
        "the light turned {turns} times; {} times a car saw green, and red when it looked again",
        counts.get(TURNED_BACK)?
    ));
    let crossed = counts.get(CROSSED)?;
    lesson.expect("crossed", crossed, cars * LAPS, "all have crossed");
    let at_red = counts.get(AT_RED)?;
    lesson.expect("crossed_at_red", at_red, 0, "none of them at red");
    Ok(())
}

fn drive(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let green = Event::open_in(&segment, "green")?;
    let crossing = RwLock::<u32>::open_in(&segment, "crossing")?;
    let lamp = Value::<u32>::open_in(&segment, "lamp")?;
    let counts = Array::<u32>::open_in(&segment, "counts")?;
    Latch::open_in(&segment, "arrived")?.count_down(1)?;

    let mut laps = 0;
    while laps < LAPS {
        green.wait()?;
        let light = crossing.read()?;
        if *light != GREEN {
            counts.fetch_add(TURNED_BACK, 1)?;
            continue;
        }
        // On the crossing. The lamp is looked at without a lock, as a bystander would.
        let before = lamp.get()?;
        std::thread::sleep(TURN / 4);
        if (before, lamp.get()?) != (GREEN, GREEN) {
            counts.fetch_add(AT_RED, 1)?;
        }
        counts.fetch_add(CROSSED, 1)?;
        laps += 1;
    }
    Ok(())
}
