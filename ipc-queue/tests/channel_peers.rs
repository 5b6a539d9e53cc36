//! Channels and the fate of those at their ends: deaths, successors, forks.

mod common;

use common::forked::Forked;
use common::line::Line;
use common::{PATIENCE, until};
use ipc_core::{Error, Place, Wait};
use ipc_process::{Process, WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::channel::{Channel, End, OpenError, RecvError, RequestError, SendError};
use std::os::fd::OwnedFd;
use std::time::Duration;

const SCOPE: &str = "channel peers";
const SOON: Duration = Duration::from_millis(30);
const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

fn unnamed(capacity: usize, max_message: usize) -> Channel {
    Channel::create(Place::memfd("test"), capacity, max_message).unwrap()
}

fn take_end(channel: &Channel, end: &[u8]) -> Result<End, OpenError> {
    match end {
        b"first" => channel.first(),
        _ => channel.second(),
    }
}

/// Has an end until it is killed.
fn be_idle(worker: &mut Worker) -> WorkResult {
    let line = Line::over(worker.take_fd("line")?);
    let channel = Channel::open(worker.take_fd("channel")?)?;
    let _end = take_end(&channel, worker.params())?;
    line.say([1, 0]);
    line.obey();
    Ok(())
}

/// Receives one message, holds the next, sends two, has a third half written, and waits to be killed.
fn be_busy(worker: &mut Worker) -> WorkResult {
    let line = Line::over(worker.take_fd("line")?);
    let channel = Channel::open(worker.take_fd("channel")?)?;
    let mut end = take_end(&channel, worker.params())?;
    let (sending, receiving) = end.split();
    drop(receiving.take()?);
    let held = receiving.take()?;
    sending.send(b"one")?;
    sending.send(b"two")?;
    let mut half = sending.reserve(8)?;
    half.fill(0xBA);
    line.say([1, 0]);
    line.obey();
    drop((half, held));
    Ok(())
}

/// Receives a request and dies without a reply.
fn take_and_die(worker: &mut Worker) -> WorkResult {
    let mut end = Channel::open(worker.take_fd("channel")?)?.second()?;
    let line = Line::over(worker.take_fd("line")?);
    line.say([1, 0]);
    end.recv_into(&mut Vec::new())?;
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
    unreachable!("killed");
}

/// Looks at a request and dies without a reply.
fn look_and_die(worker: &mut Worker) -> WorkResult {
    let mut end = Channel::open(worker.take_fd("channel")?)?.second()?;
    let line = Line::over(worker.take_fd("line")?);
    line.say([1, 0]);
    let _held = end.take()?;
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
    unreachable!("killed");
}

fn become_worker() {
    run_if_worker(
        SCOPE,
        &[
            ("be idle", &be_idle),
            ("be busy", &be_busy),
            ("take and die", &take_and_die),
            ("look and die", &look_and_die),
        ],
    );
}

/// A worker that has said that it is where it should be.
fn start(test: &str, channel: &Channel, role: &str, end: &str) -> (Process, Line) {
    let (line, theirs) = Line::pair();
    let process = Process::builder(SCOPE, role)
        .under_test(test)
        .params(end.as_bytes())
        .fd("channel", channel.segment().descriptor().unwrap())
        .fd("line", OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    line.hear().expect("it lives");
    (process, line)
}

fn kill((mut process, _line): (Process, Line)) {
    process.kill().unwrap();
    let exit = process.join().unwrap();
    // Else it had ended by itself.
    assert_eq!(
        exit.status,
        ipc_process::ExitStatusKind::Signal(9),
        "{exit}"
    );
}

#[test]
fn an_end_belongs_to_a_process_as_long_as_it_lives() {
    become_worker();
    for (mine, theirs) in [("first", "second"), ("second", "first")] {
        let channel = unnamed(64, 8);
        let mut own = take_end(&channel, mine.as_bytes()).unwrap();
        own.send(b"for any").unwrap();
        let worker = start(test_name!(), &channel, "be idle", theirs);
        let error = take_end(&channel, theirs.as_bytes()).unwrap_err();
        let expected = worker.0.pid();
        assert!(
            matches!(&error, OpenError::EndTaken { end, pid, .. } if (*end, *pid) == (theirs, expected)),
            "{error}"
        );
        kill(worker);
        let mut successor = take_end(&channel, theirs.as_bytes()).unwrap();
        assert_eq!(&*successor.take().unwrap().unwrap(), b"for any");
    }
}

#[test]
fn a_dead_end_leaves_what_it_sent_and_what_it_had_not_received() {
    become_worker();
    for (mine, theirs) in [("first", "second"), ("second", "first")] {
        for wait in POLICIES {
            let channel = unnamed(256, 16);
            let mut own = take_end(&channel, mine.as_bytes()).unwrap();
            own.set_wait(wait);
            for message in ["received", "held", "waiting"] {
                own.send(message.as_bytes()).unwrap();
            }
            kill(start(test_name!(), &channel, "be busy", theirs));
            assert_eq!(&*own.take().unwrap().unwrap(), b"one");
            assert_eq!(&*own.take().unwrap().unwrap(), b"two");
            let told = own.recv_into_timeout(&mut Vec::new(), PATIENCE);
            assert!(matches!(told, Err(RecvError::PeerDied)), "{told:?}");
            let once = own.recv_into_timeout(&mut Vec::new(), SOON);
            assert!(matches!(once, Err(RecvError::TimedOut)), "{once:?}");
            // While there is room, for the successor.
            own.send(b"after").unwrap();
            let mut successor = take_end(&channel, theirs.as_bytes()).unwrap();
            for expected in ["held", "waiting", "after"] {
                assert_eq!(*successor.take().unwrap().unwrap(), *expected.as_bytes());
            }
            successor.send(b"three").unwrap();
            assert_eq!(&*own.take().unwrap().unwrap(), b"three");
        }
    }
}

#[test]
fn who_sends_without_enough_room_learns_of_the_death_once() {
    become_worker();
    for wait in POLICIES {
        let channel = unnamed(48, 24);
        let mut own = channel.first().unwrap();
        own.set_wait(wait);
        own.send(&[1; 16]).unwrap();
        kill(start(test_name!(), &channel, "be idle", "second"));
        let told = own.send_timeout(&[2; 24], PATIENCE);
        assert!(matches!(told, Err(SendError::PeerDied)), "{told:?}");
        for once in [
            own.send_timeout(&[2; 24], SOON),
            own.reserve_timeout(24, SOON).map(drop),
        ] {
            assert!(matches!(once, Err(SendError::TimedOut)), "{once:?}");
        }
        // By polling, and as a request.
        kill(start(test_name!(), &channel, "be idle", "second"));
        until("the death is told", || match own.try_send(&[2; 24]) {
            Err(SendError::PeerDied) => true,
            Err(SendError::Full) => false,
            other => panic!("{other:?}"),
        });
        kill(start(test_name!(), &channel, "be idle", "second"));
        let told = own.request_timeout(&[2; 24], &mut Vec::new(), PATIENCE);
        assert!(
            matches!(told, Err(RequestError::Send(SendError::PeerDied))),
            "{told:?}"
        );
    }
}

#[test]
fn a_request_whose_server_dies_ends_and_a_successor_answers_what_was_not_taken() {
    become_worker();
    for (role, left) in [("take and die", None), ("look and die", Some(b"first"))] {
        for wait in POLICIES {
            let channel = unnamed(256, 16);
            let mut client = channel.first().unwrap();
            client.set_wait(wait);
            let (mut process, _line) = start(test_name!(), &channel, role, "");
            let reply = &mut Vec::new();
            let told = client.request_timeout(b"first", reply, PATIENCE);
            assert!(
                matches!(told, Err(RequestError::Receive(RecvError::PeerDied))),
                "{told:?}"
            );
            process.join().unwrap();
            let mut server = channel.second().unwrap();
            if let Some(left) = left {
                assert_eq!(*server.take().unwrap().unwrap(), *left);
            }
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let question = server.take().unwrap().unwrap().to_vec();
                    server.send(&question).unwrap();
                });
                client.request_timeout(b"second", reply, PATIENCE).unwrap();
                assert_eq!(reply, b"second");
            });
        }
    }
}

