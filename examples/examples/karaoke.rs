//! Teaches the semaphore: so many may be inside at once and no more, and who is killed inside gives
//! the place back.
//!
//! `cargo run --release -p examples --example karaoke -- --help`

use clap::Parser;
use examples::{Failure, Lesson, join_all, patience, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{Builder, Process, WorkResult, Worker, run_if_worker};
use ipc_sync::{AcquireError, Latch, Semaphore, Value};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Many guests, a few karaoke rooms: a semaphore lets no more in than there are rooms, and a room
/// whose guest is killed is free again.
#[derive(Parser)]
#[command(name = "karaoke")]
struct Options {
    /// Guests, each a process; at least as many as rooms.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(4..=100))]
    guests: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

const ROOMS: u32 = 4;
const SONGS: u32 = 2;
const SONG: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    run_if_worker("karaoke", &[("guest", &sing), ("sleeper", &fall_asleep)]);
    let options = Options::parse();
    Lesson::run("karaoke", options.json, |lesson| {
        evening(lesson, options.guests)?;
        killed_inside(lesson)
    })
}

fn guest(role: &str, segment: &Segment) -> Result<Builder, Failure> {
    Ok(Process::builder("karaoke", role).fd("segment", segment.descriptor()?))
}

/// The house: a segment with the rooms in it, and with what counts the guests.
fn open_house(guests: u32) -> Result<(Segment, Semaphore), Failure> {
    let segment = Segment::builder(Place::memfd("karaoke"))
        .participants(guests + 1)
        .create()?;
    let rooms = Semaphore::create_in(&segment, "rooms", ROOMS)?;
    Latch::create_in(&segment, "all rooms taken", ROOMS)?;
    for count in ["inside", "most inside", "songs"] {
        Value::create_in(&segment, count, 0u32)?;
    }
    Ok((segment, rooms))
}

fn count(segment: &Segment, name: &str) -> Result<Value<u32>, Failure> {
    Ok(Value::open_in(segment, name)?)
}

fn evening(lesson: &mut Lesson, guests: u32) -> Result<(), Failure> {
    lesson.part(format_args!("{guests} guests, {ROOMS} rooms"));
    let (segment, rooms) = open_house(guests)?;
    join_all(&mut spawn_all(guests as usize, |_| {
        guest("guest", &segment)
    })?)?;
    // The guests count themselves, without asking the semaphore.
    let most = count(&segment, "most inside")?.get()?;
    lesson.expect("most_inside", most, ROOMS, "all rooms in use, never more");
    let songs = count(&segment, "songs")?.get()?;
    lesson.expect("songs", songs, guests * SONGS, "everybody has sung");
    let free = rooms.available()?;
    lesson.expect("free_at_the_end", free, ROOMS, "all rooms are free again");
    Ok(())
}

fn sing(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let rooms = Semaphore::open_in(&segment, "rooms")?;
    let all_taken = Latch::open_in(&segment, "all rooms taken")?;
    let (inside, most) = (count(&segment, "inside")?, count(&segment, "most inside")?);
    let songs = count(&segment, "songs")?;
    for _ in 0..SONGS {
        let _room = rooms.acquire()?; // Given back at the end of each round.
        most.fetch_max(inside.fetch_add(1)? + 1)?;
        // The first ones wait for each other, so that all rooms are in use at once.
        all_taken.count_down(1)?;
        all_taken.wait()?;
        std::thread::sleep(SONG);
        songs.fetch_add(1)?;
        inside.fetch_sub(1)?;
    }
    Ok(())
}

fn killed_inside(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("One of those inside is killed");
    let (segment, rooms) = open_house(ROOMS)?;
    let mut sleepers = spawn_all(ROOMS as usize, |_| guest("sleeper", &segment))?;
    Latch::open_in(&segment, "all rooms taken")?.wait_timeout(patience())?;
    let is_full = matches!(rooms.try_acquire(), Err(AcquireError::NoPermits));
    lesson.expect("full", is_full, true, "all rooms are taken, for ever");

    sleepers[0].kill()?;
    let killed = Instant::now();
    let room = rooms.acquire_timeout(patience())?;
    lesson.note("seconds_until_free", killed.elapsed().as_secs_f64());
    let sentence = format!("its room came back after {:.1?}", killed.elapsed());
    lesson.expect("came_back", room.count(), 1, sentence);
    let is_full = matches!(rooms.try_acquire(), Err(AcquireError::NoPermits));
    lesson.expect("full_again", is_full, true, "that one, and no other");
    Ok(())
}

fn fall_asleep(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let rooms = Semaphore::open_in(&segment, "rooms")?;
    let _room = rooms.acquire()?;
    Latch::open_in(&segment, "all rooms taken")?.count_down(1)?;
    loop {
        std::thread::park();
    }
}
