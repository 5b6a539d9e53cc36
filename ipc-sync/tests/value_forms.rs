//! What values and arrays do within one process: forms, sizes, integers, errors, readers beside
//! writers.

mod robust;

use ipc_core::{Error, Payload};
use ipc_sync::{Array, Integer, Value, WriteError};
use robust::{Forked, segment};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn every_form<T: Payload + PartialEq + std::fmt::Debug>(values: [T; 4]) {
    let segment = segment();
    let value = Value::create_in(&segment, "value", values[0]).unwrap();
    let other = Value::<T>::open_in(&segment, "value").unwrap();
    assert_eq!(other.get().unwrap(), values[0]);
    // More often than there are spare cells.
    for round in 0..40 {
        let [old, new] = [values[round % 4], values[(round + 1) % 4]];
        let writer = [&value, &other][round % 2];
        match round % 5 {
            0 => writer.set(new).unwrap(),
            1 => writer.try_set(new).unwrap(),
            2 => writer.set_timeout(new, Duration::ZERO).unwrap(),
            3 => assert_eq!(
                writer
                    .update(|seen| {
                        assert_eq!(seen, old);
                        new
                    })
                    .unwrap(),
                old
            ),
            _ => {
                let kept = writer.try_update(Duration::MAX, |_| None).unwrap();
                assert_eq!(kept, Err(old));
                let changed = writer.try_update(Duration::MAX, |_| Some(new)).unwrap();
                assert_eq!(changed, Ok(old));
            }
        }
        assert_eq!((value.get().unwrap(), other.get().unwrap()), (new, new));
    }

    let array = Array::create_in(&segment, "array", 5, |at| values[at % 4]).unwrap();
    let other = Array::<T>::open_in(&segment, "array").unwrap();
    assert_eq!(other.len(), 5);
    let mut expected: Vec<T> = (0..5).map(|at| values[at % 4]).collect();
    for round in 0..60 {
        assert_eq!(other.to_vec().unwrap(), expected);
        let (at, new) = (round % 5, values[(round * 7 + 3) % 4]);
        let old = array.update(at, |_| new).unwrap();
        assert_eq!(std::mem::replace(&mut expected[at], new), old);
        assert_eq!(other.get(at).unwrap(), new);
        other.set(at, new).unwrap();
    }
    for outside in [5, 6, usize::MAX] {
        assert!(matches!(array.get(outside), Err(Error::OutOfRange { .. })));
        let refused = array.set(outside, values[0]);
        assert!(matches!(
            refused,
            Err(WriteError::Segment(Error::OutOfRange { .. }))
        ));
    }
}

#[test]
fn values_of_every_size() {
    every_form([1u8, 2, 255, 0]);
    every_form([[1u8, 2, 3], [4, 5, 6], [0; 3], [255; 3]]);
    every_form([1u16, 2, u16::MAX, 0]);
    every_form([1.5f32, -2.0, 0.0, f32::MAX]);
    every_form([[1u8; 5], [2; 5], [0; 5], [255; 5]]);
    every_form([1u64, 2, u64::MAX, 0]);
    every_form([[1u8; 9], [2; 9], [0; 9], [255; 9]]);
    every_form([1u128, 2, u128::MAX, 0]);
    every_form([[1u64; 100], [2; 100], [0; 100], [u64::MAX; 100]]);
    every_form([(); 4]);
}

fn integers<T: Integer + std::fmt::Debug>(number: impl Fn(i8) -> T, most: T, least: T) {
    let segment = segment();
    let value = Value::create_in(&segment, "value", number(6)).unwrap();
    let steps: [(&str, T, T); 9] = [
        ("add", value.fetch_add(number(7)).unwrap(), number(6)),
        ("sub", value.fetch_sub(number(3)).unwrap(), number(13)),
        ("and", value.fetch_and(number(6)).unwrap(), number(10)),
        ("or", value.fetch_or(number(9)).unwrap(), number(2)),
        ("xor", value.fetch_xor(number(1)).unwrap(), number(11)),
        ("max", value.fetch_max(number(20)).unwrap(), number(10)),
        ("min", value.fetch_min(number(5)).unwrap(), number(20)),
        (
            "set",
            {
                value.set(most).unwrap();
                value.fetch_add(number(1)).unwrap()
            },
            most,
        ),
        ("round", value.get().unwrap(), least),
    ];
    for (what, is, should) in steps {
        assert_eq!(is, should, "{what}");
    }
    let array = Array::create_in(&segment, "array", 9, |_| number(1)).unwrap();
    for at in 0..9 {
        array.fetch_add(at, number(at as i8)).unwrap();
    }
    assert_eq!(array.fetch_max(4, number(100)).unwrap(), number(5));
    assert_eq!(array.fetch_sub(4, number(95)).unwrap(), number(100));
    let all = array.to_vec().unwrap();
    assert_eq!(all, (1..10).map(number).collect::<Vec<_>>());
    assert!(array.fetch_add(9, most).is_err());
}

#[test]
fn integers_of_every_kind() {
    integers(|it| it as u8, u8::MAX, 0);
    integers(|it| it as u16, u16::MAX, 0);
    integers(|it| it as u32, u32::MAX, 0);
    integers(|it| it as u64, u64::MAX, 0);
    integers(|it| it as usize, usize::MAX, 0);
    integers(|it| it, i8::MAX, i8::MIN);
    integers(|it| it as i16, i16::MAX, i16::MIN);
    integers(|it| it as i32, i32::MAX, i32::MIN);
    integers(|it| it as i64, i64::MAX, i64::MIN);
    integers(|it| it as isize, isize::MAX, isize::MIN);
}

