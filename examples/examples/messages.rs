//! Teaches messages in both directions: over a pair of pipes, over a pair of rings in shared memory,
//! over one queue used both ways (which goes wrong), and a server with many clients, one of which is
//! killed.
//!
//! `cargo run --release -p examples --example messages -- --help`

use clap::Parser;
use examples::{Failure, Lesson, PATIENCE, join_all, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{Builder, Process, WorkResult, Worker, run_if_worker};
use ipc_queue::{mpmc, spsc};
use ipc_sync::{Event, Reset};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Questions and answers between processes: over pipes, rings, one queue both ways, and with a server.
#[derive(Parser)]
#[command(name = "messages")]
struct Options {
    /// Clients of the server; the first one is killed.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=50))]
    clients: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

const QUESTIONS: [&str; 3] = ["hello", "how are you?", "bye"];
/// Requests of each client.
const REQUESTS: u64 = 100;

fn main() -> ExitCode {
    run_if_worker(
        "messages",
        &[
            ("shout", &shout),
            ("square", &square),
            ("late", &answer_late),
            ("server", &serve),
            ("client", &ask),
            ("silent client", &ask_and_fall_silent),
        ],
    );
    let options = Options::parse();
    Lesson::run("messages", options.json, |lesson| {
        pipes(lesson)?;
        rings(lesson)?;
        one_queue_both_ways(lesson)?;
        server(lesson, options.clients)
    })
}

fn worker(role: &str) -> Builder {
    Process::builder("messages", role)
}

fn with(segment: &Segment, role: &str) -> Result<Builder, Failure> {
    Ok(worker(role).fd("segment", segment.descriptor()?))
}

fn pipes(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A pair of pipes: bytes, each direction its own");
    let (their_in, mut there) = std::io::pipe()?;
    let (back, their_out) = std::io::pipe()?;
    // Given away by value: once the worker ends, nobody has their ends, and reading ends too.
    let mut shouter = worker("shout")
        .fd("in", their_in)
        .fd("out", their_out)
        .spawn()?;
    let mut back = BufReader::new(back).lines();
    let mut answers = Vec::new();
    for question in QUESTIONS {
        writeln!(there, "{question}")?;
        answers.push(back.next().ok_or("no answer")??);
        lesson.say(format_args!("{question} -> {}", answers[answers.len() - 1]));
    }
    drop(there);
    shouter.join()?.into_result()?;
    let expected = ["HELLO", "HOW ARE YOU?", "BYE"];
    lesson.expect("pipe_answers", answers, expected, "answered in turn");
    Ok(())
}

fn shout(worker: &mut Worker) -> WorkResult {
    let input = PipeReader::from(worker.take_fd("in")?);
    let mut output = PipeWriter::from(worker.take_fd("out")?);
    for line in BufReader::new(input).lines() {
        writeln!(output, "{}", line?.to_uppercase())?;
    }
    Ok(())
}

fn rings(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A pair of rings: values in shared memory, no system call while both are busy");
    let segment = Segment::create(Place::memfd("rings"), 1 << 16)?;
    let mut there = spsc::Ring::create_in(&segment, "there", 8)?.producer()?;
    let mut back = spsc::Ring::<u64>::create_in(&segment, "back", 8)?.consumer()?;
    let mut squarer = with(&segment, "square")?.spawn()?;
    let mut answers = Vec::new();
    for question in [3u64, 4, 5] {
        there.push(question)?;
        answers.extend(back.pop()?);
    }
    there.close()?;
    let is_ended = back.pop()?.is_none();
    squarer.join()?.into_result()?;
    lesson.expect("ring_answers", answers, [9, 16, 25], "answered in turn");
    let sentence = "the end of one direction led to that of the other";
    lesson.expect("ring_ended", is_ended, true, sentence);
    Ok(())
}

fn square(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut questions = spsc::Ring::<u64>::open_in(&segment, "there")?.consumer()?;
    let mut answers = spsc::Ring::<u64>::open_in(&segment, "back")?.producer()?;
    while let Some(number) = questions.pop()? {
        answers.push(number * number)?;
    }
    Ok(answers.close()?)
}

fn one_queue_both_ways(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("One queue for both directions: it does not know whom a message is for");
    let segment = Segment::create(Place::memfd("both ways"), 1 << 20)?;
    let queue = mpmc::Queue::create_in(&segment, "queue", 8)?;
    let asked = Event::create_in(&segment, "asked", Reset::Manual)?;
    let mut late = with(&segment, "late")?.spawn()?;
    let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    tx.push(7u64)?;
    // Now for the answer. The other one is a little slow, as it may be at any time.
    let answer = rx.pop()?;
    asked.set()?;
    let sentence = "the answer to 7 was to be 49: it got its own question";
    lesson.expect("both_ways_answer", answer, Some(7), sentence);
    let told = String::from_utf8(late.join()?.into_result()?)?;
    let sentence = "and the other one waits for a question that is gone";
    lesson.expect("both_ways_other", told, "timed out", sentence);
    lesson.say("A queue for each direction, or for each receiver, is the way.");
    Ok(())
}

fn answer_late(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut rx = mpmc::Queue::<u64>::open_in(&segment, "queue")?.receiver()?;
    Event::open_in(&segment, "asked")?.wait()?;
    match rx.pop_timeout(Duration::from_millis(50)) {
        Err(mpmc::PopError::TimedOut) => Ok(worker.set_result(b"timed out")?),
        other => Err(format!("got {other:?}").into()),
    }
}

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

fn server(lesson: &mut Lesson, clients: u32) -> Result<(), Failure> {
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
    asked.wait_timeout(PATIENCE)?;
    silent.kill()?;
    silent.join()?;
    let is_told = death.wait_timeout(PATIENCE).is_ok();
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

fn serve(worker: &mut Worker) -> WorkResult {
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

fn ask(worker: &mut Worker) -> WorkResult {
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

fn ask_and_fall_silent(worker: &mut Worker) -> WorkResult {
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
