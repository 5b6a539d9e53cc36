//! The directory: objects are found by name, are what they are said to be, and each has room of
//! its own.

#![cfg(not(loom))]

mod common;

use common::toy::{OTHER, TOY, set_word, spec, word};
use ipc_core::{Error, Kind, ObjectInfo, ObjectSpec, Place, Segment, TypeTag};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use test_kit::patience::PATIENCE;
use test_kit::solo::alone;

fn segment(size: usize, objects: u32) -> Segment {
    let builder = Segment::builder(Place::memfd("directory"))
        .size(size)
        .objects(objects);
    builder.create().unwrap()
}

/// Every object within the segment, aligned, and apart from all the others.
#[track_caller]
fn check_apart(objects: &[ObjectInfo]) {
    let mut objects: Vec<_> = objects.iter().collect();
    objects.sort_by_key(|info| info.offset);
    for pair in objects.windows(2) {
        assert!(
            pair[0].offset + pair[0].len <= pair[1].offset,
            "{pair:?} overlap"
        );
    }
    for info in objects {
        assert_eq!(info.offset % 128, 0, "{info:?}");
    }
}

#[test]
fn objects_are_created_listed_and_opened() {
    let segment = segment(4096, 8);
    assert!(segment.objects().unwrap().is_empty());
    for (name, len) in [("a", 1), ("ünï code/..", 129), (&"x".repeat(63), 128)] {
        let object = segment.create_object(name, &spec(len), |_| Ok(())).unwrap();
        assert_eq!(object.info().len, len);
        assert_eq!(object.info().name, name);
    }
    let listed = segment.objects().unwrap();
    assert_eq!(listed.len(), 3);
    check_apart(&listed);
    for info in listed {
        let found = segment
            .open_object(&info.name, &TOY, &TypeTag::of::<u64>())
            .unwrap();
        assert_eq!(found.info().offset, info.offset);
        assert_eq!(info.kind, "toy");
        assert_eq!(info.config, [1, 2, 3, 4]);
        assert_eq!(info.element, TypeTag::of::<u64>());
        assert!(info.offset + info.len <= segment.len());
    }
}

#[test]
fn another_attachment_sees_what_was_written() {
    let segment = segment(4096, 8);
    let object = segment
        .create_object("object", &spec(16), |object| {
            set_word(object, 8, 7);
            Ok(())
        })
        .unwrap();
    let other = Segment::open(segment.descriptor().unwrap()).unwrap();
    let same = other
        .open_object("object", &TOY, &TypeTag::of::<u64>())
        .unwrap();
    assert_eq!(word(&same, 8), 7);
    set_word(&same, 0, 9);
    assert_eq!(word(&object, 0), 9);
}