#[test]
fn what_a_closed_end_sent_is_received_although_its_process_is_gone() {
    become_worker();
    let channel = unnamed(64, 8);
    let mut other = channel.first().unwrap();
    let mut closing = channel.second().unwrap();
    // The other's end dies, too, and its successor finds the same.
    closing.send(b"last").unwrap();
    closing.close().unwrap();
    drop(other.take().unwrap().unwrap());
    drop(other);
    kill(start(test_name!(), &channel, "be idle", "first"));
    let mut successor = channel.first().unwrap();
    assert!(successor.take().unwrap().is_none());
    assert!(matches!(successor.send(b"x"), Err(SendError::Closed)));
}

#[track_caller]
fn send_forked(result: Result<(), SendError>) {
    let forked = matches!(result, Err(SendError::Segment(Error::Forked { .. })));
    assert!(forked, "{result:?}");
}

#[track_caller]
fn recv_forked(result: Result<(), RecvError>) {
    let forked = matches!(result, Err(RecvError::Segment(Error::Forked { .. })));
    assert!(forked, "{result:?}");
}

#[test]
fn every_call_of_a_forked_child_is_refused_and_its_drops_do_nothing() {
    run_if_worker(
        "channel forks",
        &[("alone", &|_| {
            fork_with_both_ends();
            Ok(())
        })],
    );
    // A forked child has one thread only; so has this process.
    let mut process = Process::builder("channel forks", "alone")
        .under_test(test_name!())
        .spawn()
        .unwrap();
    let exit = process.join_timeout(PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}

fn fork_with_both_ends() {
    let channel = unnamed(256, 32);
    let (mut first, second) = (channel.first().unwrap(), channel.second().unwrap());
    first.send(b"before").unwrap();
    let mut ends = Some((first, second));
    let child = Forked::run(|| {
        let (mut first, mut second) = ends.take().unwrap();
        send_forked(first.try_send(b"x"));
        send_forked(first.send(b"x"));
        send_forked(first.send_timeout(b"x", SOON));
        send_forked(first.try_reserve(1).map(drop));
        send_forked(first.reserve(1).map(drop));
        send_forked(first.reserve_timeout(1, SOON).map(drop));
        let into = &mut Vec::new();
        recv_forked(second.try_recv_into(into).map(drop));
        recv_forked(second.recv_into(into).map(drop));
        recv_forked(second.recv_into_timeout(into, SOON).map(drop));
        recv_forked(second.try_take().map(drop));
        recv_forked(second.take().map(drop));
        recv_forked(second.take_timeout(SOON).map(drop));
        assert!(second.request(b"x", into).is_err());
        assert!(second.request_timeout(b"x", into, SOON).is_err());
        send_forked(first.close());
        drop(second);
        assert!(channel.first().is_err() && channel.second().is_err());
        0
    });
    assert_eq!(child.join(), Ok(0));
    let (mut first, mut second) = ends.take().unwrap();
    assert!(matches!(channel.first(), Err(OpenError::EndTaken { .. })));
    assert!(matches!(channel.second(), Err(OpenError::EndTaken { .. })));
    first.send(b"after").unwrap();
    assert_eq!(&*second.take().unwrap().unwrap(), b"before");
    assert_eq!(&*second.take().unwrap().unwrap(), b"after");
}
