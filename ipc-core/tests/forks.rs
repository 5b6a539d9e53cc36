//! A forked child cannot act as its parent, does it no harm, and can attach on its own.

#![cfg(not(loom))]

mod common;

use common::line::Line;
use common::peer::{Peer, attach, attached, descriptor_and_line};
use common::words;
use ipc_core::{Error, Life, Place, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use test_kit::forked::{Forked, orphan};

fn segment() -> Segment {
    let segment = Segment::builder(Place::memfd("forks"))
        .size(4096)
        .participants(8)
        .create()
        .unwrap();
    words::create(&segment, "words", 8);
    segment
}

fn alive(segment: &Segment) -> usize {
    let all = segment.participants().unwrap();
    all.iter().filter(|it| it.life == Life::Alive).count()
}

#[track_caller]
fn refused<T>(what: Result<T, Error>) {
    match what {
        Err(Error::Forked { .. }) => {}
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it worked in the child"),
    }
}

/// Makes the calling process die, and so the test fail, if the child hangs.
fn no_longer_than(seconds: u32) {
    // SAFETY: sets a timer of the calling process.
    unsafe { libc::alarm(seconds) };
}

#[test]
fn a_forked_child_is_refused_everything_and_its_drops_do_nothing() {
    fn fork_once(worker: &mut Worker) -> WorkResult {
        let (segment, line) = attached(worker);
        let owner = segment.owner()?;
        let words = words::open(&segment, "words");
        words[0].store(owner.id().to_word(), Ordering::Release);
        let object =
            segment.open_object("words", &words::WORDS, &ipc_core::TypeTag::of::<u64>())?;
        let descriptor = segment.descriptor()?;

        let mut held = Some((segment, owner, words, object));
        let child = Forked::run(|| {
            no_longer_than(20);
            let (segment, owner, words, object) = held.take().unwrap();
            refused(segment.descriptor());
            refused(segment.participants());
            refused(segment.recover());
            refused(segment.recover_if_due(Duration::ZERO));
            refused(segment.owner());
            refused(segment.holder(owner.id()));
            refused(segment.objects());
            refused(segment.open_object("words", &words::WORDS, &ipc_core::TypeTag::of::<u64>()));
            let spec = ipc_core::ObjectSpec {
                kind: &words::WORDS,
                element: ipc_core::TypeTag::of::<u64>(),
                config: [1, 0, 0, 0],
                len: 8,
            };
            refused(segment.create_object("new", &spec, |_| Ok(())));
            refused(object.structure::<std::sync::atomic::AtomicU64>(0));
            refused(object.slots::<u64>(0, 1));
            refused(object.recover_if_dead(owner.id()));
            refused(segment.attachment().check_fork());
            let (end, _other) = std::os::unix::net::UnixStream::pair().unwrap();
            refused(segment.send(&end));
            // What needs no mapping still tells what it is.
            assert!(!segment.attachment().is_mine());
            assert_eq!(segment.participant_limit(), 8);
            assert!(format!("{segment:?} {object:?} {owner:?}").contains("Attachment"));

            drop((owner, words, object, segment.clone(), segment));
            let anew = Segment::open(descriptor.try_clone().unwrap()).unwrap();
            assert_eq!(alive(&anew), 3, "the test, the parent, and this child");
            let own = anew.owner().unwrap();
            assert!(!anew.holder(own.id()).unwrap().is_dead());
            0
        });
        assert_eq!(child.join(), Ok(0));

        // The parent has lost nothing.
        let (segment, owner, words, _object) = held.unwrap();
        assert_eq!(alive(&segment), 2);
        assert!(!segment.holder(owner.id())?.is_dead());
        assert_eq!(words[0].load(Ordering::Acquire), owner.id().to_word());
        line.say(b'f');
        line.hear();
        words[0].store(0, Ordering::Release);
        Ok(())
    }
    run_if_worker(test_name!(), &[("fork once", &fork_once)]);
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "fork once", &segment);
    peer.line.expect(b'f');
    assert_eq!(alive(&segment), 2);
    assert_eq!(segment.recover().unwrap(), Default::default());
    peer.line.say(b'.');
    peer.finish();
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn a_child_forked_while_other_threads_ask_and_attach_hangs_nowhere() {
    fn busy_parent(worker: &mut Worker) -> WorkResult {
        let (descriptor, line) = descriptor_and_line(worker);
        let segment = Segment::open(descriptor.try_clone()?)?;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    segment.participants().unwrap();
                }
            });
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(Segment::open(descriptor.try_clone().unwrap()).unwrap());
                }
            });
            for _ in 0..200 {
                let child = Forked::run(|| {
                    no_longer_than(20);
                    refused(segment.participants());
                    assert!(format!("{segment:?}").contains("Attachment"));
                    let anew = Segment::open(descriptor.try_clone().unwrap()).unwrap();
                    assert!(alive(&anew) >= 2);
                    drop(anew);
                    0
                });
                assert_eq!(child.join(), Ok(0));
            }
            stop.store(true, Ordering::Relaxed);
        });
        line.say(b'.');
        Ok(())
    }
    run_if_worker(test_name!(), &[("busy parent", &busy_parent)]);
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "busy parent", &segment);
    peer.line.expect(b'.');
    peer.finish();
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn children_forked_while_a_thread_attaches_do_not_keep_the_dead_parent_alive() {
    const ATTACHMENTS: usize = 300;
    fn forking_parent(worker: &mut Worker) -> WorkResult {
        let (descriptor, line) = descriptor_and_line(worker);
        let attaching = std::thread::spawn(move || {
            let open = |_| Segment::open(descriptor.try_clone().unwrap()).unwrap();
            (0..ATTACHMENTS).map(open).collect::<Vec<_>>()
        });
        // Many forks find the thread in the middle of an attachment.
        while !attaching.is_finished() {
            orphan(|| {
                // Sleeps until the test hangs up.
                line.hear_the_end();
                0
            });
        }
        let _kept = attaching.join().unwrap();
        line.say(b'f');
        loop {
            std::thread::park();
        }
    }
    run_if_worker(test_name!(), &[("forking parent", &forking_parent)]);
    let segment = Segment::builder(Place::memfd("forks"))
        .size(4096)
        .participants(ATTACHMENTS as u32 + 1)
        .create()
        .unwrap();
    let mut peer = Peer::start(test_name!(), "forking parent", &segment);
    peer.line.expect(b'f');
    assert_eq!(alive(&segment), ATTACHMENTS + 1);
    peer.kill();
    assert_eq!(alive(&segment), 1, "{:?}", segment.participants());
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);
    peer.line.hang_up();
    // Until all children are gone.
    peer.line.hear_the_end();
}

#[test]
fn the_child_of_a_participant_is_one_of_its_own_and_dies_its_own_death() {
    run_if_worker(
        test_name!(),
        &[
            ("attach", &attach),
            ("parent", &|worker| {
                let (descriptor, line) = descriptor_and_line(worker);
                let segment = Segment::open(descriptor.try_clone()?)?;
                let (ours, childs) = Line::pair();
                let child = Forked::run(|| {
                    let _anew = Segment::open(descriptor).unwrap();
                    childs.say(b'a');
                    childs.hear();
                    0
                });
                ours.expect(b'a');
                assert_eq!(alive(&segment), 3);
                child.kill();
                assert_eq!(alive(&segment), 2);
                assert_eq!(segment.recover()?.swept, 1);
                line.say(b'.');
                Ok(())
            }),
        ],
    );
    let segment = segment();
    let mut peer = Peer::start(test_name!(), "parent", &segment);
    peer.line.expect(b'.');
    peer.finish();
}
