//! Whether a participant lives is known for certain, at once, and without asking for its number.

#![cfg(not(loom))]

mod common;

use common::line::Line;
use common::peer::{Peer, attach, attached, descriptor_and_line};
use ipc_core::{Life, Participant, Place, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use test_kit::forked::{Forked, orphan};

fn segment() -> Segment {
    Segment::builder(Place::memfd("liveness"))
        .size(4096)
        .create()
        .unwrap()
}

/// All participants but the caller.
fn others(segment: &Segment) -> Vec<Participant> {
    let mut all = segment.participants().unwrap();
    let mine = all
        .iter()
        .position(|it| it.ticket == 1)
        .expect("the creator drew the first ticket and lists itself");
    all.remove(mine);
    all
}

#[track_caller]
fn the_other(segment: &Segment) -> Participant {
    let mut others = others(segment);
    assert_eq!(others.len(), 1, "{others:?}");
    others.remove(0)
}

#[test]
fn who_attaches_is_listed_until_it_leaves() {
    run_if_worker(test_name!(), &[("attach", &attach)]);
    let segment = segment();
    assert!(others(&segment).is_empty());

    let mut peer = Peer::start(test_name!(), "attach", &segment);
    peer.line.expect(b'a');
    let first = the_other(&segment);
    assert_eq!(first.life, Life::Alive);
    assert_eq!(first.pid, Some(peer.process.pid()));
    let mine = segment.participants().unwrap();
    assert_eq!(first.pid_namespace, mine[0].pid_namespace);
    assert!(first.pid_namespace.is_some());

    peer.line.say(b'.');
    peer.finish();
    assert!(others(&segment).is_empty(), "left in order, not dead");
    assert_eq!(segment.recover().unwrap().swept, 0);

    let again = Peer::start(test_name!(), "attach", &segment);
    again.line.expect(b'a');
    assert_ne!(the_other(&segment).ticket, first.ticket);
}

#[test]
fn a_killed_process_is_dead_before_it_is_reaped() {
    run_if_worker(test_name!(), &[("attach", &attach)]);
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "attach", &segment);
    peer.line.expect(b'a');

    peer.process.kill().unwrap();
    let zombie = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    waitid(Id::PIDFd(peer.process.as_fd()), zombie).unwrap();
    assert_eq!(the_other(&segment).life, Life::Dead);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", peer.process.pid())).unwrap();
    assert!(stat.contains(") Z "), "not reaped yet: {stat}");

    assert_eq!(segment.recover().unwrap().swept, 1);
    assert!(others(&segment).is_empty());
}

#[test]
fn a_process_that_exits_without_leaving_is_dead() {
    run_if_worker(
        test_name!(),
        &[("exit", &|worker| {
            let (_segment, line) = attached(worker);
            line.say(b'a');
            std::process::exit(0)
        })],
    );
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "exit", &segment);
    peer.line.expect(b'a');
    peer.process.join().unwrap();
    assert_eq!(the_other(&segment).life, Life::Dead);
}

#[test]
fn a_stopped_process_is_alive() {
    run_if_worker(test_name!(), &[("attach", &attach)]);
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "attach", &segment);
    peer.line.expect(b'a');
    peer.process.stop().unwrap();
    for _ in 0..100 {
        assert_eq!(the_other(&segment).life, Life::Alive);
        assert_eq!(segment.recover().unwrap(), Default::default());
    }
    peer.process.resume().unwrap();
    peer.line.say(b'.');
    peer.finish();
    assert!(others(&segment).is_empty());
}

#[test]
fn a_process_outlives_the_thread_that_attached() {
    let segment = segment();
    let descriptor = segment.descriptor().unwrap();
    let second = std::thread::spawn(|| Segment::open(descriptor).unwrap())
        .join()
        .unwrap();
    assert_eq!(the_other(&segment).life, Life::Alive);
    drop(second);
    assert!(others(&segment).is_empty());
}

#[test]
fn a_killed_process_is_dead_although_its_forked_child_sleeps_on() {
    fn with_child(worker: &mut Worker) -> WorkResult {
        let (_segment, line) = attached(worker);
        // The child has all descriptors and all that is mapped, and does nothing about it.
        orphan(|| {
            line.say(b'c');
            loop {
                match line.hear() {
                    b'?' => line.say(b'!'),
                    _ => return 0,
                }
            }
        });
        loop {
            std::thread::park();
        }
    }
    run_if_worker(test_name!(), &[("with child", &with_child)]);
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "with child", &segment);
    peer.line.expect(b'c');
    assert_eq!(the_other(&segment).life, Life::Alive);

    peer.kill();
    peer.line.say(b'?');
    peer.line.expect(b'!');
    assert_eq!(the_other(&segment).life, Life::Dead);
    assert_eq!(segment.recover().unwrap().swept, 1);
    peer.line.say(b'.');
    peer.line.hear_the_end();
}

