//! Every form of pushing and popping byte records, in one process.

mod common;

use common::bytes::{Sizes, record, unnamed};
use ipc_core::{Error, Place, Segment};
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use ipc_queue::spsc::{OpenError, PopError, PushError, Ring};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(3);

fn both(ring: &ByteRing) -> (ByteProducer, ByteConsumer) {
    (ring.producer().unwrap(), ring.consumer().unwrap())
}

/// What a record of so many bytes takes of the capacity.
fn taken(len: usize) -> usize {
    8 + len.next_multiple_of(8)
}

type Push = fn(&mut ByteProducer, &[u8]) -> Result<(), PushError>;
type Pop = fn(&mut ByteConsumer) -> Result<Option<Vec<u8>>, PopError>;

/// All ways to push one record.
const PUSHES: [Push; 12] = [
    |tx, bytes| tx.try_push(bytes),
    |tx, bytes| tx.push(bytes),
    |tx, bytes| tx.push_timeout(bytes, SOON),
    |tx, bytes| {
        tx.try_push_batch(&[bytes])
            .map(|count| assert_eq!(count, 1))
    },
    |tx, bytes| tx.push_batch(&[bytes]),
    |tx, bytes| {
        tx.push_batch_timeout(&[bytes], SOON)
            .map(|count| assert_eq!(count, 1))
    },
    |tx, bytes| fill(tx.try_reserve(bytes.len())?, bytes),
    |tx, bytes| fill(tx.reserve(bytes.len())?, bytes),
    |tx, bytes| fill(tx.reserve_timeout(bytes.len(), SOON)?, bytes),
    // Less than was reserved.
    |tx, bytes| {
        fill(
            tx.reserve((bytes.len() + 9).min(tx.max_record()).max(bytes.len()))?,
            bytes,
        )
    },
    |tx, bytes| {
        let mut batch = tx.batch();
        batch.try_push(bytes)?;
        batch.commit()
    },
    |tx, bytes| {
        let mut batch = tx.batch();
        fill(batch.try_reserve(bytes.len())?, bytes)?;
        assert!(!batch.is_empty());
        batch.commit()
    },
];

fn fill(mut guard: ipc_queue::spsc::bytes::WriteGuard<'_>, bytes: &[u8]) -> Result<(), PushError> {
    assert!(guard.as_ptr().addr().is_multiple_of(8));
    guard[..bytes.len()].copy_from_slice(bytes);
    guard.commit(bytes.len())
}

/// All ways to pop one record.
const POPS: [Pop; 10] = [
    |rx| vector(|into| rx.try_pop_into(into)),
    |rx| vector(|into| rx.pop_into(into)),
    |rx| vector(|into| rx.pop_into_timeout(into, SOON)),
    |rx| {
        let mut into = vec![0xEE; rx.max_record()];
        let len = rx.pop_into(into.as_mut_slice())?;
        Ok(len.map(|len| {
            assert!(into[len..].iter().all(|&byte| byte == 0xEE));
            into[..len].to_vec()
        }))
    },
    |rx| Ok(rx.try_take()?.map(|it| it.to_vec())),
    |rx| Ok(rx.take()?.map(|it| it.to_vec())),
    |rx| Ok(rx.take_timeout(SOON)?.map(|it| it.to_vec())),
    |rx| Ok(rx.try_take_batch(1)?.map(|it| only(it.iter()))),
    |rx| Ok(rx.take_batch(1)?.map(|it| only(it.iter()))),
    |rx| Ok(rx.take_batch_timeout(1, SOON)?.map(|it| only(it.iter()))),
];

fn vector(
    pop: impl FnOnce(&mut Vec<u8>) -> Result<Option<usize>, PopError>,
) -> Result<Option<Vec<u8>>, PopError> {
    let mut into = b"what was in it before".to_vec();
    Ok(pop(&mut into)?.map(|len| {
        assert_eq!(len, into.len());
        into
    }))
}

fn only<'a>(mut records: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    assert_eq!(records.len(), 1);
    records.next().unwrap().to_vec()
}

