//! A memory file is believed only if it is sealed, and reaches other processes by descriptor.

#![cfg(not(loom))]

mod common;

use common::toy;
use ipc_core::{Error, Place, Segment};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use test_kit::patience::PATIENCE;
use test_kit::scratch::{Scratch, descriptors, names_in};
use test_kit::solo::alone;

fn segment() -> Segment {
    let builder = Segment::builder(Place::memfd("memory file")).size(4096);
    builder.create_with(toy::fill).unwrap().0
}

/// A memory file with the contents of a segment, and these seals.
fn copy_sealed(seals: SealFlag) -> OwnedFd {
    let original = segment();
    let from = File::from(original.descriptor().unwrap());
    let mut bytes = vec![0; original.len() as usize];
    from.read_exact_at(&mut bytes, 0).unwrap();
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let copy = memfd_create("copy", flags).unwrap();
    File::from(copy.try_clone().unwrap())
        .write_all(&bytes)
        .unwrap();
    if !seals.is_empty() {
        fcntl(&copy, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    }
    copy
}

#[test]
fn a_segment_of_ours_is_sealed() {
    let descriptor = segment().descriptor().unwrap();
    let seals = fcntl(&descriptor, FcntlArg::F_GET_SEALS).unwrap();
    let wanted = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    assert!(SealFlag::from_bits_retain(seals).contains(wanted));
    let file = File::from(descriptor);
    assert!(file.set_len(0).is_err());
    assert!(file.set_len(1 << 30).is_err());
    assert!(fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)).is_err());
}

#[test]
fn the_seals_are_checked() {
    let size = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    let sealed = size | SealFlag::F_SEAL_SEAL;
    let future_write = SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE);
    for (seals, why) in [
        (SealFlag::empty(), "its size is not sealed"),
        (SealFlag::F_SEAL_SHRINK, "its size is not sealed"),
        (
            SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL,
            "its size is not sealed",
        ),
        (
            SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL,
            "its size is not sealed",
        ),
        (size, "open to further seals"),
        (sealed | future_write, "sealed against writing"),
        (sealed | SealFlag::F_SEAL_WRITE, "sealed against writing"),
    ] {
        let error = Segment::open(copy_sealed(seals)).unwrap_err();
        assert!(
            matches!(error, Error::WrongSeals { .. }),
            "{seals:?}: {error}"
        );
        assert!(error.to_string().contains(why), "{seals:?}: {error}");
    }
    toy::check_filled(&Segment::open(copy_sealed(sealed)).unwrap());
}

#[test]
fn a_descriptor_without_the_right_to_write_is_refused() {
    let segment = segment();
    let descriptor = segment.descriptor().unwrap();
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    for flags in [OFlag::O_RDONLY, OFlag::O_WRONLY, OFlag::O_PATH] {
        let flags = flags | OFlag::O_CLOEXEC;
        let reopened = nix::fcntl::open(path.as_str(), flags, nix::sys::stat::Mode::empty());
        let error = Segment::open(reopened.unwrap()).unwrap_err();
        assert!(
            matches!(error, Error::Permission { .. }),
            "{flags:?}: {error}"
        );
    }
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn a_memory_file_that_is_no_segment_is_refused() {
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let empty = memfd_create("empty", flags).unwrap();
    fcntl(&empty, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    let error = Segment::open(empty).unwrap_err();
    assert!(matches!(error, Error::NotASegment { .. }), "{error}");
}

#[test]
fn labels_of_any_kind_are_taken() {
    for label in ["", "nul\0within", &"long".repeat(100), "ünïcode/../x"] {
        Segment::create(Place::memfd(label), 128).unwrap();
    }
}

#[test]
fn a_spawned_child_inherits_it() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("child", &|worker: &mut Worker| {
            let segment = Segment::open(worker.take_fd("segment")?)?;
            toy::check_filled(&segment);
            assert_eq!(segment.participants()?.len(), 2);
            segment.create_object("of the child", &toy::spec(8), |_| Ok(()))?;
            Ok(worker.set_result(&segment.uuid())?)
        })],
    );
    let segment = segment();
    let mut child = Process::builder(test, "child")
        .fd("segment", segment.descriptor().unwrap())
        .under_test(test)
        .spawn()
        .unwrap();
    let exit = child
        .join_timeout(PATIENCE)
        .unwrap()
        .expect("the child hangs");
    assert_eq!(exit.into_result().unwrap(), segment.uuid());
    assert_eq!(segment.participants().unwrap().len(), 1);
    assert_eq!(segment.objects().unwrap().len(), 2);
}

