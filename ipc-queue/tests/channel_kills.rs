//! Both ends of a channel killed at random moments, hundreds of them, while one asks and the other
//! answers.
//!
//! Request `n` says `n`, and its length is made of its number; the reply is the same backwards. The
//! client writes the number of each reply into a ledger, which the test reads, and its successor asks
//! again for the first that is not in it. So the ledger has every number once if and only if each
//! request that a dead client or server left is answered in the end, and none by another's reply.

mod common;

use common::bytes::{len_of, number_of, record};
use common::from_env;
use common::kills::{self, LAST, Stage, say_ready, wait_of};
use ipc_core::{Place, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::channel::{Channel, End, RecvError, RequestError, SendError};
use ipc_queue::spsc::Ring;

/// How the server works.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Receives, then answers: what it has received is lost with it, and the client asks again.
    ReceiveFirst,
    /// Answers while it holds the request: its successor answers it, perhaps a second time.
    AnswerFirst,
}

const MODES: [Mode; 2] = [Mode::ReceiveFirst, Mode::AnswerFirst];

fn question(number: u64, most: usize) -> Vec<u8> {
    record(number, len_of(number, 8, most))
}

/// A request behind which the server never waits for room: what is under way fits into an empty
/// direction, and a dead client may have left this one full.
fn request(end: &mut End, question: &[u8], reply: &mut Vec<u8>) -> Result<usize, RequestError> {
    while let Ok(Some(stale)) = end.try_take() {
        drop(stale);
    }
    end.request(question, reply)
}

/// Asks until the reply comes. Replies to what was asked before are older.
fn ask(end: &mut End, number: u64) -> Result<(), RequestError> {
    let question = question(number, end.max_message());
    let mut reply = Vec::new();
    let mut asked = request(end, &question, &mut reply);
    loop {
        match asked {
            Ok(_) => {
                reply.reverse();
                let answers = number_of(&reply);
                assert!(answers <= number, "nobody has asked for {answers} yet");
                if answers == number {
                    assert_eq!(reply, question);
                    return Ok(());
                }
                asked = end
                    .recv_into(&mut reply)
                    .map_err(RequestError::Receive)
                    .and_then(|len| len.ok_or(RequestError::Closed));
            }
            // The request may be lost with the server, or not.
            Err(
                RequestError::Receive(RecvError::PeerDied)
                | RequestError::Send(SendError::PeerDied),
            ) => asked = request(end, &question, &mut reply),
            Err(error) => return Err(error),
        }
    }
}

fn produce(worker: &mut Worker) -> WorkResult {
    let (_, last) = kills::params(worker);
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut client = Channel::open_in(&segment, "channel")?.first()?;
    let ledger = Ring::<u64>::open_in(&segment, "ledger")?;
    let mut book = ledger.producer()?;
    client.set_wait(wait_of(std::process::id()));
    let mut next = ledger.pushed()?;
    let end = next + LAST;
    say_ready(worker)?;
    while !last || next < end {
        ask(&mut client, next)?;
        book.push(next)?;
        next += 1;
    }
    book.close()?;
    Ok(client.close()?)
}

/// Sends to whoever is the client, now or later.
fn answer(
    mut question: Vec<u8>,
    mut send: impl FnMut(&[u8]) -> Result<(), SendError>,
) -> Result<(), SendError> {
    number_of(&question);
    question.reverse();
    loop {
        match send(&question) {
            Err(SendError::PeerDied) => {}
            // Of what nobody waits for any more.
            Err(SendError::Closed) => return Ok(()),
            other => return other,
        }
    }
}

fn consume(worker: &mut Worker) -> WorkResult {
    let (mode, _) = kills::params(worker);
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut server = Channel::open_in(&segment, "channel")?.second()?;
    server.set_wait(wait_of(std::process::id()));
    say_ready(worker)?;
    loop {
        let (sending, receiving) = server.split();
        let mut bytes = Vec::new();
        let answered = match MODES[mode] {
            Mode::ReceiveFirst => receiving
                .recv_into(&mut bytes)
                .map(|len| len.map(|_| answer(bytes, |it| sending.send(it)))),
            Mode::AnswerFirst => receiving
                .take()
                .map(|held| held.map(|question| answer(question.to_vec(), |it| sending.send(it)))),
        };
        match answered {
            Ok(Some(sent)) => sent?,
            Ok(None) => return Ok(()),
            Err(RecvError::PeerDied) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[test]
fn every_request_is_answered_by_its_own_reply_whoever_is_killed() {
    run_if_worker(
        "channel kills",
        &[("produce", &produce), ("consume", &consume)],
    );
    let kills = from_env("IPC_QUEUE_KILLS", 200);
    for (seed, (mode, (capacity, max_message))) in (1..).zip([
        (Mode::ReceiveFirst, (208, 200)),
        (Mode::AnswerFirst, (208, 200)),
        (Mode::AnswerFirst, (5000, 400)),
    ]) {
        let size =
            Channel::size_for(capacity, max_message).unwrap() + Ring::<u64>::size_for(64).unwrap();
        let segment = Segment::create(Place::memfd("kills"), size).unwrap();
        Channel::create_in(&segment, "channel", capacity, max_message).unwrap();
        let book = Ring::<u64>::create_in(&segment, "ledger", 64).unwrap();
        let stage = Stage {
            segment: &segment,
            scope: "channel kills",
            test: test_name!(),
            mode: MODES.iter().position(|&it| it == mode).unwrap(),
            most_held: 0,
        };
        let (ledger, at_work) = stage.run(&book, || book.pushed().unwrap(), kills, seed);
        ledger.check(book.pushed().unwrap(), at_work, kills);
        assert_eq!((ledger.missing, ledger.repeated), (0, 0), "{ledger:?}");
    }
}
