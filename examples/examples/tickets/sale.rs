//! A sale: the clients race, and the tickets are counted afterwards.

use crate::client::{ASKING, Way};
use crate::office::{Office, PAYING};
use examples::{Failure, Lesson, patience, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{ExitStatusKind, Process};
use ipc_sync::{Event, Latch, Mutex, Reset, Value};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// What came of it.
pub struct Sale {
    way: Way,
    /// Who has a ticket, of those who live or have said so before they were killed.
    pub bought: Vec<u32>,
    left: u32,
    /// Who has a ticket, by the file.
    buyers: Vec<u32>,
    /// Those who had not come to their end when they were killed.
    pub killed: u32,
    /// Those who live and got none.
    refused: u32,
    /// Times that a client found the mutex held by a dead one.
    deaths_noticed: u32,
    pub asked_at_once: u32,
    elapsed: Duration,
}

impl Sale {
    pub fn hold(way: Way, clients: u32, tickets: u32, kills: u32) -> Result<Self, Failure> {
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
                ready.wait_timeout(patience())?;
                go.set()?;
                crew
            }
        };
        for kill in 0..kills {
            // All within about the time that asking, and buying in turn, take.
            let race = ASKING + PAYING * tickets;
            std::thread::sleep(random_part_of(race * 2 / kills));
            crew[kill as usize].kill()?;
        }
        let mut bought = Vec::new();
        let (mut killed, mut refused) = (0, 0);
        for (index, client) in crew.iter_mut().enumerate() {
            let exit = client.join()?;
            if !exit.result.is_empty() {
                bought.push(index as u32);
            }
            if exit.status == ExitStatusKind::Signal(9) {
                killed += 1;
            } else if exit.into_result()?.is_empty() {
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
            killed,
            refused,
            deaths_noticed: deaths.get()?,
            asked_at_once: most_asking.get()?,
            elapsed: started.elapsed(),
        })
    }

    /// Never oversold: those who have a ticket, those who were killed before they could say so, and
    /// what is left make up all. And nobody was refused while there was one.
    pub fn is_exact(&self, tickets: u32) -> bool {
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

    pub fn tell(&self, lesson: &mut Lesson, key: &str, is_right: bool, sentence: &str) {
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

fn random_part_of(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) as u32;
    time.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
