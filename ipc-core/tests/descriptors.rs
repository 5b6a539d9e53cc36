//! Code that closes all descriptors of a process (closefrom) neither kills a participant in the
//! eyes of others nor makes it judge others wrongly.

#![cfg(not(loom))]

mod common;

use common::line::Line;
use common::peer::{self, Peer, attached};
use ipc_core::{Error, Life, Place, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use test_kit::forked::Forked;

fn alive_and_dead(segment: &Segment) -> (usize, usize) {
    let all = segment.participants().unwrap();
    let alive = all.iter().filter(|it| it.life == Life::Alive).count();
    (alive, all.len() - alive)
}

/// closefrom(3), but for the line to the test and a directory below which all is re-opened.
fn close_all_but(line: &Line) {
    let keep = line.number() as libc::c_uint;
    // SAFETY: the descriptors closed here belong to values that this child never drops or uses.
    unsafe {
        libc::close_range(3, keep - 1, 0);
        libc::close_range(keep + 1, libc::c_uint::MAX, 0);
    }
}

/// Many descriptors of another file, so that every number closed before is taken.
fn other_files() -> Vec<File> {
    (0..64).map(|_| File::open("/dev/null").unwrap()).collect()
}

fn are_untouched(files: &[File]) -> bool {
    let expected = std::fs::metadata("/dev/null").unwrap().rdev();
    files
        .iter()
        .all(|file| file.metadata().is_ok_and(|it| it.rdev() == expected))
}

/// A name in /dev/shm that goes with the test.
struct Name(String);

impl Name {
    fn new(what: &str) -> Self {
        Self(format!(
            "ipc-core-{}-descriptors-{what}",
            std::process::id()
        ))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Segment::unlink(&*self.0);
    }
}

/// In a child of the worker that is attached on its own: closes all, and does what is told.
fn close_in_child(worker: &mut Worker) -> WorkResult {
    let (descriptor, line) = peer::descriptor_and_line(worker);
    let instructions = worker.params().to_vec();
    let name = String::from_utf8(instructions).unwrap();
    let child = Forked::run(|| {
        let segment = match name.as_str() {
            "" => Segment::open(descriptor).unwrap(),
            name => {
                // Its number is about to be closed.
                std::mem::forget(descriptor);
                Segment::open(name).unwrap()
            }
        };
        close_all_but(&line);
        line.say(b'c');
        loop {
            match line.hear() {
                // How many live and how many are dead in its eyes; or that it cannot say.
                b'?' => match segment.participants() {
                    Ok(all) => {
                        let dead = all.iter().filter(|it| it.life == Life::Dead).count();
                        line.say((all.len() - dead) as u8 + b'0');
                        line.say(dead as u8 + b'0');
                    }
                    Err(Error::DescriptorLost { .. }) => line.say(b'L'),
                    Err(error) => panic!("{error}"),
                },
                b'r' => match segment.recover() {
                    Ok(done) => line.say(done.swept as u8 + b'0'),
                    Err(Error::DescriptorLost { .. }) => line.say(b'L'),
                    Err(error) => panic!("{error}"),
                },
                b'u' => {
                    nix::unistd::setuid(nix::unistd::Uid::from_raw(65534)).unwrap();
                    line.say(b'u');
                }
                // Drops with others' files under the old numbers, having asked before or not.
                ask @ (b'n' | b'd') => {
                    let files = other_files();
                    if ask == b'n' {
                        let _ = segment.participants();
                    }
                    assert!(are_untouched(&files));
                    drop(segment);
                    assert!(are_untouched(&files));
                    line.say(b'.');
                    return 0;
                }
                _ => return 0,
            }
        }
    });
    match child.join() {
        Ok(0) => Ok(()),
        other => Err(format!("the child ended with {other:?}").into()),
    }
}

fn named(what: &str) -> (Name, Segment) {
    let name = Name::new(what);
    let segment = Segment::create(&*name.0, 4096).unwrap();
    (name, segment)
}

#[test]
fn without_descriptors_a_process_is_alive_and_sees_the_others_through_the_name() {
    run_if_worker(
        test_name!(),
        &[("close", &close_in_child), ("attach", &peer::attach)],
    );
    let (name, segment) = named("name");
    let descriptor = segment.descriptor().unwrap();
    let mut peer = Peer::start_with(test_name!(), "close", &descriptor, name.0.as_bytes());
    peer.line.expect(b'c');
    assert_eq!(alive_and_dead(&segment), (2, 0));
    assert_eq!(segment.recover().unwrap(), Default::default());

    let mut victim = Peer::start(test_name!(), "attach", &segment);
    victim.line.expect(b'a');
    peer.line.say(b'?');
    peer.line.expect(b'3');
    peer.line.expect(b'0');
    victim.kill();
    peer.line.say(b'?');
    peer.line.expect(b'2');
    peer.line.expect(b'1');
    peer.line.say(b'r');
    peer.line.expect(b'1');
    assert_eq!(alive_and_dead(&segment), (2, 0));

    peer.line.say(b'.');
    peer.finish();
    assert_eq!(alive_and_dead(&segment), (1, 0), "it left in order");
}

#[test]
fn what_cannot_be_opened_again_is_an_error_and_nobody_is_judged() {
    run_if_worker(
        test_name!(),
        &[("close", &close_in_child), ("attach", &peer::attach)],
    );
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root, to give it up");
        return;
    }
    let segment = Segment::create(Place::memfd("lost"), 4096).unwrap();
    let mut peer = Peer::start(test_name!(), "close", &segment);
    peer.line.expect(b'c');
    peer.line.say(b'u');
    peer.line.expect(b'u');
    let mut victim = Peer::start(test_name!(), "attach", &segment);
    victim.line.expect(b'a');
    victim.kill();
    for question in [b'?', b'r'] {
        peer.line.say(question);
        peer.line.expect(b'L');
    }
    assert_eq!(
        alive_and_dead(&segment),
        (2, 1),
        "nobody was swept, and it lives"
    );
    peer.line.say(b'.');
    peer.finish();
}