#[test]
fn records_of_every_length_arrive_whole_in_every_form() {
    for Sizes {
        capacity,
        max_record,
    } in Sizes::around_boundaries()
    {
        let ring = unnamed(capacity, max_record);
        let (mut tx, mut rx) = both(&ring);
        let mut number = 0;
        for len in 0..=max_record {
            for form in 0..PUSHES.len().max(POPS.len()) {
                let bytes = record(number, len);
                PUSHES[form % PUSHES.len()](&mut tx, &bytes).unwrap();
                assert_eq!(rx.used().unwrap(), taken(len));
                let popped = POPS[(form + number as usize) % POPS.len()](&mut rx).unwrap();
                assert_eq!(popped, Some(bytes), "{capacity} {max_record} {len} {form}");
                number += 1;
            }
        }
        assert_eq!((tx.used().unwrap(), rx.is_empty().unwrap()), (0, true));
    }
}

#[test]
fn a_record_beyond_the_longest_is_an_error_that_names_both_lengths() {
    for max_record in [0, 1, 7, 8, 100] {
        let ring = unnamed(1024, max_record);
        let (mut tx, mut rx) = both(&ring);
        assert_eq!((ring.max_record(), tx.max_record(), rx.max_record()), {
            (max_record, max_record, max_record)
        });
        for len in [max_record + 1, max_record + 1000] {
            for (form, push) in PUSHES.iter().enumerate() {
                let error = push(&mut tx, &vec![1; len]).unwrap_err();
                assert!(
                    matches!(error, PushError::TooLong { len: l, most } if (l, most) == (len, max_record)),
                    "{form}: {error}"
                );
                let text = error.to_string();
                assert!(text.contains(&len.to_string()) && text.contains(&max_record.to_string()));
            }
            // In the middle of a batch too, and nothing of it is pushed.
            let (short, long) = (vec![1; max_record], vec![1; len]);
            for count in [
                tx.try_push_batch(&[&short, &long]).map(drop),
                tx.push_batch(&[&short, &long]),
                tx.push_batch_timeout(&[&short, &long], SOON).map(drop),
            ] {
                assert!(matches!(count, Err(PushError::TooLong { .. })));
            }
        }
        for len in [usize::MAX, usize::MAX - 7, usize::MAX / 2] {
            assert!(matches!(
                tx.try_reserve(len).map(drop),
                Err(PushError::TooLong { .. })
            ));
            assert!(matches!(
                tx.batch().try_reserve(len).map(drop),
                Err(PushError::TooLong { .. })
            ));
        }
        // More than was reserved.
        let guard = tx.reserve(max_record).unwrap();
        assert!(matches!(guard.commit(max_record + 1),
            Err(PushError::TooLong { len, most }) if (len, most) == (max_record + 1, max_record)));
        assert!(rx.is_empty().unwrap());
    }
}

#[test]
fn a_buffer_that_is_too_short_is_an_error_and_loses_nothing() {
    let ring = unnamed(256, 100);
    let (mut tx, mut rx) = both(&ring);
    for len in [1, 8, 63, 64, 65, 100] {
        let bytes = record(1, len);
        tx.push(&bytes).unwrap();
        for room in [0, len / 2, len - 1] {
            let mut short = vec![0xEE; room];
            let tries: [fn(&mut ByteConsumer, &mut [u8]) -> PopError; 3] = [
                |rx, into| rx.try_pop_into(into).unwrap_err(),
                |rx, into| rx.pop_into(into).unwrap_err(),
                |rx, into| rx.pop_into_timeout(into, SOON).unwrap_err(),
            ];
            for pop in tries {
                let error = pop(&mut rx, &mut short);
                assert!(
                    matches!(error, PopError::TooShort { len: l, room: r } if (l, r) == (len, room)),
                    "{error}"
                );
                let text = error.to_string();
                assert!(text.contains(&len.to_string()) && text.contains(&room.to_string()));
                assert_eq!(rx.used().unwrap(), taken(len));
            }
            assert!(short.iter().all(|&byte| byte == 0xEE));
        }
        let mut fits = [0; 100];
        assert_eq!(rx.pop_into(&mut fits[..len]).unwrap(), Some(len));
        assert_eq!(fits[..len], bytes);
    }
    // A record without bytes fits everywhere.
    tx.push(&[]).unwrap();
    assert_eq!(rx.pop_into(&mut [] as &mut [u8; 0]).unwrap(), Some(0));
}

