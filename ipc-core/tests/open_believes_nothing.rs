//! Opening verifies everything against the real file before it trusts a byte of it.

#![cfg(not(loom))]

mod common;

use common::toy;
use ipc_core::{Error, Place, Segment, TypeTag};
use ipc_process::test_name;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use test_kit::scratch::{Scratch, ShmName, descriptors, names_in};
use test_kit::solo::alone;

const HEADER: usize = 256;

/// The bytes of a whole, small segment with one object.
fn whole() -> Vec<u8> {
    let scratch = Scratch::new();
    let path = scratch.join("whole");
    let segment = Segment::builder(&path)
        .participants(2)
        .handles(4)
        .objects(2)
        .size(512)
        .label("whole")
        .create_with(toy::fill)
        .unwrap();
    drop(segment);
    std::fs::read(path).unwrap()
}

/// Opens a file of these bytes; checks that neither the file nor its directory was changed if that
/// was refused, and that the refusal names the file.
#[track_caller]
fn open_bytes(scratch: &Scratch, bytes: &[u8]) -> Result<Segment, Error> {
    let path = scratch.join("file");
    std::fs::write(&path, bytes).unwrap();
    let opened = Segment::open(&path);
    if let Err(error) = &opened {
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "the file was changed"
        );
        assert!(error.to_string().contains("/file\""), "unnamed: {error}");
    }
    assert_eq!(names_in(scratch.path()), ["file"]);
    opened
}

/// A copy with some bytes replaced and the checksum made right again.
fn resealed(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..HEADER - 8]);
    bytes[HEADER - 8..HEADER].copy_from_slice(&sum.to_ne_bytes());
    bytes
}

#[test]
fn every_flipped_byte_of_the_constant_part_is_refused() {
    let scratch = Scratch::new();
    let whole = whole();
    assert!(open_bytes(&scratch, &whole).is_ok());
    for at in 0..HEADER {
        for mask in [0x01, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            let error = open_bytes(&scratch, &bytes).unwrap_err();
            let expected = match at {
                0..8 => matches!(error, Error::NotASegment { .. }),
                8..12 => matches!(error, Error::WrongArchitecture { .. }),
                12..16 => matches!(error, Error::WrongVersion { .. }),
                _ => matches!(error, Error::Corrupted { .. }),
            };
            assert!(expected, "byte {at} ^ {mask:#x}: {error}");
        }
    }
}

#[test]
fn a_flipped_byte_elsewhere_gives_an_error_or_correct_work() {
    alone(test_name!(), |scratch| {
        let whole = whole();
        let path = scratch.join("file");
        for at in HEADER..whole.len() {
            for mask in [0x01 << (at % 8), 0xFF] {
                let mut bytes = whole.clone();
                bytes[at] ^= mask;
                std::fs::write(&path, &bytes).unwrap();
                if let Ok(segment) = Segment::open(&path) {
                    use_it(&segment);
                }
                std::fs::remove_file(&path).unwrap();
            }
        }
    });
}

/// Calls everything; any answer will do, as long as it is one.
fn use_it(segment: &Segment) {
    let _ = segment.participants();
    let _ = segment.recover();
    for info in segment.objects().unwrap_or_default() {
        assert!(info.offset + info.len <= segment.len());
    }
    if let Ok(object) = segment.open_object("first", &toy::TOY, &TypeTag::of::<u64>()) {
        let _ = toy::word(&object, 0);
    }
    if let Ok(object) = segment.create_object("second", &toy::spec(128), |_| Ok(())) {
        toy::set_word(&object, 0, 1);
        assert_eq!(toy::word(&object, 0), 1);
    }
    if let Ok(owner) = segment.owner() {
        let _ = segment.holder(owner.id());
    }
}

#[test]
fn a_file_of_another_length_than_its_header_says_is_refused() {
    let scratch = Scratch::new();
    let whole = whole();
    for len in 0..whole.len() {
        let error = open_bytes(&scratch, &whole[..len]).unwrap_err();
        match error {
            Error::NotASegment { .. } => assert!(len < HEADER, "{len}: {error}"),
            Error::WrongLength {
                expected, actual, ..
            } => {
                assert!(len >= HEADER);
                assert_eq!((expected, actual), (whole.len() as u64, len as u64));
            }
            _ => panic!("{len}: {error}"),
        }
    }
    for more in [1, 4096] {
        let mut bytes = whole.clone();
        bytes.resize(whole.len() + more, 0);
        let error = open_bytes(&scratch, &bytes).unwrap_err();
        assert!(matches!(error, Error::WrongLength { .. }), "{error}");
    }
    let error = open_bytes(&scratch, b"").unwrap_err();
    assert!(error.to_string().contains("it is empty"), "{error}");
}