#[test]
fn it_is_sent_over_a_socket_there_and_back() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("echo", &|worker: &mut Worker| {
            let socket = UnixStream::from(worker.take_fd("socket")?);
            for _ in 0..3 {
                let segment = Segment::receive(&socket)?;
                toy::check_filled(&segment);
                segment.send(&socket)?;
            }
            Ok(())
        })],
    );
    let (socket, other) = UnixStream::pair().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut echo = Process::builder(test, "echo")
        .fd("socket", other)
        .under_test(test)
        .spawn()
        .unwrap();
    let scratch = Scratch::new();
    let named = Segment::builder(scratch.join("segment"))
        .create_with(toy::fill)
        .unwrap()
        .0;
    let unlinked = Segment::builder(scratch.join("unlinked"))
        .create_with(toy::fill)
        .unwrap()
        .0;
    Segment::unlink(scratch.join("unlinked")).unwrap();
    // A file that has no name any more can still be handed on, like a memory file.
    for segment in [segment(), named, unlinked] {
        segment.send(&socket).unwrap();
        let back = Segment::receive(&socket).unwrap();
        assert_eq!(back.uuid(), segment.uuid());
    }
    let exit = echo
        .join_timeout(PATIENCE)
        .unwrap()
        .expect("the worker hangs");
    exit.into_result().unwrap();
}

fn send_raw(socket: &UnixStream, descriptors: &[i32]) {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let rights = if descriptors.is_empty() {
        &rights[..0]
    } else {
        &rights[..]
    };
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(b"S")],
        rights,
        MsgFlags::empty(),
        None,
    )
    .unwrap();
}

#[test]
fn wrong_messages_are_errors_and_cost_no_descriptor() {
    alone(test_name!(), |_| {
        let segment = segment();
        let descriptor = segment.descriptor().unwrap();
        let fd = descriptor.as_raw_fd();
        let (socket, other) = UnixStream::pair().unwrap();
        other
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let before = descriptors();
        let refused = |what: &str| {
            let error = Segment::receive(&other).unwrap_err();
            assert!(matches!(error, Error::Os { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!(descriptors(), before);
        };
        refused("os error 11");
        send_raw(&socket, &[]);
        refused("no descriptor");
        for count in [2, 3, 10, 253] {
            send_raw(&socket, &vec![fd; count]);
            refused("several descriptors");
        }
        // Something else than a segment.
        let (pipe, _writer) = std::io::pipe().unwrap();
        let before = descriptors();
        send_raw(&socket, &[pipe.as_raw_fd()]);
        let error = Segment::receive(&other).unwrap_err();
        assert!(matches!(error, Error::NotRegular { .. }), "{error}");
        assert_eq!(descriptors(), before);

        // No room for all that comes: what was delivered is closed again.
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
        send_raw(&socket, &[fd, fd, fd]);
        setrlimit(Resource::RLIMIT_NOFILE, used + 2, hard).unwrap();
        let received = Segment::receive(&other);
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        received.unwrap_err();
        assert_eq!(descriptors(), before);

        drop(socket);
        let error = Segment::receive(&other).unwrap_err();
        assert!(matches!(error, Error::Os { .. }), "{error}");
        let error = segment.send(&other).unwrap_err();
        assert!(matches!(error, Error::Os { .. }), "{error}");
    });
}

#[test]
fn a_descriptor_of_a_named_segment_keeps_its_promises() {
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    let first = Segment::builder(&path)
        .unlink_when_last_leaves(true)
        .create()
        .unwrap();
    let second = Segment::open(first.descriptor().unwrap()).unwrap();
    drop(first);
    assert_eq!(names_in(scratch.path()), ["segment"]);
    drop(second);
    assert!(
        names_in(scratch.path()).is_empty(),
        "the last one came by descriptor"
    );
}

#[test]
fn a_received_descriptor_is_closed_on_exec() {
    let segment = segment();
    let descriptor = segment.descriptor().unwrap();
    // As one that was inherited across exec.
    // SAFETY: duplicates a descriptor of ours.
    let inherited = unsafe { OwnedFd::from_raw_fd(libc::dup(descriptor.as_raw_fd())) };
    let number = inherited.as_raw_fd();
    let second = Segment::open(inherited).unwrap();
    // SAFETY: the number is that of the descriptor which `second` keeps.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    drop(second);
}
