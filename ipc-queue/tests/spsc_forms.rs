//! What each form of push and pop does, in one process: counts, limits, time-outs, the end.

mod common;

use common::{PATIENCE, unnamed};
use ipc_core::Wait;
use ipc_queue::spsc::{Consumer, PopError, Producer, PushError, Ring};
use std::time::{Duration, Instant};

fn both<T: ipc_core::Payload>(ring: &Ring<T>) -> (Producer<T>, Consumer<T>) {
    (ring.producer().unwrap(), ring.consumer().unwrap())
}

#[test]
fn a_ring_holds_exactly_what_was_asked_for() {
    for capacity in (1..=67).chain([127, 128, 129, 1000, 4097]) {
        let ring = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = both(&ring);
        assert_eq!(ring.capacity(), capacity);
        assert_eq!((tx.capacity(), rx.capacity()), (capacity, capacity));
        // Several rounds, so that full and empty come at every place of the slots.
        let mut next = 0;
        for round in 0..5u64 {
            assert!(tx.is_empty().unwrap() && rx.is_empty().unwrap());
            assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
            for i in 0..capacity as u64 {
                assert!(!tx.is_full().unwrap() && !rx.is_full().unwrap());
                tx.try_push(next + i).unwrap();
                assert_eq!(tx.len().unwrap() as u64, i + 1);
                assert_eq!(rx.len().unwrap() as u64, i + 1);
            }
            assert!(tx.is_full().unwrap() && rx.is_full().unwrap());
            assert!(matches!(tx.try_push(0), Err(PushError::Full)));
            assert!(matches!(tx.try_push_slice(&[0]), Err(PushError::Full)));
            assert!(matches!(tx.try_reserve(), Err(PushError::Full)));
            // One out, one in: full again at that very number.
            assert_eq!(rx.try_pop().unwrap(), Some(next));
            tx.try_push(next + capacity as u64).unwrap();
            assert!(matches!(tx.try_push(0), Err(PushError::Full)));
            for i in 1..=capacity as u64 {
                assert_eq!(rx.try_pop().unwrap(), Some(next + i));
            }
            next += capacity as u64 + 1 + round;
        }
    }
}

#[test]
fn slices_are_taken_as_far_as_they_fit() {
    for capacity in [1usize, 2, 3, 5, 8, 13] {
        let ring = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = both(&ring);
        let messages: Vec<u64> = (0..40).collect();
        assert_eq!(tx.try_push_slice(&[]).unwrap(), 0);
        assert_eq!(tx.push_slice_timeout(&[], Duration::ZERO).unwrap(), 0);
        tx.push_slice(&[]).unwrap();
        assert_eq!(rx.try_pop_slice(&mut []).unwrap(), Some(0));
        assert_eq!(rx.pop_slice(&mut []).unwrap(), Some(0));

        let mut got: Vec<u64> = Vec::new();
        let mut sent = 0;
        let mut turn = 0;
        while got.len() < messages.len() {
            turn += 1;
            if sent < messages.len() {
                let free = capacity - tx.len().unwrap();
                let end = messages.len().min(sent + 1 + turn % 7);
                let pushed = match turn % 2 {
                    0 => tx.try_push_slice(&messages[sent..end]),
                    _ => tx.push_slice_timeout(&messages[sent..end], Duration::ZERO),
                };
                match pushed {
                    Ok(count) => assert_eq!(count, free.min(end - sent)),
                    Err(_) => assert_eq!(free, 0),
                }
                sent += free.min(end - sent);
            }
            let there = rx.len().unwrap();
            let mut into = vec![u64::MAX; 1 + turn % 5];
            let popped = match turn % 3 {
                0 => rx.try_pop_slice(&mut into),
                1 => rx.pop_slice_timeout(&mut into, Duration::ZERO),
                _ => rx.pop_slice(&mut into),
            };
            let count = popped.unwrap().unwrap();
            assert_eq!(count, there.min(into.len()));
            assert!(into[count..].iter().all(|&untouched| untouched == u64::MAX));
            got.extend(&into[..count]);
        }
        assert_eq!(got, messages);
    }
}

#[test]
fn a_slice_larger_than_the_ring_goes_through_it() {
    let ring = unnamed::<u32>(3);
    let (mut tx, mut rx) = both(&ring);
    let all: Vec<u32> = (0..1000).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            tx.push_slice(&all).unwrap();
            tx.close().unwrap();
        });
        let mut got: Vec<u32> = Vec::new();
        let mut into = [0; 7];
        while let Some(count) = rx.pop_slice(&mut into).unwrap() {
            assert!((1..=3).contains(&count));
            got.extend(&into[..count]);
        }
        assert_eq!(got, all);
    });
}