#[test]
fn what_does_not_fit_is_refused_and_names_both_sides() {
    let segment = segment(4096, 8);
    segment
        .create_object("object", &spec(128), |_| Ok(()))
        .unwrap();
    let element = TypeTag::of::<u64>();

    let error = segment.open_object("object", &OTHER, &element).unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
    for part in ["\"object\"", "a toy", "other"] {
        assert!(error.to_string().contains(part), "{error}");
    }

    for (wrong, parts) in [
        (
            TypeTag::of::<i64>(),
            ["u64 (8 bytes, aligned to 8)", "i64 (8 bytes, aligned to 8)"],
        ),
        (
            TypeTag::named::<u32>("u64"),
            ["u64 (8 bytes", "u64 (4 bytes"],
        ),
        (
            TypeTag::named::<[u8; 8]>("u64"),
            ["aligned to 8", "aligned to 1"],
        ),
    ] {
        let error = segment.open_object("object", &TOY, &wrong).unwrap_err();
        assert!(matches!(error, Error::WrongType { .. }), "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    let error = segment.open_object("objekt", &TOY, &element).unwrap_err();
    assert!(matches!(error, Error::ObjectNotFound { .. }), "{error}");
    assert!(error.to_string().contains("it has: object"), "{error}");

    let error = segment
        .create_object("object", &spec(8), |_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, Error::ObjectExists { .. }), "{error}");
    assert_eq!(segment.objects().unwrap().len(), 1);
}

#[test]
fn a_part_outside_the_object_cannot_be_reached() {
    use std::sync::atomic::AtomicU64;
    let segment = segment(4096, 8);
    let object = segment
        .create_object("object", &spec(24), |_| Ok(()))
        .unwrap();
    object.structure::<AtomicU64>(16).unwrap();
    for offset in [17, 24, 1 << 20, u64::MAX - 7, u64::MAX] {
        let error = object.structure::<AtomicU64>(offset).unwrap_err();
        assert!(
            matches!(error, Error::Corrupted { .. }),
            "{offset}: {error}"
        );
        assert!(error.to_string().contains("\"object\""), "{error}");
    }
    // Within, but not aligned.
    object.structure::<AtomicU64>(4).unwrap_err();
    object.slots::<u64>(0, 2).unwrap();
    for (offset, slots) in [
        (0, 4),
        (16, 2),
        (0, 3),
        (0, 0),
        (0, 1 << 63),
        (u64::MAX, 1),
        (4, 1),
    ] {
        object.slots::<u64>(offset, slots).unwrap_err();
    }
}

#[test]
fn impossible_descriptions_are_refused() {
    static LONG: Kind = Kind {
        name: "a kind whose name is longer than 23 bytes",
        sweep: |_, _| Ok(()),
    };
    let segment = segment(4096, 8);
    for name in ["", "a\0b", &"x".repeat(64)] {
        let error = segment
            .create_object(name, &spec(8), |_| Ok(()))
            .unwrap_err();
        assert!(matches!(error, Error::InvalidName { .. }), "{error}");
    }
    let error = segment
        .create_object("empty", &spec(0), |_| Ok(()))
        .unwrap_err();
    assert!(
        matches!(error, Error::OutOfRange { asked: 0, .. }),
        "{error}"
    );
    for len in [4097, u64::MAX - 1, u64::MAX] {
        let error = segment
            .create_object("large", &spec(len), |_| Ok(()))
            .unwrap_err();
        assert!(
            matches!(error, Error::SegmentFull { free: 4096, .. }),
            "{error}"
        );
    }
    // A kind that could never be recognised.
    let long = ObjectSpec {
        kind: &LONG,
        ..spec(8)
    };
    let error = segment
        .create_object("long", &long, |_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, Error::InvalidName { .. }), "{error}");
    let mut long = spec(8);
    long.element.name = "x".repeat(64);
    let error = segment
        .create_object("long", &long, |_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, Error::InvalidName { .. }), "{error}");
    assert!(segment.objects().unwrap().is_empty());
    segment
        .create_object("all", &spec(4096), |_| Ok(()))
        .unwrap();
}

#[test]
fn the_listing_needs_no_knowledge_of_the_types() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("lister", &|worker: &mut Worker| {
            let segment = Segment::open(worker.take_fd("segment")?)?;
            let lines: Vec<_> = segment
                .objects()?
                .into_iter()
                .map(|info| format!("{}: {} of {}", info.name, info.kind, info.element))
                .collect();
            Ok(worker.set_result(lines.join("\n").as_bytes())?)
        })],
    );
    #[repr(C, align(64))]
    struct Mine([u64; 9]);
    let segment = segment(4096, 8);
    let mine = ObjectSpec {
        element: TypeTag::of::<Mine>(),
        ..spec(8)
    };
    segment.create_object("one", &mine, |_| Ok(())).unwrap();
    let other = ObjectSpec {
        kind: &OTHER,
        ..spec(8)
    };
    segment.create_object("two", &other, |_| Ok(())).unwrap();
    let mut lister = Process::builder(test, "lister")
        .fd("segment", segment.descriptor().unwrap())
        .under_test(test)
        .spawn()
        .unwrap();
    let exit = lister.join_timeout(PATIENCE).unwrap().expect("it hangs");
    let listing = String::from_utf8(exit.into_result().unwrap()).unwrap();
    assert_eq!(
        listing,
        "one: toy of Mine (128 bytes, aligned to 64)\ntwo: other of u64 (8 bytes, aligned to 8)"
    );
    let Mine(_) = Mine([0; 9]);
}