#[test]
fn a_file_of_random_bytes_is_refused() {
    let scratch = Scratch::new();
    let whole = whole();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    for round in 0..200 {
        let mut bytes: Vec<u8> = (0..4096 + round).map(|_| random()).collect();
        let error = open_bytes(&scratch, &bytes).unwrap_err();
        assert!(matches!(error, Error::NotASegment { .. }), "{error}");

        // And if it begins like a segment.
        bytes[..16].copy_from_slice(&whole[..16]);
        let error = open_bytes(&scratch, &bytes).unwrap_err();
        assert!(matches!(error, Error::Corrupted { .. }), "{error}");
    }
}

#[test]
fn other_versions_are_refused_by_number() {
    let scratch = Scratch::new();
    for found in [0_u32, 2, u32::MAX] {
        let bytes = resealed(whole(), 12, &found.to_ne_bytes());
        let error = open_bytes(&scratch, &bytes).unwrap_err();
        assert!(matches!(error, Error::WrongVersion { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("version {found},")),
            "{error}"
        );
    }
}

#[test]
fn a_segment_of_another_word_size_or_byte_order_is_refused_by_name() {
    let scratch = Scratch::new();
    let ours = [
        size_of::<usize>() as u8,
        1 + u8::from(cfg!(target_endian = "big")),
    ];
    let other_size = 12 - ours[0];
    let other_order = 3 - ours[1];
    for (architecture, name) in [
        (
            [other_size, ours[1]],
            format!("{}-bit", other_size as u32 * 8),
        ),
        (
            [ours[0], other_order],
            ["little-endian", "big-endian"][other_order as usize - 1].to_owned(),
        ),
    ] {
        let mut bytes = resealed(whole(), 8, &architecture);
        // The version stands there in the other's byte order; it must not matter.
        bytes[12..16].reverse();
        let error = open_bytes(&scratch, &bytes).unwrap_err();
        assert!(matches!(error, Error::WrongArchitecture { .. }), "{error}");
        assert!(error.to_string().contains(&name), "{error}");
    }
}

#[test]
fn sizes_that_do_not_fit_together_are_refused_even_under_a_right_checksum() {
    let scratch = Scratch::new();
    let whole = whole();
    let total = whole.len() as u64;
    let of = |at: usize, value: u64, bytes: usize| {
        resealed(whole.clone(), at, &value.to_ne_bytes()[..bytes])
    };
    for (at, value, bytes) in [
        (16, 0, 8),
        (16, total - 1, 8),
        (16, total + 4096, 8),
        (16, u64::MAX, 8),
        (24, u64::MAX, 8),
        (24, (1 << 46) + 128, 8),
        (24, 1 << 46, 8),
        (24, 8192, 8),
        (48, 0, 4),
        (48, 4097, 4),
        (48, u64::from(u32::MAX), 4),
        (52, 0, 4),
        (52, 65_536, 4),
        (52, u64::from(u32::MAX), 4),
        (56, 0, 4),
        (56, 4097, 4),
        (56, u64::from(u32::MAX), 4),
        (60, 4, 4),
        (60, u64::from(u32::MAX), 4),
    ] {
        let error = open_bytes(&scratch, &of(at, value, bytes)).unwrap_err();
        assert!(
            matches!(error, Error::Corrupted { .. }),
            "{at} = {value:#x}: {error}"
        );
    }
    // Sizes that fit together, but not the file.
    let mut bytes = of(24, 512 + 4096, 8);
    bytes = resealed(bytes, 16, &(total + 4096).to_ne_bytes());
    let error = open_bytes(&scratch, &bytes).unwrap_err();
    assert!(matches!(error, Error::WrongLength { .. }), "{error}");
}

#[test]
fn an_object_that_lies_outside_is_refused_even_under_a_right_checksum() {
    let scratch = Scratch::new();
    let whole = whole();
    let total = whole.len() as u64;
    let (directory, heap) = (768, 768 + 2 * 256);
    let at = |word: usize| directory + word * 8..directory + word * 8 + 8;
    let (offset, len, checksum) = (1, 3, 29);
    assert_eq!(
        whole[at(offset)],
        (heap as u64).to_ne_bytes(),
        "the layout has changed"
    );
    for (word, value) in [
        (offset, 0),
        (offset, heap as u64 - 128),
        (offset, total - 64),
        (offset, total),
        (offset, u64::MAX),
        (offset, u64::MAX - 127),
        (len, total),
        (len, total - heap as u64 + 1),
        (len, u64::MAX),
    ] {
        let mut bytes = whole.clone();
        bytes[at(word)].copy_from_slice(&value.to_ne_bytes());
        let sum = xxhash_rust::xxh3::xxh3_64(&bytes[at(1).start..at(29).start]);
        bytes[at(checksum)].copy_from_slice(&sum.to_ne_bytes());
        let segment = open_bytes(&scratch, &bytes).unwrap();
        for error in [
            segment.objects().unwrap_err(),
            segment
                .open_object("first", &toy::TOY, &TypeTag::of::<u64>())
                .unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::Corrupted { .. }),
                "{word} = {value:#x}: {error}"
            );
        }
    }
}