#[test]
fn a_ring_holds_exactly_its_capacity() {
    for Sizes {
        capacity,
        max_record,
    } in Sizes::around_boundaries()
    {
        let ring = unnamed(capacity, max_record);
        assert_eq!(ring.capacity(), capacity.next_multiple_of(8));
        let (mut tx, mut rx) = both(&ring);
        assert_eq!(
            (tx.capacity(), rx.capacity()),
            (ring.capacity(), ring.capacity())
        );
        // Filled up with records of each length from each place of the ring.
        for start in 0..ring.capacity() / 8 {
            for len in [0, 1, 8, 9, max_record / 2, max_record] {
                if len > max_record {
                    continue;
                }
                let fit = ring.capacity() / taken(len);
                for number in 0..fit {
                    tx.try_push(&record(number as u64, len)).unwrap();
                }
                assert_eq!(tx.used().unwrap(), fit * taken(len));
                // What is left over takes what fits, and not more.
                let left = ring.capacity() - fit * taken(len);
                if left >= 8 && max_record >= left - 8 {
                    tx.try_push(&record(9, left - 8)).unwrap();
                    assert_eq!(tx.used().unwrap(), ring.capacity());
                    assert!(matches!(tx.try_push(&[]), Err(PushError::Full)));
                }
                for push in [0, 3, 6, 10, 11] {
                    let refused = PUSHES[push](&mut tx, &record(0, len));
                    assert!(
                        matches!(refused, Err(PushError::Full)),
                        "{push} {refused:?}"
                    );
                }
                for push in [2, 5, 8] {
                    if start + len == 0 {
                        let refused = PUSHES[push](&mut tx, &record(0, len));
                        assert!(
                            matches!(refused, Err(PushError::TimedOut)),
                            "{push} {refused:?}"
                        );
                    }
                }
                for number in 0..fit {
                    let popped = POPS[0](&mut rx).unwrap();
                    assert_eq!(popped, Some(record(number as u64, len)));
                }
                if rx.used().unwrap() > 0 {
                    assert_eq!(POPS[0](&mut rx).unwrap(), Some(record(9, left - 8)));
                }
                assert!(matches!(POPS[0](&mut rx), Err(PopError::Empty)));
            }
            // One unit further round the ring.
            tx.push(&[]).unwrap();
            drop(rx.take().unwrap());
        }
    }
}

#[test]
fn what_is_reserved_is_a_record_only_after_commit() {
    let ring = unnamed(64, 40);
    let (mut tx, mut rx) = both(&ring);
    for _ in 0..20 {
        let mut guard = tx.reserve(40).unwrap();
        guard.fill(1);
        assert!(rx.is_empty().unwrap());
        drop(guard);
        assert!(rx.is_empty().unwrap());
        let mut guard = tx.reserve(40).unwrap();
        guard[..3].copy_from_slice(b"yes");
        guard.commit(3).unwrap();
        assert_eq!(rx.used().unwrap(), taken(3), "the rest is free again");
        assert_eq!(POPS[0](&mut rx).unwrap().unwrap(), b"yes");
    }
}

#[test]
fn a_batch_is_visible_as_a_whole_or_not_at_all() {
    let ring = unnamed(256, 40);
    let (mut tx, mut rx) = both(&ring);
    for number in 0..50 {
        let mut batch = tx.batch();
        assert!(batch.is_empty());
        batch.try_push(&record(number, 10)).unwrap();
        fill(batch.try_reserve(40).unwrap(), &record(number + 1, 20)).unwrap();
        drop(batch.try_reserve(40).unwrap());
        batch.try_push(&[]).unwrap();
        assert!(rx.is_empty().unwrap());
        if number % 3 == 0 {
            batch.commit().unwrap();
            let batch = rx.take_batch(10).unwrap().unwrap();
            assert_eq!((batch.len(), batch.is_empty()), (3, false));
            let records: Vec<_> = batch.iter().collect();
            assert_eq!(
                records,
                [&record(number, 10)[..], &record(number + 1, 20), &[]]
            );
            drop(batch);
        }
        assert!(rx.is_empty().unwrap());
        tx.push(&record(number, 7)).unwrap();
        assert_eq!(POPS[0](&mut rx).unwrap(), Some(record(number, 7)));
    }
    // Full with what is in the batch.
    let mut batch = tx.batch();
    for number in 0..256 / taken(40) {
        batch.try_push(&record(number as u64, 40)).unwrap();
    }
    assert!(matches!(batch.try_push(&[0; 40]), Err(PushError::Full)));
    assert!(matches!(
        batch.try_reserve(40).map(drop),
        Err(PushError::Full)
    ));
    batch.try_push(&[0; 8]).unwrap();
    assert!(matches!(batch.try_push(&[]), Err(PushError::Full)));
    batch.commit().unwrap();
    assert_eq!(rx.used().unwrap(), 256);
    tx.batch().commit().unwrap();
    assert_eq!(rx.used().unwrap(), 256);
}