#[test]
fn a_failed_init_leaves_nothing_and_its_room_comes_back_zeroed() {
    let segment = segment(1024, 2);
    for round in 0..20 {
        let error = segment
            .create_object("object", &spec(1024), |object| {
                for offset in (0..1024).step_by(8) {
                    assert_eq!(word(object, offset), 0, "round {round}, offset {offset}");
                    set_word(object, offset, u64::MAX);
                }
                // Not to be found before it is complete.
                assert!(segment.objects().unwrap().is_empty());
                let found = segment.open_object("object", &TOY, &TypeTag::of::<u64>());
                assert!(matches!(found, Err(Error::ObjectNotFound { .. })));
                Err(Error::InvalidName {
                    name: "mine".to_owned(),
                    reason: "of the caller",
                })
            })
            .unwrap_err();
        assert!(error.to_string().contains("of the caller"), "{error}");
        assert!(segment.objects().unwrap().is_empty());
    }
    let object = segment
        .create_object("object", &spec(1024), |_| Ok(()))
        .unwrap();
    assert!(
        (0..1024)
            .step_by(8)
            .all(|offset| word(&object, offset) == 0)
    );
}

#[test]
fn init_may_create_another_object() {
    let segment = segment(1024, 2);
    segment
        .create_object("outer", &spec(512), |_| {
            segment
                .create_object("inner", &spec(512), |_| Ok(()))
                .map(drop)
        })
        .unwrap();
    assert_eq!(segment.objects().unwrap().len(), 2);
}

#[test]
fn a_panic_in_init_leaves_nothing_that_is_not_swept() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        let builder = Segment::builder(&path).size(1024).objects(1);
        let segment = builder.create().unwrap();
        std::panic::set_hook(Box::new(|_| {}));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = segment.create_object("object", &spec(1024), |_| panic!("in init"));
        }));
        let _ = std::panic::take_hook();
        assert!(panicked.is_err());
        assert!(segment.objects().unwrap().is_empty());
        // The same process goes on, and can try again.
        segment
            .create_object("object", &spec(1024), |_| Ok(()))
            .unwrap();
    });
}

#[test]
fn abandoned_rooms_do_not_keep_others_out() {
    let fail = |segment: &Segment, len| {
        let failed = segment.create_object("failed", &spec(len), |object| {
            object
                .structure::<std::sync::atomic::AtomicU64>(len)
                .map(drop)
        });
        assert!(matches!(failed, Err(Error::Corrupted { .. })));
    };
    // A small object does not take a large room while there is other room.
    let one = segment(4096, 8);
    fail(&one, 2048);
    one.create_object("small", &spec(128), |_| Ok(())).unwrap();
    one.create_object("large", &spec(2048), |_| Ok(())).unwrap();
    check_apart(&one.objects().unwrap());

    // Of several rooms the one that fits best is taken.
    let two = segment(1024 + 512 + 256, 8);
    let nested = two.create_object("failed", &spec(1024), |_| {
        let nested = two.create_object("failed too", &spec(256), |_| {
            let _ = two.create_object("and this", &spec(512), |_| Err(some_error()));
            Err(some_error())
        });
        nested.map(drop)
    });
    assert!(nested.is_err());
    for len in [128, 512, 1024] {
        two.create_object(&format!("{len}"), &spec(len), |_| Ok(()))
            .unwrap();
    }
    check_apart(&two.objects().unwrap());

    // If there is no other room, a larger one is better than none.
    let three = segment(1024, 8);
    fail(&three, 1024);
    three
        .create_object("small", &spec(128), |_| Ok(()))
        .unwrap();
}

fn some_error() -> Error {
    Error::InvalidName {
        name: "mine".to_owned(),
        reason: "of the caller",
    }
}

#[test]
fn kinds_are_registered_once() {
    for _ in 0..200 {
        TOY.register();
        OTHER.register();
    }
}