#[test]
fn no_update_is_lost_and_no_value_is_torn() {
    const THREADS: u64 = 4;
    fn run<const N: usize>(rounds: u64) {
        let segment = segment();
        let value = Value::create_in(&segment, "value", [0u64; N]).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let value = Value::<[u64; N]>::open_in(&segment, "value").unwrap();
                        let mut last = 0;
                        while !over.load(Ordering::Relaxed) {
                            let seen = value.get().unwrap();
                            assert!(seen.iter().all(|it| *it == seen[0]), "torn: {seen:?}");
                            assert!(seen[0] >= last, "back from {last} to {}", seen[0]);
                            last = seen[0];
                        }
                    })
                })
                .collect();
            let writers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let shared = value.clone();
                    let segment = &segment;
                    scope.spawn(move || {
                        // Half of them share a handle.
                        let value = match thread % 2 {
                            0 => shared,
                            _ => Value::<[u64; N]>::open_in(segment, "value").unwrap(),
                        };
                        for _ in 0..rounds {
                            value.update(|seen| seen.map(|it| it + 1)).unwrap();
                        }
                    })
                })
                .collect();
            let written: Vec<_> = writers.into_iter().map(|it| it.join()).collect();
            over.store(true, Ordering::Relaxed);
            let read: Vec<_> = readers.into_iter().map(|it| it.join()).collect();
            assert!(written.iter().chain(&read).all(Result::is_ok));
        });
        assert_eq!(value.get().unwrap(), [THREADS * rounds; N]);
    }
    // The shorter a change, the more of them for two to meet.
    run::<1>(200_000);
    run::<2>(3_000);
    run::<40>(3_000);
    run::<1000>(3_000);
}

#[test]
fn neighbours_in_one_word_do_not_disturb_each_other() {
    let segment = segment();
    let array = Array::<u8>::create_in(&segment, "array", 8, |_| 0).unwrap();
    std::thread::scope(|scope| {
        for at in 0..8 {
            let array = array.clone();
            scope.spawn(move || {
                for round in 0..1_000 {
                    array.set(at, round as u8).unwrap();
                    assert_eq!(array.fetch_add(at, 1).unwrap(), round as u8);
                }
            });
        }
    });
    assert_eq!(array.to_vec().unwrap(), [232; 8]);
}

#[test]
fn a_panic_in_an_update_changes_nothing_and_keeps_nothing() {
    let segment = segment();
    let value = Value::create_in(&segment, "value", [1u64; 4]).unwrap();
    for _ in 0..20 {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            value.update(|_| std::panic::resume_unwind(Box::new(())))
        }));
        assert!(panicked.is_err());
        // The second call of the closure is with a cell in hand.
        let mut called = 0;
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            value.update(|seen| {
                called += 1;
                if called == 1 {
                    value.set(seen).unwrap();
                    return seen;
                }
                std::panic::resume_unwind(Box::new(()))
            })
        }));
        assert!(panicked.is_err() && called == 2);
    }
    value.try_set([2; 4]).unwrap();
    assert_eq!(value.get().unwrap(), [2; 4]);
}

#[test]
fn what_cannot_be_is_refused() {
    let segment = segment();
    let empty = Array::<u64>::create_in(&segment, "array", 0, |_| 0);
    assert!(matches!(empty, Err(Error::OutOfRange { .. })));
    let too_long = Array::<[u64; 2]>::create_in(&segment, "array", usize::MAX >> 5, |_| [0; 2]);
    assert!(too_long.is_err());
    Value::create_in(&segment, "value", 1u32).unwrap();
    assert!(matches!(
        Value::<f32>::open_in(&segment, "value"),
        Err(Error::WrongType { .. })
    ));
    assert!(matches!(
        Array::<u32>::open_in(&segment, "value"),
        Err(Error::WrongKind { .. })
    ));
}

#[test]
fn a_forked_child_is_refused() {
    let segment = segment();
    let small = Value::create_in(&segment, "small", 1u64).unwrap();
    let large = Value::create_in(&segment, "large", [1u64; 3]).unwrap();
    let child = Forked::run(|| {
        assert!(matches!(small.get(), Err(Error::Forked { .. })));
        assert!(matches!(large.get(), Err(Error::Forked { .. })));
        assert!(matches!(small.fetch_add(1), Err(Error::Forked { .. })));
        for refused in [small.set(2), large.set([2; 3])] {
            assert!(matches!(
                refused,
                Err(WriteError::Segment(Error::Forked { .. }))
            ));
        }
        drop((small.clone(), large.clone()));
        0
    });
    assert_eq!(child.join(), Ok(0));
    assert_eq!((small.get().unwrap(), large.get().unwrap()), (1, [1; 3]));
}

#[test]
fn damage_is_told_and_never_followed() {
    use std::os::unix::fs::FileExt;
    let segment = segment();
    let array = Array::create_in(&segment, "array", 3, |at| [at as u64; 4]).unwrap();
    let info = segment.objects().unwrap().remove(0);
    let file = std::fs::File::from(segment.descriptor().unwrap());
    let mut random = robust::Random::seeded("SYNC_SEED");
    let mut told = 0;
    for _ in 0..3_000 {
        let word = random.below(u64::MAX) >> random.below(64);
        let at = info.offset + random.below(info.len / 8) * 8;
        file.write_all_at(&word.to_ne_bytes(), at).unwrap();
        for element in 0..3 {
            told += u32::from(array.get(element).is_err());
            let timeout = Duration::ZERO;
            told += u32::from(array.try_update(element, timeout, Some).is_err());
        }
    }
    assert!(told > 0);
}