#[test]
fn what_is_reserved_is_a_message_only_after_commit() {
    let ring = unnamed::<[u64; 3]>(2);
    let (mut tx, mut rx) = both(&ring);
    let _ = tx.try_reserve().unwrap();
    let _ = tx.reserve().unwrap();
    assert!(matches!(rx.try_pop(), Err(PopError::Empty)));

    let mut slot = tx.reserve_timeout(Duration::ZERO).unwrap();
    *slot = [1, 2, 3];
    assert_eq!(*slot, [1, 2, 3]);
    slot.commit();
    let mut slot = tx.try_reserve().unwrap();
    slot[1] = 9;
    slot.commit();
    assert!(matches!(tx.try_reserve(), Err(PushError::Full)));
    assert!(matches!(
        tx.reserve_timeout(Duration::ZERO),
        Err(PushError::TimedOut)
    ));
    assert_eq!(rx.pop().unwrap(), Some([1, 2, 3]));
    assert_eq!(rx.pop().unwrap().unwrap()[1], 9);
}

#[test]
fn what_is_peeked_stays_until_it_is_released() {
    let ring = unnamed::<[u8; 3]>(2);
    let (mut tx, mut rx) = both(&ring);
    assert!(matches!(rx.try_peek(), Err(PopError::Empty)));
    assert!(matches!(
        rx.peek_timeout(Duration::ZERO),
        Err(PopError::TimedOut)
    ));
    tx.push([1, 2, 3]).unwrap();
    tx.push([4, 5, 6]).unwrap();
    let _ = rx.try_peek().unwrap();
    let _ = rx.peek().unwrap();
    assert!(tx.is_full().unwrap());
    let message = rx.peek_timeout(Duration::MAX).unwrap().unwrap();
    assert_eq!(*message, [1, 2, 3]);
    message.release();
    assert!(!tx.is_full().unwrap());
    assert_eq!(rx.pop().unwrap(), Some([4, 5, 6]));
    tx.close().unwrap();
    assert!(rx.peek().unwrap().is_none());
    assert!(rx.try_peek().unwrap().is_none());
    assert!(rx.peek_timeout(Duration::MAX).unwrap().is_none());
}

/// Sends values through every form and every place of a small ring.
fn carries<T: ipc_core::Payload + PartialEq + std::fmt::Debug>(make: impl Fn(u8) -> T) {
    for capacity in [1, 3, 4] {
        let ring = unnamed::<T>(capacity);
        let (mut tx, mut rx) = both(&ring);
        for i in 0..30 {
            tx.push(make(i)).unwrap();
            assert_eq!(rx.pop().unwrap(), Some(make(i)));
            let mut slot = tx.reserve().unwrap();
            assert!(
                std::ptr::from_ref(&*slot)
                    .addr()
                    .is_multiple_of(align_of::<T>())
            );
            *slot = make(i + 100);
            slot.commit();
            let slot = rx.peek().unwrap().unwrap();
            assert_eq!(*slot, make(i + 100));
            slot.release();
            let many: Vec<T> = (i..i + capacity as u8).map(&make).collect();
            assert_eq!(tx.try_push_slice(&many).unwrap(), capacity);
            assert!(tx.is_full().unwrap());
            let mut into: Vec<T> = (0..capacity).map(|_| make(255)).collect();
            assert_eq!(rx.try_pop_slice(&mut into).unwrap(), Some(capacity));
            assert_eq!(into, many);
        }
    }
}

/// A type of any alignment.
macro_rules! aligned {
    ($name:ident, $align:literal, $len:literal) => {
        #[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C, align($align))]
        struct $name([u8; $len]);
    };
}

aligned!(Aligned16, 16, 48);
aligned!(Aligned64, 64, 64);
aligned!(Aligned128, 128, 384);

#[test]
fn messages_of_every_size_and_alignment_arrive_whole() {
    carries(|i| i);
    carries(|i| [i, !i, 7]);
    carries(|i| u16::from(i) * 257);
    carries(|i| [i; 5]);
    carries(|i| [i; 7]);
    carries(|i| [i; 9]);
    carries(|i| std::array::from_fn::<u8, 12, _>(|at| i ^ at as u8));
    carries(|i| [u32::from(i); 3]);
    carries(f64::from);
    carries(|i| u128::from(i) << 60);
    carries(|i| std::array::from_fn::<u8, 1024, _>(|at| i ^ at as u8));
    carries(|i| Aligned16([i; 48]));
    carries(|i| Aligned64([i; 64]));
    carries(|i| Aligned128([i; 384]));
}

