//! A client: asks how many tickets are left, and tries to buy one, in one of several ways.

use crate::office::{Bought, Office, PAYING};
use examples::patience;
use ipc_core::Segment;
use ipc_process::{WorkResult, Worker};
use ipc_sync::{Event, Latch, LockError, Mutex, UpdateError, Value};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// What it takes to ask.
pub const ASKING: Duration = Duration::from_millis(3);

/// How the clients keep out of each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
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

pub fn buy_a_ticket(worker: &mut Worker) -> WorkResult {
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
            match count.try_update(patience(), |left| left.checked_sub(1))? {
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