#[test]
fn names_that_cannot_be_are_refused_by_every_call() {
    let long = "x".repeat(300);
    for name in ["", ".", "..", "a/b", "../tmp", "a\0b", &long, ".hidden"] {
        let name = name.to_owned();
        for error in [
            Segment::open(name.clone()).unwrap_err(),
            Segment::create(name.clone(), 4096).unwrap_err(),
            Segment::open_or_create(name.clone(), 4096).unwrap_err(),
            Segment::unlink(name.clone()).unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::InvalidName { .. }),
                "{name:?}: {error}"
            );
        }
    }
    let scratch = Scratch::new();
    for path in [
        scratch.join(&long),
        scratch.join("a\0b"),
        scratch.join(".."),
        scratch.join("slash/"),
        scratch.join(".ipc-new-0123"),
    ] {
        let error = Segment::create(&path, 4096).unwrap_err();
        assert!(
            matches!(error, Error::InvalidName { .. }),
            "{path:?}: {error}"
        );
    }
    assert!(names_in(scratch.path()).is_empty());
    let error = Segment::open(Place::memfd("x")).unwrap_err();
    assert!(matches!(error, Error::InvalidName { .. }), "{error}");
}

#[test]
fn what_is_not_there_is_not_found() {
    let name = ShmName::new();
    let error = Segment::open(name.0.as_str()).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(error.to_string().contains(&name.0));
    let error = Segment::unlink(name.0.as_str()).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(!name.exists());
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.join("directory")).unwrap();
    nix::unistd::mkfifo(&scratch.join("FIFO"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(scratch.join("socket")).unwrap();
    std::fs::write(scratch.join("target"), whole()).unwrap();
    symlink("target", scratch.join("symbolic link")).unwrap();
    symlink("nowhere", scratch.join("symbolic link to nothing")).unwrap();
    let before = names_in(scratch.path());
    for found in [
        "directory",
        "FIFO",
        "socket",
        "symbolic link",
        "symbolic link to nothing",
    ] {
        let path = scratch.join(found);
        for error in [
            Segment::open(&path).unwrap_err(),
            Segment::create(&path, 4096).unwrap_err(),
            Segment::open_or_create(&path, 4096).unwrap_err(),
            Segment::builder(&path)
                .replace_dead(true)
                .create()
                .unwrap_err(),
            Segment::unlink(&path).unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::NotRegular { .. }),
                "{found}: {error}"
            );
        }
        let error = Segment::open(&path).unwrap_err();
        let kind = found.trim_end_matches(" to nothing");
        assert!(error.to_string().contains(kind), "{error}");
    }
    assert!(
        Path::new("/dev/null")
            .metadata()
            .unwrap()
            .file_type()
            .is_char_device()
    );
    let error = Segment::open(Path::new("/dev/null")).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotRegular {
                found: "a device",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(names_in(scratch.path()), before);
}

