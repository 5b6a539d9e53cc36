//! Questions and answers between two: over two pipes, a channel, and one queue for both directions.

use crate::{with, worker};
use examples::{Failure, Lesson};
use ipc_core::{Place, Segment};
use ipc_process::{WorkResult, Worker};
use ipc_queue::channel::Channel;
use ipc_queue::mpmc;
use ipc_sync::{Event, Reset};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::time::Duration;

const QUESTIONS: [&str; 3] = ["hello", "how are you?", "bye"];
const ANSWERS: [&str; 3] = ["HELLO", "HOW ARE YOU?", "BYE"];

pub fn pipes(lesson: &mut Lesson) -> Result<(), Failure> {
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
    lesson.expect("pipe_answers", answers, ANSWERS, "answered in turn");
    Ok(())
}

pub fn shout(worker: &mut Worker) -> WorkResult {
    let input = PipeReader::from(worker.take_fd("in")?);
    let mut output = PipeWriter::from(worker.take_fd("out")?);
    for line in BufReader::new(input).lines() {
        writeln!(output, "{}", line?.to_uppercase())?;
    }
    Ok(())
}

pub fn channel(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A channel: both directions in shared memory, no system call while both are busy");
    let channel = Channel::create(Place::memfd("questions"), 4096, 100)?;
    let mut end = channel.first()?;
    let mut shouter = worker("shout back")
        .fd("channel", channel.segment().descriptor()?)
        .spawn()?;
    let mut answers = Vec::new();
    for question in QUESTIONS {
        let mut answer = Vec::new();
        end.request(question.as_bytes(), &mut answer)?;
        answers.push(String::from_utf8(answer)?);
    }
    end.close()?;
    shouter.join()?.into_result()?;
    lesson.expect("channel_answers", answers, ANSWERS, "answered in turn");
    Ok(())
}

pub fn shout_back(worker: &mut Worker) -> WorkResult {
    let mut end = Channel::open(worker.take_fd("channel")?)?.second()?;
    let mut question = Vec::new();
    while end.recv_into(&mut question)?.is_some() {
        end.send(&question.to_ascii_uppercase())?;
    }
    Ok(())
}

pub fn one_queue_both_ways(lesson: &mut Lesson) -> Result<(), Failure> {
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

pub fn answer_late(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut rx = mpmc::Queue::<u64>::open_in(&segment, "queue")?.receiver()?;
    Event::open_in(&segment, "asked")?.wait()?;
    match rx.pop_timeout(Duration::from_millis(50)) {
        Err(mpmc::PopError::TimedOut) => Ok(worker.set_result(b"timed out")?),
        other => Err(format!("got {other:?}").into()),
    }
}
