//! Byte rings and the fate of those who use them: roles, deaths, successors, forks, sleepers.

mod common;

use common::bytes::{record, unnamed};
use common::forked::Forked;
use common::line::Line;
use common::raw::Raw;
use common::until;
use ipc_core::{Error, Wait};
use ipc_process::{Process, WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use ipc_queue::spsc::{OpenError, PopError, PushError};
use std::os::fd::OwnedFd;
use std::time::Duration;

const SCOPE: &str = "byte peers";
const SOON: Duration = Duration::from_millis(30);
const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

/// Pushes three records, leaves a fourth reserved, and waits to be killed.
fn leave_one_reserved(worker: &mut Worker) -> WorkResult {
    let line = Line::over(worker.take_fd("line")?);
    let mut tx = ByteRing::open(worker.take_fd("ring")?)?.producer()?;
    for number in 0..3 {
        tx.push(&record(number, 16))?;
    }
    let mut guard = tx.reserve(20)?;
    guard.fill(0xBA);
    let mut batch = tx.batch();
    batch.try_push(&[0xBA; 16])?;
    line.say([1, 0]);
    line.obey();
    batch.commit()?;
    Ok(())
}

/// Takes one record, holds the next two, and waits to be killed.
fn hold_two(worker: &mut Worker) -> WorkResult {
    let line = Line::over(worker.take_fd("line")?);
    let mut rx = ByteRing::open(worker.take_fd("ring")?)?.consumer()?;
    drop(rx.take()?);
    let held = rx.take_batch(2)?;
    line.say([held.as_ref().map_or(0, |it| it.len() as u64), 0]);
    line.obey();
    drop(held);
    Ok(())
}

/// Has a role for as long as the line holds.
fn be_idle(worker: &mut Worker) -> WorkResult {
    let line = Line::over(worker.take_fd("line")?);
    let ring = ByteRing::open(worker.take_fd("ring")?)?;
    let _roles = match worker.params() {
        b"producer" => (Some(ring.producer()?), None),
        _ => (None, Some(ring.consumer()?)),
    };
    line.say([1, 0]);
    line.obey();
    Ok(())
}

fn become_worker() {
    run_if_worker(
        SCOPE,
        &[
            ("leave one reserved", &leave_one_reserved),
            ("hold two", &hold_two),
            ("be idle", &be_idle),
        ],
    );
}

/// A worker that has said that it is where it should be.
fn start(test: &str, ring: &ByteRing, role: &str, params: &str) -> (Process, Line) {
    let (line, theirs) = Line::pair();
    let process = Process::builder(SCOPE, role)
        .under_test(test)
        .params(params.as_bytes())
        .fd("ring", ring.segment().descriptor().unwrap())
        .fd("line", OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    assert!(line.hear().expect("it lives")[0] > 0);
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
fn each_role_has_one_owner_at_a_time() {
    become_worker();
    let ring = unnamed(64, 16);
    let same = ByteRing::open(ring.segment().descriptor().unwrap()).unwrap();
    let refused = |error: OpenError, expected: &str, by: u32| {
        assert!(
            matches!(&error, OpenError::RoleTaken { role, pid, .. } if (*role, *pid) == (expected, by)),
            "{error}"
        );
    };
    let (tx, rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for ring in [&ring, &same] {
        refused(ring.producer().unwrap_err(), "producer", std::process::id());
        refused(ring.consumer().unwrap_err(), "consumer", std::process::id());
    }
    drop((tx, rx));
    for role in ["producer", "consumer"] {
        let worker = start(test_name!(), &ring, "be idle", role);
        let pid = worker.0.pid();
        match role {
            "producer" => refused(ring.producer().unwrap_err(), role, pid),
            _ => refused(ring.consumer().unwrap_err(), role, pid),
        }
        kill(worker);
        match role {
            "producer" => drop(ring.producer().unwrap()),
            _ => drop(ring.consumer().unwrap()),
        }
    }
}

#[test]
fn a_dead_producer_leaves_what_it_committed_and_its_successor_goes_on() {
    become_worker();
    for wait in POLICIES {
        let ring = unnamed(256, 20);
        let mut rx = ring.consumer().unwrap();
        rx.set_wait(wait);
        kill(start(test_name!(), &ring, "leave one reserved", ""));
        for number in 0..3 {
            assert_eq!(*rx.take().unwrap().unwrap(), record(number, 16));
        }
        let told = rx.pop_into_timeout(&mut Vec::new(), common::PATIENCE);
        assert!(matches!(told, Err(PopError::ProducerDied)), "{told:?}");
        let once = rx.pop_into_timeout(&mut Vec::new(), SOON);
        assert!(matches!(once, Err(PopError::TimedOut)), "{wait:?} {once:?}");
        let mut tx = ring.producer().unwrap();
        tx.push(b"the next").unwrap();
        tx.close().unwrap();
        assert_eq!(&*rx.take().unwrap().unwrap(), b"the next");
        assert!(rx.take().unwrap().is_none());
    }
}

#[test]
fn what_a_dead_consumer_held_is_its_successors() {
    become_worker();
    let ring = unnamed(256, 20);
    let mut tx = ring.producer().unwrap();
    for number in 0..4 {
        tx.push(&record(number, 20)).unwrap();
    }
    kill(start(test_name!(), &ring, "hold two", ""));
    let mut rx = ring.consumer().unwrap();
    for number in 1..4 {
        assert_eq!(*rx.take().unwrap().unwrap(), record(number, 20));
    }
}

#[test]
fn a_producer_without_enough_room_learns_of_the_consumers_death_once() {
    become_worker();
    for wait in POLICIES {
        let ring = unnamed(64, 40);
        let mut tx = ring.producer().unwrap();
        tx.set_wait(wait);
        // Some room is left, and not enough.
        tx.push(&[1; 24]).unwrap();
        kill(start(test_name!(), &ring, "be idle", "consumer"));
        let told = tx.push_timeout(&[2; 40], common::PATIENCE);
        assert!(matches!(told, Err(PushError::ConsumerDied)), "{told:?}");
        for refused in [
            tx.push_timeout(&[2; 40], SOON),
            tx.reserve_timeout(40, SOON).map(drop),
            tx.push_batch_timeout(&[[2; 40]], SOON).map(drop),
        ] {
            assert!(
                matches!(refused, Err(PushError::TimedOut)),
                "{wait:?} {refused:?}"
            );
        }
        tx.push(&[3; 24]).unwrap();
        // By polling too.
        kill(start(test_name!(), &ring, "be idle", "consumer"));
        until("the death is told", || match tx.try_push(&[]) {
            Err(PushError::ConsumerDied) => true,
            Err(PushError::Full) => false,
            other => panic!("{other:?}"),
        });
        let mut rx = ring.consumer().unwrap();
        assert_eq!(*rx.take().unwrap().unwrap(), [1; 24]);
        assert_eq!(*rx.take().unwrap().unwrap(), [3; 24]);
    }
}

/// A lost wake would only make a sleeper late, as it looks for itself after a while. So this looks
/// whether the bell on which it sleeps was rung. The sleeper may be at the end of a slice, about to
/// lie down again; not every time.
#[track_caller]
fn rung(mut attempt: impl FnMut() -> bool) {
    assert!((0..20).any(|_| attempt()));
}

#[test]
fn every_form_of_publishing_wakes_who_sleeps() {
    let forms: [fn(ByteProducer); 7] = [
        |mut tx| tx.try_push(b"it").unwrap(),
        |mut tx| tx.push(b"it").unwrap(),
        |mut tx| tx.push_timeout(b"it", SOON).unwrap(),
        |mut tx| tx.push_batch(&["it"]).unwrap(),
        |mut tx| {
            let mut guard = tx.reserve(5).unwrap();
            guard[..2].copy_from_slice(b"it");
            guard.commit(2).unwrap();
        },
        |mut tx| {
            let mut batch = tx.batch();
            batch.try_push(b"it").unwrap();
            batch.commit().unwrap();
        },
        |tx| tx.close().unwrap(),
    ];
    for (form, publish) in forms.into_iter().enumerate() {
        rung(|| {
            let ring = unnamed(64, 16);
            let mut rx = ring.consumer().unwrap();
            rx.set_wait(Wait::Park);
            let tx = ring.producer().unwrap();
            let raw = Raw::first_of(ring.segment());
            std::thread::scope(|scope| {
                let popped = scope.spawn(|| rx.take().unwrap().map(|it| it.to_vec()));
                until("the consumer sleeps", || raw.consumer_sleeps());
                publish(tx);
                let rung = !raw.consumer_sleeps();
                let expected = (form != 6).then(|| b"it".to_vec());
                assert_eq!(popped.join().unwrap(), expected, "{form}");
                rung
            })
        });
    }
}

#[test]
fn every_form_of_taking_wakes_who_sleeps() {
    let forms: [fn(&mut ByteConsumer); 4] = [
        |rx| assert_eq!(rx.pop_into(&mut Vec::new()).unwrap(), Some(16)),
        |rx| assert_eq!(rx.pop_into(&mut [0; 16]).unwrap(), Some(16)),
        |rx| drop(rx.take().unwrap()),
        |rx| drop(rx.take_batch(1).unwrap()),
    ];
    for take in forms {
        rung(|| {
            let ring = unnamed(48, 16);
            let mut rx = ring.consumer().unwrap();
            let mut tx = ring.producer().unwrap();
            tx.set_wait(Wait::Park);
            tx.push(&[1; 16]).unwrap();
            tx.push(&[2; 16]).unwrap();
            let raw = Raw::first_of(ring.segment());
            std::thread::scope(|scope| {
                let pushed = scope.spawn(|| tx.push(&[3; 16]));
                until("the producer sleeps", || raw.producer_sleeps());
                take(&mut rx);
                let rung = !raw.producer_sleeps();
                pushed.join().unwrap().unwrap();
                rung
            })
        });
    }
}

/// Runs in a process with one thread, as a forked child has only that one.
fn alone(test: &'static str, body: fn()) {
    run_if_worker(
        test,
        &[("alone", &|_| {
            body();
            Ok(())
        })],
    );
    let mut process = Process::builder(test, "alone")
        .under_test(test)
        .spawn()
        .unwrap();
    let exit = process.join_timeout(common::PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}

#[track_caller]
fn push_forked(result: Result<(), PushError>) {
    let forked = matches!(result, Err(PushError::Segment(Error::Forked { .. })));
    assert!(forked, "{result:?}");
}

#[track_caller]
fn pop_forked(result: Result<(), PopError>) {
    let forked = matches!(result, Err(PopError::Segment(Error::Forked { .. })));
    assert!(forked, "{result:?}");
}

#[test]
fn every_call_of_a_forked_child_is_refused_and_its_drops_do_nothing() {
    alone(test_name!(), || {
        let ring = unnamed(256, 32);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        // Both sides know of room and of records already.
        tx.push_batch(&["one", "two", "three"]).unwrap();
        drop(rx.take().unwrap());
        let mut handles = Some((tx, rx));
        let child = Forked::run(|| {
            let (mut tx, mut rx) = handles.take().unwrap();
            push_forked(tx.try_push(b"x"));
            push_forked(tx.push(b"x"));
            push_forked(tx.push_timeout(b"x", Duration::ZERO));
            push_forked(tx.push_timeout(b"x", Duration::MAX));
            push_forked(tx.try_push_batch(&["x"]).map(drop));
            push_forked(tx.push_batch(&["x"]));
            push_forked(tx.push_batch_timeout(&["x"], SOON).map(drop));
            push_forked(tx.try_reserve(1).map(drop));
            push_forked(tx.reserve(1).map(drop));
            push_forked(tx.reserve_timeout(1, SOON).map(drop));
            let mut batch = tx.batch();
            push_forked(batch.try_push(b"x"));
            push_forked(batch.try_reserve(1).map(drop));
            push_forked(batch.commit());
            push_forked(tx.used().map(drop));
            push_forked(tx.is_empty().map(drop));
            push_forked(tx.close());
            let into = &mut Vec::new();
            pop_forked(rx.try_pop_into(into).map(drop));
            pop_forked(rx.pop_into(into).map(drop));
            pop_forked(rx.pop_into_timeout(into, SOON).map(drop));
            pop_forked(rx.try_take().map(drop));
            pop_forked(rx.take().map(drop));
            pop_forked(rx.take_timeout(SOON).map(drop));
            pop_forked(rx.try_take_batch(1).map(drop));
            pop_forked(rx.take_batch(1).map(drop));
            pop_forked(rx.take_batch_timeout(1, SOON).map(drop));
            pop_forked(rx.used().map(drop));
            pop_forked(rx.is_empty().map(drop));
            drop(rx);
            assert!(ring.producer().is_err() && ring.consumer().is_err());
            assert!(ring.pushed().is_err() && ring.taken().is_err());
            0
        });
        assert_eq!(child.join(), Ok(0));
        let (mut tx, mut rx) = handles.take().unwrap();
        assert!(matches!(ring.producer(), Err(OpenError::RoleTaken { .. })));
        assert!(matches!(ring.consumer(), Err(OpenError::RoleTaken { .. })));
        tx.push(b"four").unwrap();
        let batch = rx.take_batch(9).unwrap().unwrap();
        assert!(batch.iter().eq([&b"two"[..], b"three", b"four"]));
    });
}

#[test]
fn a_guard_taken_into_a_child_changes_nothing() {
    alone(test_name!(), || {
        let ring = unnamed(256, 32);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        tx.push_batch(&["one", "two", "three"]).unwrap();
        let (pushed, taken) = (ring.pushed().unwrap(), ring.taken().unwrap());

        let mut write = tx.reserve(4).unwrap();
        write.copy_from_slice(b"four");
        let mut guards = Some((write, rx.take().unwrap().unwrap()));
        let child = Forked::run(|| {
            let (write, read) = guards.take().unwrap();
            push_forked(write.commit(4));
            drop(read);
            0
        });
        assert_eq!(child.join(), Ok(0));
        assert_eq!(
            (ring.pushed().unwrap(), ring.taken().unwrap()),
            (pushed, taken)
        );
        let (write, read) = guards.take().unwrap();
        assert_eq!((&*write, &*read), (&b"four"[..], &b"one"[..]));
        write.commit(4).unwrap();
        drop(read);
        drop(guards);

        let (pushed, taken) = (ring.pushed().unwrap(), ring.taken().unwrap());
        let mut batch = tx.batch();
        batch.try_push(b"five").unwrap();
        let mut guards = Some((batch, rx.take_batch(2).unwrap().unwrap()));
        let child = Forked::run(|| {
            let (write, read) = guards.take().unwrap();
            push_forked(write.commit());
            drop(read);
            0
        });
        assert_eq!(child.join(), Ok(0));
        assert_eq!(
            (ring.pushed().unwrap(), ring.taken().unwrap()),
            (pushed, taken)
        );
        let (write, read) = guards.take().unwrap();
        write.commit().unwrap();
        assert!(read.iter().eq([b"two" as &[u8], b"three"]));
        drop(read);
        drop(guards);
        let batch = rx.take_batch(9).unwrap().unwrap();
        assert!(batch.iter().eq([b"four", b"five"]));
    });
}