#[test]
fn descriptors_of_other_things_are_refused_by_name() {
    let scratch = Scratch::new();
    let directory = OwnedFd::from(std::fs::File::open(scratch.path()).unwrap());
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let (pipe, _other) = std::io::pipe().unwrap();
    for (descriptor, what) in [
        (directory, "a directory"),
        (OwnedFd::from(socket), "a socket"),
        (OwnedFd::from(pipe), "a FIFO"),
    ] {
        let error = Segment::open(descriptor).unwrap_err();
        assert!(matches!(error, Error::NotRegular { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn counts_and_sizes_outside_their_ranges_are_refused_and_the_least_ones_work() {
    let scratch = Scratch::new();
    let path = scratch.join("limits");
    let builder = || Segment::builder(&path);
    for (builder, what) in [
        (builder().size(0), "size of 0"),
        (builder().size((1 << 46) + 1), "size of"),
        (builder().size(usize::MAX), "size of"),
        (builder().participants(0), "participants of 0"),
        (builder().participants(4097), "participants of 4097"),
        (builder().participants(u32::MAX), "participants of"),
        (builder().handles(0), "handles of 0"),
        (builder().handles(65_536), "handles of 65536"),
        (builder().objects(0), "objects of 0"),
        (builder().objects(4097), "objects of 4097"),
    ] {
        let error = builder.create().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    for mode in [0, 0o200, 0o400, 0o066, 0o1600, 0o4600, 0o10600, u32::MAX] {
        let error = builder().mode(mode).create().unwrap_err();
        assert!(error.to_string().contains(&format!("{mode:#o}")), "{error}");
    }
    assert!(names_in(scratch.path()).is_empty());

    // As large as can be written down, and larger than this machine.
    let error = builder().size(1 << 46).create().unwrap_err();
    assert!(
        matches!(error, Error::NoSpace { .. } | Error::FileSizeLimit { .. }),
        "{error}"
    );
    assert!(names_in(scratch.path()).is_empty());

    let most = builder()
        .participants(4096)
        .handles(65_535)
        .objects(4096)
        .size(1)
        .create()
        .unwrap();
    assert_eq!(
        (most.participant_limit(), most.handle_limit()),
        (4096, 65_535)
    );
    drop(most);
    Segment::unlink(&path).unwrap();

    let least = builder()
        .participants(1)
        .handles(1)
        .objects(1)
        .size(1)
        .create()
        .unwrap();
    let error = Segment::open(&path).unwrap_err();
    assert!(
        matches!(
            error,
            Error::ParticipantsFull {
                limit: 1,
                dead: 0,
                ..
            }
        ),
        "{error}"
    );
    let owner = least.owner().unwrap();
    let error = least.owner().unwrap_err();
    assert!(
        matches!(error, Error::HandlesFull { limit: 1, .. }),
        "{error}"
    );
    drop(owner);
    least.owner().unwrap();
    least
        .create_object("only", &toy::spec(128), |_| Ok(()))
        .unwrap();
    let error = least
        .create_object("one more", &toy::spec(1), |_| Ok(()))
        .unwrap_err();
    assert!(
        matches!(error, Error::ObjectsFull { limit: 1, .. }),
        "{error}"
    );
    drop(least);
    Segment::open(&path).unwrap();
}

#[test]
fn nothing_that_is_refused_costs_a_descriptor() {
    alone(test_name!(), |scratch| {
        let whole = whole();
        let file = scratch.join("file");
        let refused = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            Segment::open(&file).unwrap_err();
            let descriptor = std::fs::File::options()
                .read(true)
                .write(true)
                .open(&file)
                .unwrap();
            Segment::open(OwnedFd::from(descriptor)).unwrap_err();
        };
        let before = descriptors();
        for _ in 0..3 {
            refused(b"");
            refused(&whole[..100]);
            refused(&whole[..whole.len() - 1]);
            refused(&resealed(whole.clone(), 12, &[9]));
            Segment::open(scratch).unwrap_err();
            Segment::create(&file, 4096).unwrap_err();
            Segment::create(scratch.join("x"), 1 << 46).unwrap_err();
            Segment::create(Place::memfd("x"), 1 << 46).unwrap_err();
            Segment::builder(scratch.join("x"))
                .create_with(|segment| {
                    segment.open_object("none", &toy::TOY, &TypeTag::of::<u64>())
                })
                .unwrap_err();
        }
        assert_eq!(descriptors(), before);
        assert_eq!(names_in(scratch), ["file"]);
        // What succeeds costs one, until it is dropped.
        std::fs::write(&file, &whole).unwrap();
        let segment = Segment::open(&file).unwrap();
        assert_eq!(descriptors().len(), before.len() + 1);
        drop(segment);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_process_without_descriptors_left_gets_an_error_and_leaves_nothing() {
    alone(test_name!(), |scratch| {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let path = scratch.join("segment");
        let existing = Segment::create(scratch.join("existing"), 4096).unwrap();
        let before = descriptors();
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
        let mut failures = 0;
        for left in 0.. {
            setrlimit(Resource::RLIMIT_NOFILE, used + left, hard).unwrap();
            let created = Segment::create(&path, 4096);
            let opened = Segment::open(scratch.join("existing"));
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
            if let (Ok(_), Ok(_)) = (&created, &opened) {
                break;
            }
            failures += 1;
            drop((created, opened));
            let _ = Segment::unlink(&path);
            assert_eq!(descriptors(), before);
            assert_eq!(names_in(scratch), ["existing"]);
            assert_eq!(existing.participants().unwrap().len(), 1);
        }
        assert!(failures > 0, "the limit does not limit");
    });
}

#[test]
fn a_name_of_non_ascii_characters_works() {
    let name = format!("{} ünïcode\n", test_kit::scratch::unique_name());
    let guard = ShmName(name.clone());
    let segment = Segment::create(name.clone(), 128).unwrap();
    assert_eq!(Segment::open(name).unwrap().uuid(), segment.uuid());
    assert!(guard.exists());
}
