//! Teaches the race for the last tickets: clients read a count, think, and write it back. Without a
//! lock they sell more than there is; with one around the buying, or all in turn, or with the count
//! in shared memory they do not, and neither when some are killed at it.
//!
//! `cargo run --release -p examples --example tickets -- --help`

use clap::Parser;
use examples::{Failure, Lesson, PATIENCE, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{Process, WorkResult, Worker, run_if_worker};
use ipc_sync::{Event, Latch, LockError, Mutex, Reset, UpdateError, Value};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Clients query all at once how many tickets are left and then race for them: without a lock, with a
/// lock around the buying, in turn by join, with the count in shared memory, and with some killed.
#[derive(Parser)]
#[command(name = "tickets")]
struct Options {
    /// Clients, each a process; more than there are tickets.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..=200))]
    clients: u32,
    /// Tickets.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=199))]
    tickets: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

/// How the clients keep out of each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    /// They do not.
    NoLock,
    /// One after another, by starting each when the one before is joined.
    Join,
    /// By a lock on the file, held while buying.
    FileLock,
    /// By our mutex, held while buying.
    Mutex,
    /// The count is no file, but a value in shared memory.
    SharedCount,
}

/// What it takes to ask, and to pay.
const ASKING: Duration = Duration::from_millis(3);
const PAYING: Duration = Duration::from_millis(1);
/// How often they race without a lock, if need be, until they oversell.
const TRIES: usize = 20;

fn main() -> ExitCode {
    run_if_worker("tickets", &[("client", &client)]);
    let options = Options::parse();
    Lesson::run("tickets", options.json, |lesson| {
        let (clients, tickets) = (options.clients, options.tickets);
        if clients <= tickets {
            return Err("there is no race: give more --clients than --tickets".into());
        }
        lesson.part(format_args!("{clients} clients, {tickets} tickets"));
        let mut sale = Sale::hold(Way::NoLock, clients, tickets, 0)?;
        for _ in 1..TRIES {
            if sale.bought.len() as u32 > tickets {
                break;
            }
            sale = Sale::hold(Way::NoLock, clients, tickets, 0)?;
        }
        let is_oversold = sale.bought.len() as u32 > tickets;
        sale.tell(lesson, "no_lock", is_oversold, "no lock: oversold");
        for (way, key, sentence) in [
            (Way::FileLock, "file_lock", "buying under a file lock"),
            (Way::Join, "join", "in turn by join"),
            (Way::Mutex, "mutex", "buying under our mutex"),
            (Way::SharedCount, "shared_count", "count in shared memory"),
        ] {
            let sale = Sale::hold(way, clients, tickets, 0)?;
            sale.tell(lesson, key, sale.is_exact(tickets), sentence);
            if way == Way::Join {
                let sentence = "then even the queries queue up: one at a time";
                lesson.expect("join_asked_at_once", sale.asked_at_once, 1, sentence);
            }
        }
        let kills = clients / 3 + 1;
        lesson.part(format_args!("{kills} of the clients are killed at it"));
        for (way, key, sentence) in [
            (Way::Mutex, "mutex_kills", "under our mutex"),
            (Way::SharedCount, "count_kills", "count in shared memory"),
        ] {
            let sale = Sale::hold(way, clients, tickets, kills)?;
            sale.tell(lesson, key, sale.is_exact(tickets), sentence);
        }
        Ok(())
    })
}

/// The JSON file. It is written by one call, within one page, so it is whole whoever is killed when.
#[derive(Serialize, Deserialize)]
struct Office {
    left: u32,
    buyers: Vec<u32>,
}

const FILE_LEN: usize = 1024;

impl Office {
    fn read(file: &File) -> Result<Self, Failure> {
        loop {
            let mut bytes = [0; FILE_LEN];
            file.read_exact_at(&mut bytes, 0)?;
            match serde_json::from_slice(&bytes) {
                Ok(office) => return Ok(office),
                // Who reads without a lock may meet half of a write.
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    fn write(&self, file: &File) -> Result<(), Failure> {
        let padded = format!("{:FILE_LEN$}", serde_json::to_string(self)?);
        Ok(file.write_all_at(padded.as_bytes(), 0)?)
    }

    /// What everybody does who buys: read, pay, write.
    fn buy(file: &File, buyer: u32) -> Result<Bought, Failure> {
        let mut office = Office::read(file)?;
        if office.left == 0 {
            return Ok(Bought::Nothing);
        }
        std::thread::sleep(PAYING);
        office.left -= 1;
        office.buyers.push(buyer);
        office.write(file)?;
        Ok(Bought::Ticket)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bought {
    Ticket,
    Nothing,
}

fn client(worker: &mut Worker) -> WorkResult {
    let (me, way): (u32, Way) = serde_json::from_slice(worker.params())?;
    let segment = Segment::open(worker.take_fd("segment")?)?;
    // Opened anew: file locks belong to an opening, and the one handed over is everybody's.
    let path = format!("/proc/self/fd/{}", worker.fd("file")?.as_raw_fd());
    let file = File::options().read(true).write(true).open(path)?;
    let mutex = Mutex::<()>::open_in(&segment, "mutex")?;
    let count = Value::<u32>::open_in(&segment, "left")?;
    let deaths = Value::<u32>::open_in(&segment, "deaths")?;
    let asking = Value::<u32>::open_in(&segment, "asking")?;
    let most_asking = Value::<u32>::open_in(&segment, "most asking")?;
    Latch::open_in(&segment, "ready")?.count_down(1)?;
    Event::open_in(&segment, "go")?.wait()?;

    most_asking.fetch_max(asking.fetch_add(1)? + 1)?;
    Office::read(&file)?;
    std::thread::sleep(ASKING);
    asking.fetch_sub(1)?;

    let bought = match way {
        Way::NoLock | Way::Join => Office::buy(&file, me)?,
        Way::FileLock => {
            file.lock()?; // Unlocked when the file is closed.
            Office::buy(&file, me)?
        }
        Way::Mutex => {
            let _lock = match mutex.lock() {
                // The file is whole: there is nothing to repair.
                Err(LockError::OwnerDied(lock)) => {
                    deaths.fetch_add(1)?;
                    lock.repaired()
                }
                other => other.map_err(UpdateError::from)?,
            };
            Office::buy(&file, me)?
        }
        Way::SharedCount => {
            std::thread::sleep(PAYING);
            match count.try_update(PATIENCE, |left| left.checked_sub(1))? {
                Ok(_) => Bought::Ticket,
                Err(_) => Bought::Nothing,
            }
        }
    };
    if bought == Bought::Ticket {
        worker.set_result(&[1])?;
    }
    Ok(())
}

/// What came of it.
struct Sale {
    way: Way,
    /// Who has a ticket, of those who live or have said so before they were killed.
    bought: Vec<u32>,
    left: u32,
    /// Who has a ticket, by the file.
    buyers: Vec<u32>,
    killed: u32,
    /// Those who live and got none.
    refused: u32,
    /// Times that a client found the mutex held by a dead one.
    deaths_noticed: u32,
    asked_at_once: u32,
    elapsed: Duration,
}

impl Sale {
    fn hold(way: Way, clients: u32, tickets: u32, kills: u32) -> Result<Self, Failure> {
        // It has no name, so that nobody has to remove it.
        let file = tempfile::tempfile()?;
        let office = Office {
            left: tickets,
            buyers: Vec::new(),
        };
        office.write(&file)?;
        let segment = Segment::builder(Place::memfd("tickets"))
            .participants(clients + 1)
            .create()?;
        Mutex::create_in(&segment, "mutex", ())?;
        let left = Value::create_in(&segment, "left", tickets)?;
        let deaths = Value::create_in(&segment, "deaths", 0u32)?;
        Value::create_in(&segment, "asking", 0u32)?;
        let most_asking = Value::create_in(&segment, "most asking", 0u32)?;
        let ready = Latch::create_in(&segment, "ready", clients)?;
        let go = Event::create_in(&segment, "go", Reset::Manual)?;

        let client = |index: usize| -> Result<_, Failure> {
            Ok(Process::builder("tickets", "client")
                .name(format!("client-{index}"))
                .params(serde_json::to_vec(&(index as u32, way))?)
                .fd("file", &file)
                .fd("segment", segment.descriptor()?))
        };
        let started = Instant::now();
        let mut crew = match way {
            Way::Join => {
                go.set()?;
                let one = |index| -> Result<Process, Failure> {
                    let mut client = client(index)?.spawn()?;
                    client.join()?;
                    Ok(client)
                };
                (0..clients as usize).map(one).collect::<Result<_, _>>()?
            }
            _ => {
                let crew = spawn_all(clients as usize, client)?;
                ready.wait_timeout(PATIENCE)?;
                go.set()?;
                crew
            }
        };
        for kill in 0..kills {
            // Within the time that asking and paying take.
            std::thread::sleep(Duration::from_micros(random(2 * 4000 / u64::from(kills))));
            crew[kill as usize].kill()?;
        }
        let mut bought = Vec::new();
        let mut refused = 0;
        for (index, client) in crew.iter_mut().enumerate() {
            let exit = client.join()?;
            if !exit.result.is_empty() {
                bought.push(index as u32);
            }
            if index as u32 >= kills && exit.into_result()?.is_empty() {
                refused += 1;
            }
        }
        let office = Office::read(&file)?;
        Ok(Self {
            way,
            bought,
            left: match way {
                Way::SharedCount => left.get()?,
                _ => office.left,
            },
            buyers: office.buyers,
            killed: kills,
            refused,
            deaths_noticed: deaths.get()?,
            asked_at_once: most_asking.get()?,
            elapsed: started.elapsed(),
        })
    }

    /// Never oversold: those who have a ticket, those who were killed before they could say so, and
    /// what is left make up all. And nobody was refused while there was one.
    fn is_exact(&self, tickets: u32) -> bool {
        let sold = tickets - self.left.min(tickets);
        let told = self.bought.len() as u32;
        let mut buyers = self.buyers.clone();
        buyers.sort_unstable();
        buyers.dedup();
        let is_file_right = self.way == Way::SharedCount
            || buyers.len() == sold as usize
                && self.buyers.len() == sold as usize
                && self.bought.iter().all(|buyer| buyers.contains(buyer));
        let is_fair = self.left == 0 || self.refused == 0;
        let is_sum_right = (told..=told + self.killed).contains(&sold);
        self.left <= tickets && is_sum_right && is_file_right && is_fair
    }

    fn tell(&self, lesson: &mut Lesson, key: &str, is_right: bool, sentence: &str) {
        let sentence = format!(
            "{sentence}: {} have a ticket, {} left; {:.0?}, {} asked at once",
            self.bought.len(),
            self.left,
            self.elapsed,
            self.asked_at_once
        );
        lesson.note(&format!("{key}_left"), self.left);
        lesson.note(&format!("{key}_seconds"), self.elapsed.as_secs_f64());
        lesson.note(&format!("{key}_deaths_noticed"), self.deaths_noticed);
        lesson.check(key, self.bought.len(), is_right, sentence);
    }
}

/// A number below `end`, at least 0.
fn random(end: u64) -> u64 {
    RandomState::new().hash_one(0) % end.max(1)
}