#[test]
fn batches_are_taken_and_pushed_as_far_as_they_fit() {
    let ring = unnamed(160, 24);
    let (mut tx, mut rx) = both(&ring);
    let many: Vec<_> = (0..20).map(|number| record(number, 24)).collect();
    assert_eq!(tx.try_push_batch(&many).unwrap(), 5);
    assert!(matches!(tx.try_push_batch(&many), Err(PushError::Full)));
    assert!(matches!(
        tx.push_batch_timeout(&many, SOON),
        Err(PushError::TimedOut)
    ));
    let none: &[&[u8]] = &[];
    assert_eq!(tx.try_push_batch(none).unwrap(), 0);
    assert_eq!(tx.push_batch_timeout(none, SOON).unwrap(), 0);
    tx.push_batch(none).unwrap();

    let batch = rx.take_batch(3).unwrap().unwrap();
    assert!(batch.iter().eq(&many[..3]));
    assert!(batch.iter().rev().eq(many[..3].iter().rev()));
    batch.release_back();
    assert_eq!(rx.used().unwrap(), 160);
    std::mem::forget(rx.take_batch(3).unwrap().unwrap());
    assert_eq!(rx.used().unwrap(), 160);
    assert!(rx.take_batch(0).unwrap().unwrap().is_empty());
    drop(rx.take_batch(2).unwrap().unwrap());
    assert_eq!(rx.used().unwrap(), 96);
    // The two that fit, and which the consumer does not know of yet.
    assert_eq!(tx.push_batch_timeout(&many[5..], SOON).unwrap(), 2);
    let batch = rx.take_batch(usize::MAX).unwrap().unwrap();
    assert!(batch.iter().eq(&many[2..7]));
    drop(batch);
    assert!(matches!(
        rx.try_take_batch(1).map(drop),
        Err(PopError::Empty)
    ));
    assert!(matches!(
        rx.take_batch_timeout(1, SOON).map(drop),
        Err(PopError::TimedOut)
    ));

    // More than the ring holds goes through it.
    std::thread::scope(|scope| {
        scope.spawn(move || {
            tx.push_batch(&many).unwrap();
            tx.close().unwrap();
        });
        let mut number = 0;
        while let Some(batch) = rx.take_batch(4).unwrap() {
            for bytes in batch.iter() {
                assert_eq!(bytes, record(number, 24));
                number += 1;
            }
        }
        assert_eq!(number, 20);
    });
}

#[test]
fn a_taken_record_stays_until_its_guard_is_dropped() {
    let ring = unnamed(64, 24);
    let (mut tx, mut rx) = both(&ring);
    tx.push(b"first").unwrap();
    tx.push(b"second").unwrap();
    for _ in 0..2 {
        let guard = rx.take().unwrap().unwrap();
        assert_eq!(&*guard, b"first");
        assert_eq!(tx.used().unwrap(), 32);
        guard.release_back();
        std::mem::forget(rx.take().unwrap());
    }
    drop(rx.take().unwrap());
    assert_eq!(tx.used().unwrap(), 16);
    assert_eq!(&*rx.try_take().unwrap().unwrap(), b"second");
    assert!(matches!(rx.try_take().map(drop), Err(PopError::Empty)));
}

