//! A server and its clients: one queue of requests, a ring of replies for each client.

use crate::with;
use examples::{Failure, Lesson, join_all, patience, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{WorkResult, Worker};
use ipc_queue::{mpmc, spsc};
use ipc_sync::{Event, Reset};

/// Requests of each client.
const REQUESTS: u64 = 100;

/// Who asks, and what.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Request {
    client: u64,
    number: u64,
}

fn reply_to(client: u64) -> String {
    format!("reply to {client}")
}

pub fn many_clients(lesson: &mut Lesson, clients: u32) -> Result<(), Failure> {
    lesson.part(format_args!(
        "A server and {clients} clients: one queue of requests, a ring of replies for each"
    ));
    let segment = Segment::create(Place::memfd("server"), 1 << 20)?;
    let requests = mpmc::Queue::<Request>::create_in(&segment, "requests", 16)?;
    for client in 0..clients.into() {
        spsc::Ring::<u64>::create_in(&segment, &reply_to(client), 1)?;
    }
    let asked = Event::create_in(&segment, "silent client has asked", Reset::Manual)?;
    let death = Event::create_in(&segment, "all clients dead", Reset::Manual)?;
    let mut server = with(&segment, "server")?
        .params(u64::from(clients).to_ne_bytes())
        .spawn()?;
    let client = |role: &str, index: usize| -> Result<_, Failure> {
        let number = (index as u64).to_ne_bytes();
        Ok(with(&segment, role)?
            .name(format!("client-{index}"))
            .params(number))
    };
    let mut silent = client("silent client", 0)?.spawn()?;
    asked.wait_timeout(patience())?;
    silent.kill()?;
    silent.join()?;
    let is_told = death.wait_timeout(patience()).is_ok();
    let sentence = "the only client was killed: the server is told, and stays";
    lesson.expect("server_told", is_told, true, sentence);

    let mut others = spawn_all(clients as usize - 1, |index| client("client", index + 1))?;
    // Each client checks its answers, and fails if one is wrong.
    let answered = join_all(&mut others)?.len();
    lesson.note("clients", clients);
    let sentence = "clients have all their answers";
    lesson.expect("clients_served", answered as u32, clients - 1, sentence);
    requests.close()?;
    let served = server.join()?.into_result()?;
    let served = u64::from_ne_bytes(served.as_slice().try_into()?);
    let expected = u64::from(clients - 1) * REQUESTS + 1;
    lesson.expect("requests_served", served, expected, "requests answered");
    Ok(())
}

pub fn serve(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let clients = u64::from_ne_bytes(worker.params().try_into()?);
    let mut requests = mpmc::Queue::<Request>::open_in(&segment, "requests")?.receiver()?;
    let death = Event::open_in(&segment, "all clients dead")?;
    let mut replies = Vec::new();
    for client in 0..clients {
        replies.push(spsc::Ring::<u64>::open_in(&segment, &reply_to(client))?.producer()?);
    }
    let mut served = 0u64;
    loop {
        let Request { client, number } = match requests.pop() {
            Ok(Some(request)) => request,
            Ok(None) => break,
            // Said once when the last client is gone and one was killed. Others may come: when this
            // ends is for the parent to say.
            Err(mpmc::PopError::ProducersDied) => {
                death.set()?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let reply = replies.get_mut(client as usize).ok_or("unknown client")?;
        // A client has one question at a time, so there is room, also if it is dead by now.
        reply.try_push(number * number)?;
        served += 1;
    }
    Ok(worker.set_result(&served.to_ne_bytes())?)
}

pub fn ask(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let client = u64::from_ne_bytes(worker.params().try_into()?);
    let mut requests = mpmc::Queue::open_in(&segment, "requests")?.sender()?;
    let mut replies = spsc::Ring::<u64>::open_in(&segment, &reply_to(client))?.consumer()?;
    for number in client * REQUESTS..(client + 1) * REQUESTS {
        requests.push(Request { client, number })?;
        let reply = replies.pop()?;
        if reply != Some(number * number) {
            return Err(format!("{number} squared is said to be {reply:?}").into());
        }
    }
    Ok(())
}

pub fn ask_and_fall_silent(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let client = u64::from_ne_bytes(worker.params().try_into()?);
    let mut requests = mpmc::Queue::open_in(&segment, "requests")?.sender()?;
    let number = 1;
    requests.push(Request { client, number })?;
    Event::open_in(&segment, "silent client has asked")?.set()?;
    loop {
        std::thread::park();
    }
}