#[test]
fn messages_without_a_size_are_counted() {
    carries(|_| ());
    carries(|_| [0u64; 0]);
    let ring = unnamed::<()>(1000);
    let (mut tx, mut rx) = both(&ring);
    assert_eq!(tx.try_push_slice(&[(); 2000]).unwrap(), 1000);
    assert_eq!(rx.try_pop_slice(&mut [(); 2000]).unwrap(), Some(1000));
}

#[test]
fn the_end_comes_after_the_last_message_and_stays() {
    let ring = unnamed::<u64>(4);
    let (mut tx, mut rx) = both(&ring);
    tx.push_slice(&[1, 2, 3, 4]).unwrap();
    tx.close().unwrap();
    for i in 1..=4 {
        assert_eq!(rx.pop().unwrap(), Some(i));
    }
    for _ in 0..200 {
        assert_eq!(rx.try_pop().unwrap(), None);
    }
    assert_eq!(rx.pop().unwrap(), None);
    assert_eq!(rx.pop_timeout(Duration::MAX).unwrap(), None);
    assert_eq!(rx.try_pop_slice(&mut [0]).unwrap(), None);
    assert_eq!(rx.pop_slice(&mut [0]).unwrap(), None);
    assert_eq!(rx.pop_slice_timeout(&mut [0], PATIENCE).unwrap(), None);
}

#[test]
fn the_end_is_never_seen_before_the_message_in_front_of_it() {
    for round in 0..400 {
        let ring = unnamed::<u64>(2);
        let (mut tx, mut rx) = both(&ring);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                tx.push(round).unwrap();
                tx.close().unwrap();
            });
            let message = loop {
                match rx.try_pop() {
                    Err(PopError::Empty) => std::hint::spin_loop(),
                    other => break other.unwrap(),
                }
            };
            assert_eq!(message, Some(round), "the message, before the end");
            assert_eq!(rx.pop().unwrap(), None);
        });
    }
}

/// How long a call took.
fn timed<R>(call: impl FnOnce() -> R) -> (Duration, R) {
    let start = Instant::now();
    let result = call();
    (start.elapsed(), result)
}

#[test]
fn a_timeout_is_never_early_and_not_much_late() {
    for wait in [Wait::Busy, Wait::Adaptive, Wait::Park] {
        let ring = unnamed::<u64>(1);
        let (mut tx, mut rx) = both(&ring);
        tx.set_wait(wait);
        rx.set_wait(wait);
        for millis in [1, 3, 12, 25] {
            let timeout = Duration::from_millis(millis);
            // A single call may lose its core to somebody else for long; not all of many do.
            let check = |form: &str, call: &mut dyn FnMut() -> bool| {
                let in_time = (0..50).any(|_| {
                    let (took, timed_out) = timed(&mut *call);
                    assert!(timed_out, "{wait:?} {form} {timeout:?}");
                    assert!(took >= timeout, "{wait:?} {form}: {took:?} of {timeout:?}");
                    took - timeout < Duration::from_millis(5)
                });
                assert!(in_time, "{wait:?} {form} {timeout:?}");
            };
            check("pop", &mut || {
                matches!(rx.pop_timeout(timeout), Err(PopError::TimedOut))
            });
            check("pop_slice", &mut || {
                let popped = rx.pop_slice_timeout(&mut [0; 2], timeout);
                matches!(popped, Err(PopError::TimedOut))
            });
            check("peek", &mut || {
                matches!(rx.peek_timeout(timeout), Err(PopError::TimedOut))
            });
            tx.push(1).unwrap();
            check("push", &mut || {
                matches!(tx.push_timeout(2, timeout), Err(PushError::TimedOut))
            });
            check("push_slice", &mut || {
                let pushed = tx.push_slice_timeout(&[2], timeout);
                matches!(pushed, Err(PushError::TimedOut))
            });
            check("reserve", &mut || {
                matches!(tx.reserve_timeout(timeout), Err(PushError::TimedOut))
            });
            assert_eq!(rx.pop().unwrap(), Some(1));
        }
    }
}