#[test]
fn the_end_comes_after_the_last_record_and_stays() {
    for (last, pop) in POPS.iter().enumerate() {
        let ring = unnamed(64, 24);
        let (mut tx, mut rx) = both(&ring);
        tx.push(&[]).unwrap();
        tx.push(b"last").unwrap();
        tx.close().unwrap();
        assert_eq!(pop(&mut rx).unwrap().as_deref(), Some(&b""[..]), "{last}");
        assert_eq!(
            pop(&mut rx).unwrap().as_deref(),
            Some(&b"last"[..]),
            "{last}"
        );
        for pop in POPS {
            assert_eq!(pop(&mut rx).unwrap(), None);
        }
        assert!(matches!(ring.producer(), Err(OpenError::Ended { .. })));
        drop(rx);
        assert_eq!(pop(&mut ring.consumer().unwrap()).unwrap(), None);
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for (capacity, max_record) in [
        (0, 0),
        (7, 0),
        (15, 8),
        (16, 9),
        (100, 93),
        (usize::MAX, 8),
        (usize::MAX, usize::MAX),
        (1 << 20, usize::MAX),
        ((1 << 40) + 1, 8),
        (1 << 40, (1 << 40) - 7),
    ] {
        for error in [
            ByteRing::create(Place::memfd("test"), capacity, max_record).map(drop),
            ByteRing::open_or_create(Place::memfd("test"), capacity, max_record).map(drop),
            ByteRing::size_for(capacity, max_record).map(drop),
        ] {
            assert!(
                matches!(error, Err(Error::OutOfRange { .. })),
                "{capacity} {max_record}"
            );
        }
    }
    let error = ByteRing::create(Place::memfd("test"), 1 << 40, 8).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
}

#[test]
fn rings_lie_beside_others_and_are_found_by_name_and_kind() {
    let (capacity, max_record) = (100, 30);
    let size = ByteRing::size_for(capacity, max_record).unwrap();
    let segment = Segment::create(Place::memfd("test"), 2 * size).unwrap();
    let one = ByteRing::create_in(&segment, "one", capacity, max_record).unwrap();
    ByteRing::create_in(&segment, "two", capacity, max_record).unwrap();
    let error = ByteRing::create_in(&segment, "three", 8, 0).unwrap_err();
    assert!(matches!(error, Error::SegmentFull { .. }), "{error}");
    let error = Ring::<u8>::open_in(&segment, "one").unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
    let same = ByteRing::open_in(&segment, "one").unwrap();
    assert_eq!((same.capacity(), same.max_record()), (104, 30));
    let mut tx = one.producer().unwrap();
    tx.push(b"to one").unwrap();
    assert_eq!((one.pushed().unwrap(), one.taken().unwrap()), (16, 0));
    let two = ByteRing::open_in(&segment, "two").unwrap();
    assert!(two.consumer().unwrap().is_empty().unwrap());
    assert_eq!(
        &*same.consumer().unwrap().take().unwrap().unwrap(),
        b"to one"
    );
    assert_eq!((same.pushed().unwrap(), same.taken().unwrap()), (16, 16));

    let name = common::ShmName::new();
    let ring = ByteRing::open_or_create(name.0.as_str(), 64, 8).unwrap();
    let same = ByteRing::open_or_create(name.0.as_str(), 128, 16).unwrap();
    assert_eq!((same.capacity(), same.max_record()), (64, 8));
    assert_eq!(
        ring.segment().uuid(),
        ByteRing::open(name.0.as_str()).unwrap().segment().uuid()
    );
}

#[test]
fn a_segment_that_others_can_write_to_has_the_copying_forms_only() {
    let (_, ring) = Segment::builder(Place::memfd("test"))
        .mode(0o620)
        .create_with(|segment| ByteRing::create_in(segment, "ring", 256, 100))
        .unwrap();
    let (mut tx, mut rx) = both(&ring);
    for (form, push) in PUSHES.iter().enumerate() {
        let pushed = push(&mut tx, b"record");
        if [6, 7, 8, 9, 11].contains(&form) {
            assert!(
                matches!(pushed, Err(PushError::NotPrivate)),
                "{form} {pushed:?}"
            );
        } else {
            pushed.unwrap();
            assert_eq!(POPS[form % 4](&mut rx).unwrap().unwrap(), b"record");
        }
    }
    tx.push(b"record").unwrap();
    for pop in &POPS[4..] {
        assert!(matches!(pop(&mut rx), Err(PopError::NotPrivate)));
    }
    assert_eq!(POPS[0](&mut rx).unwrap().unwrap(), b"record");
}

#[test]
fn the_roles_can_go_to_other_threads_and_the_ring_be_shared() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<ByteProducer>();
    send::<ByteConsumer>();
    send::<ByteRing>();
    sync::<ByteRing>();
}