#[test]
fn a_privileged_process_finds_an_unnamed_segment_again() {
    run_if_worker(test_name!(), &[("close", &close_in_child)]);
    let segment = Segment::create(Place::memfd("found"), 4096).unwrap();
    let mut peer = Peer::start(test_name!(), "close", &segment);
    peer.line.expect(b'c');
    peer.line.say(b'?');
    match peer.line.hear() {
        b'L' => eprintln!("skipped: /proc/self/map_files needs CAP_CHECKPOINT_RESTORE"),
        alive => {
            assert_eq!(alive, b'2');
            peer.line.expect(b'0');
        }
    }
    peer.line.say(b'.');
    peer.finish();
}

#[test]
fn the_closed_number_is_not_closed_again_when_another_file_has_it() {
    run_if_worker(test_name!(), &[("close", &close_in_child)]);
    for last_words in [b'n', b'd'] {
        for memfd in [false, true] {
            let (name, segment) = match memfd {
                true => (None, Segment::create(Place::memfd("number"), 4096).unwrap()),
                false => {
                    let (name, segment) = named("number");
                    (Some(name), segment)
                }
            };
            let path = name.as_ref().map_or("", |name| &name.0);
            let descriptor = segment.descriptor().unwrap();
            let mut peer = Peer::start_with(test_name!(), "close", &descriptor, path.as_bytes());
            peer.line.expect(b'c');
            peer.line.say(last_words);
            peer.line.expect(b'.');
            peer.finish();
            assert_eq!(alive_and_dead(&segment), (1, 0), "it left in order");
        }
    }
}

#[test]
fn attaching_and_leaving_leaves_no_descriptor_and_no_mapping() {
    run_if_worker(
        test_name!(),
        &[("count", &|worker| {
            let (segment, _line) = attached(worker);
            let descriptor = segment.descriptor()?;
            let count = |of: &str| std::fs::read_dir(of).unwrap().count();
            let maps = || {
                std::fs::read_to_string("/proc/self/maps")
                    .unwrap()
                    .matches("memfd")
                    .count()
            };
            let before = (count("/proc/self/fd"), maps());
            for _ in 0..100 {
                let again = Segment::open(descriptor.try_clone()?)?;
                again.participants()?;
                again.recover()?;
            }
            assert_eq!((count("/proc/self/fd"), maps()), before);
            Ok(())
        })],
    );
    let segment = Segment::create(Place::memfd("count"), 4096).unwrap();
    Peer::start(test_name!(), "count", &segment).finish();
}