#[test]
fn a_process_that_executes_another_program_is_dead() {
    use std::os::unix::process::CommandExt;
    run_if_worker(
        test_name!(),
        &[("exec", &|worker| {
            let (_segment, line) = attached(worker);
            line.say(b'a');
            line.expect(b'x');
            // `cat` is an echo at the end of the line.
            let input = OwnedFd::from(line);
            let output = input.try_clone()?;
            Err(Command::new("cat")
                .stdin(input)
                .stdout(output)
                .exec()
                .into())
        })],
    );
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "exec", &segment);
    peer.line.expect(b'a');
    assert_eq!(the_other(&segment).life, Life::Alive);
    peer.line.say(b'x');
    peer.line.say(b'e');
    peer.line.expect(b'e');
    assert!(peer.process.is_alive());
    assert_eq!(the_other(&segment).life, Life::Dead);
    assert_eq!(segment.recover().unwrap().swept, 1);
}

#[test]
fn a_living_process_with_the_number_of_the_dead_does_not_make_it_alive() {
    run_if_worker(test_name!(), &[("attach", &attach)]);
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "attach", &segment);
    peer.line.expect(b'a');
    let number = peer.process.pid();
    peer.kill();

    let Some(_impostor) = process_with_number(number) else {
        eprintln!("skipped: clone3 with a chosen process id needs CAP_CHECKPOINT_RESTORE");
        return;
    };
    let dead = the_other(&segment);
    assert_eq!((dead.pid, dead.life), (Some(number), Life::Dead));
    assert_eq!(segment.recover().unwrap().swept, 1);
    assert!(others(&segment).is_empty());
}

/// A sleeping child that has the process id asked for.
fn process_with_number(number: u32) -> Option<impl Drop> {
    struct Impostor(libc::pid_t);
    impl Drop for Impostor {
        fn drop(&mut self) {
            // SAFETY: it is a child of ours that nobody has reaped.
            unsafe {
                libc::kill(self.0, libc::SIGKILL);
                libc::waitpid(self.0, std::ptr::null_mut(), 0);
            }
        }
    }
    let chosen = [number as libc::pid_t];
    // SAFETY: all bytes zero is a valid `clone_args`.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    args.set_tid = chosen.as_ptr().addr() as u64;
    args.set_tid_size = 1;
    // SAFETY: without CLONE_VM this is a fork; the child only sleeps.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<libc::clone_args>()) };
    match pid {
        0 => loop {
            // SAFETY: makes the child die with this test, and sleeps.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::pause();
            }
        },
        pid if pid < 0 => None,
        pid => Some(Impostor(pid as libc::pid_t)),
    }
}

#[test]
fn life_and_death_are_seen_across_pid_namespaces() {
    fn in_a_namespace_of_its_own(worker: &mut Worker) -> WorkResult {
        let (descriptor, line) = descriptor_and_line(worker);
        if let Err(error) = unshare(CloneFlags::CLONE_NEWPID) {
            eprintln!("skipped: no pid namespace: {error}");
            line.say(b's');
            return Ok(());
        }
        let (ours, childs) = Line::pair();
        let child = Forked::run(|| {
            let segment = Segment::open(descriptor).unwrap();
            childs.say(b'a');
            childs.expect(b'?');
            // The one outside has no number here at all, and lives.
            let outside = segment.participants().unwrap().remove(0);
            assert_eq!(outside.life, Life::Alive);
            assert_eq!(segment.recover().unwrap(), Default::default());
            childs.say(b'!');
            childs.hear();
            0
        });
        ours.expect(b'a');
        line.say(b'a');
        line.expect(b'?');
        ours.say(b'?');
        ours.expect(b'!');
        line.say(b'!');
        line.expect(b'k');
        child.kill();
        line.say(b'k');
        line.hear();
        Ok(())
    }
    run_if_worker(test_name!(), &[("unshare", &in_a_namespace_of_its_own)]);
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "unshare", &segment);
    match peer.line.hear() {
        b's' => return,
        heard => assert_eq!(heard, b'a'),
    }
    let inside = the_other(&segment);
    assert_eq!(inside.life, Life::Alive);
    assert_eq!(
        inside.pid,
        Some(1),
        "its number there, which is init's here"
    );
    assert_ne!(
        inside.pid_namespace,
        segment.participants().unwrap()[0].pid_namespace
    );
    assert_eq!(segment.recover().unwrap(), Default::default());
    peer.line.say(b'?');
    peer.line.expect(b'!');

    peer.line.say(b'k');
    peer.line.expect(b'k');
    assert_eq!(the_other(&segment).life, Life::Dead, "process 1 lives here");
    assert_eq!(segment.recover().unwrap().swept, 1);
    peer.line.say(b'.');
    peer.finish();
}