#[test]
fn a_timeout_of_zero_looks_once() {
    let ring = unnamed::<u64>(1);
    let (mut tx, mut rx) = both(&ring);
    for wait in [Wait::Busy, Wait::Adaptive, Wait::Park] {
        tx.set_wait(wait);
        rx.set_wait(wait);
        let batches = (0..10).map(|_| {
            let (took, ()) = timed(|| {
                for _ in 0..100 {
                    let popped = rx.pop_timeout(Duration::ZERO);
                    assert!(matches!(popped, Err(PopError::TimedOut)));
                }
                tx.push_timeout(1, Duration::ZERO).unwrap();
                for _ in 0..100 {
                    let pushed = tx.push_timeout(2, Duration::ZERO);
                    assert!(matches!(pushed, Err(PushError::TimedOut)));
                }
                assert_eq!(rx.pop_timeout(Duration::ZERO).unwrap(), Some(1));
            });
            took
        });
        // No spinning, no system call: a microsecond each, with much to spare. The best of ten, as
        // somebody else may have the core.
        let took = batches.min().unwrap();
        assert!(took < Duration::from_millis(6), "{wait:?}: {took:?}");
    }
}

#[test]
fn a_timeout_without_end_waits_for_the_message() {
    for wait in [Wait::Busy, Wait::Adaptive, Wait::Park] {
        let ring = unnamed::<u64>(1);
        let (mut tx, mut rx) = both(&ring);
        rx.set_wait(wait);
        tx.set_wait(wait);
        let raw = common::raw::Raw::of(&ring);
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(rx.pop_timeout(Duration::MAX).unwrap(), Some(7)));
            if wait == Wait::Park {
                common::until("the consumer sleeps", || raw.consumer_sleeps());
            }
            tx.push_timeout(7, Duration::MAX).unwrap();
        });
    }
}

/// A lost wake would only make a sleeper late, as it looks for itself after a while. So this looks
/// whether the bell on which it sleeps was rung.
#[test]
fn every_form_of_publishing_wakes_who_sleeps() {
    type Publish = fn(&mut Option<Producer<u64>>);
    let publish: [Publish; 5] = [
        |tx| tx.as_mut().unwrap().try_push(1).unwrap(),
        |tx| tx.as_mut().unwrap().push(1).unwrap(),
        |tx| tx.as_mut().unwrap().push_slice(&[1]).unwrap(),
        |tx| tx.as_mut().unwrap().reserve().unwrap().commit(),
        |tx| tx.take().unwrap().close().unwrap(),
    ];
    type Take = fn(&mut Consumer<u64>);
    let take: [Take; 4] = [
        |rx| assert!(rx.try_pop().unwrap().is_some()),
        |rx| assert!(rx.pop().unwrap().is_some()),
        |rx| assert!(rx.pop_slice(&mut [0]).unwrap().is_some()),
        |rx| rx.peek().unwrap().unwrap().release(),
    ];
    // The sleeper may be at the end of a slice, about to lie down again; not every time.
    let rung = |mut attempt: Box<dyn FnMut() -> bool>| (0..20).any(|_| attempt());
    for publish in publish {
        assert!(rung(Box::new(move || {
            let ring = unnamed::<u64>(1);
            let raw = common::raw::Raw::of(&ring);
            let (tx, mut rx) = both(&ring);
            rx.set_wait(Wait::Park);
            std::thread::scope(|scope| {
                scope.spawn(|| rx.pop_timeout(PATIENCE).unwrap());
                common::until("the consumer sleeps", || raw.consumer_sleeps());
                publish(&mut Some(tx));
                !raw.consumer_sleeps()
            })
        })));
    }
    for take in take {
        assert!(rung(Box::new(move || {
            let ring = unnamed::<u64>(1);
            let raw = common::raw::Raw::of(&ring);
            let (mut tx, mut rx) = both(&ring);
            tx.set_wait(Wait::Park);
            tx.push(1).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| tx.push_timeout(2, PATIENCE).unwrap());
                common::until("the producer sleeps", || raw.producer_sleeps());
                take(&mut rx);
                !raw.producer_sleeps()
            })
        })));
    }
}

#[test]
fn the_roles_can_go_to_other_threads_and_the_ring_be_shared() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Producer<u64>>();
    send::<Consumer<u64>>();
    send::<Ring<u64>>();
    sync::<Ring<u64>>();
}

#[test]
fn the_counters_tell_what_went_through() {
    let ring = unnamed::<u8>(3);
    let (mut tx, mut rx) = both(&ring);
    tx.push_slice(&[1, 2, 3]).unwrap();
    rx.pop().unwrap();
    assert_eq!((ring.pushed().unwrap(), ring.popped().unwrap()), (3, 1));
}
