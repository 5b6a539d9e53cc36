//! Byte messages in a harness: every length, in place, in their order, and what becomes of a message
//! that does not fit.

mod harness_common;

use harness_common::worker::{kill_me, role_before_run};
use harness_common::{PATIENCE, promptly};
use ipc_core::Error;
use ipc_queue::harness::{Harness, HarnessError, Report, SendError, Source, WorkResult, test_name};
use ipc_queue::mpmc::PushError;
use std::time::Duration;

/// The longest message that lies in its slot.
const IN_SLOT: usize = 88;

/// Bytes that differ from those of the message before, and from their neighbours.
fn message(number: u64, len: usize) -> Vec<u8> {
    let byte = |at: usize| (number as usize * 31 + at * 7 + at / 256) as u8;
    (0..len).map(byte).collect()
}

/// Sends messages of these lengths, and checks what comes.
fn exchange(test: &str, lens: &[usize], set: fn(Harness<'_, [u8]>) -> Harness<'_, [u8]>) -> Report {
    let harness = set(Harness::new(test))
        .under_test(test)
        .producers(1, |source| {
            for (&len, number) in lens.iter().zip(0..) {
                source.send_bytes(&message(number, len))?;
            }
            Ok(())
        })
        .consumers(1, |sink| {
            for (&len, number) in lens.iter().zip(0..) {
                let got = sink.receive_bytes()?;
                assert!(got == Some(&message(number, len)), "message {number}");
            }
            // The end is no accident: it is there the next time too.
            assert_eq!(sink.receive_bytes()?, None);
            assert_eq!(sink.receive_bytes()?, None);
            Ok(())
        });
    let report = promptly(PATIENCE, || harness.run()).unwrap();
    assert!(report.messages.is_exact(), "{}", report.messages);
    assert_eq!(report.messages.received, lens.len() as u64);
    report
}

#[test]
fn every_length_around_every_boundary() {
    let around = |len: usize| len.saturating_sub(2)..=len + 2;
    let lens: Vec<usize> = (0..200)
        .chain(
            [512, 2048, 8192]
                .into_iter()
                .flat_map(|block| around(block - 24)),
        )
        .chain(65_530..=65_536)
        .collect();
    exchange(test_name!(), &lens, |harness| harness.capacity(64));
}

#[test]
fn in_blocks_of_sizes_that_were_asked_for() {
    let lens = [
        0,
        IN_SLOT,
        IN_SLOT + 1,
        300,
        301,
        5_000,
        1,
        5_000,
        5_000,
        300,
    ];
    exchange(test_name!(), &lens.repeat(50), |harness| {
        harness
            .capacity(3)
            .longest(5_000)
            .blocks(300, 2)
            .blocks(5_000, 1)
    });
}

#[test]
fn in_slots_alone() {
    exchange(test_name!(), &[IN_SLOT, 0, 50].repeat(1000), |harness| {
        harness.capacity(1).longest(IN_SLOT)
    });
}

#[test]
fn a_message_far_longer_than_the_others() {
    exchange(
        test_name!(),
        &[5, 3 << 20, 5, 3 << 20, 3 << 20],
        |harness| harness.longest(3 << 20),
    );
}

#[test]
fn a_hundred_thousand_of_random_lengths() {
    let mut state = 88_172_645_463_325_252u64;
    let mut next = || {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 400) as usize
    };
    let lens: Vec<usize> = (0..100_000).map(|_| next()).collect();
    exchange(test_name!(), &lens, |harness| harness.longest(400));
}

/// Which message was refused, and why.
fn refused(error: SendError) -> (usize, usize) {
    match error {
        SendError::Queue(PushError::TooLong { asked, longest, .. }) => (asked, longest),
        other => panic!("{other}"),
    }
}

#[test]
fn a_longer_one_is_an_error_that_names_both_lengths() {
    let run = Harness::<[u8]>::new(test_name!())
        .under_test(test_name!())
        .longest(1000)
        .producers(1, |source| {
            assert_eq!(source.longest(), 1000);
            assert_eq!(
                refused(source.send_bytes(&[0; 1001]).unwrap_err()),
                (1001, 1000)
            );
            let far_too_long = source.reserve(usize::MAX).unwrap_err();
            assert_eq!(refused(far_too_long), (usize::MAX, 1000));
            // More than was reserved.
            let grant = source.reserve(10)?;
            assert_eq!(grant.len(), 10);
            assert_eq!(refused(grant.commit(11).unwrap_err()), (11, 10));
            source.send_bytes(&[1; 1000])?;
            Ok(source.send_bytes(&[0; 1001])?)
        })
        .consumers(1, |sink| {
            assert_eq!(sink.receive_bytes()?, Some(&[1; 1000][..]));
            assert_eq!(sink.receive_bytes()?, None);
            Ok(())
        })
        .run();
    let Err(HarnessError::WorkersFailed { report }) = run else {
        panic!("{run:#?}");
    };
    assert!(report.consumers[0].is_success(), "{}", report.consumers[0]);
    assert!(report.messages.is_exact(), "{}", report.messages);
    let error = report.producers[0].error.as_deref().unwrap();
    assert!(error.contains("1001") && error.contains("1000"), "{error}");
}

#[test]
fn impossible_settings_are_refused() {
    assert_eq!(role_before_run(), None);
    let harness = || {
        Harness::<[u8]>::new(test_name!())
            .under_test(test_name!())
            .producers(1, |_| Ok(()))
            .consumers(1, |_| Ok(()))
    };
    for (harness, named) in [
        (harness().longest(usize::MAX), "longest message"),
        (harness().longest(1000).blocks(800, 5), "largest block"),
        (harness().blocks(usize::MAX, 5), "blocks"),
        (harness().blocks(1 << 30, usize::MAX), "blocks"),
        (harness().capacity(0), "capacity"),
        (harness().capacity(usize::MAX), "capacity"),
    ] {
        let error = promptly(Duration::from_secs(1), || harness.run().unwrap_err());
        assert!(
            matches!(error, HarnessError::Segment(Error::OutOfRange { .. })),
            "{error}"
        );
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn room_that_is_given_up_is_no_message() {
    let report = Harness::<[u8]>::new(test_name!())
        .under_test(test_name!())
        .capacity(3)
        .longest(2000)
        .blocks(2000, 2)
        .producers(1, |source| {
            for number in 0..20 {
                for _ in 0..5 {
                    source.reserve(2000)?.fill(0xee);
                }
                let mut grant = source.reserve(2000)?;
                // In place, and shorter than was reserved.
                let len = 100 * number as usize;
                grant[..len].copy_from_slice(&message(number, len));
                grant.commit(len)?;
            }
            Ok(())
        })
        .consumers(1, |sink| {
            for number in 0..20 {
                let got = sink.receive_bytes()?;
                assert_eq!(got, Some(&message(number, 100 * number as usize)[..]));
            }
            assert_eq!(sink.receive_bytes()?, None);
            Ok(())
        })
        .run()
        .unwrap();
    assert_eq!((report.messages.sent, report.messages.received), (20, 20));
}

#[test]
fn a_batch_shows_its_messages_in_both_directions() {
    let mut effects = Vec::new();
    Harness::<[u8]>::new(test_name!())
        .under_test(test_name!())
        .capacity(8)
        .producers(1, |source| {
            (0..40u8).try_for_each(|n| Ok(source.send_bytes(&vec![n; n as usize * 10])?))
        })
        .consumers(1, |sink| {
            while let Some(batch) = sink.batch()? {
                assert!((1..=4).contains(&batch.len()), "half of the queue");
                assert_eq!(batch.iter().len(), batch.len());
                let forth: Vec<&[u8]> = batch.iter().collect();
                let mut back: Vec<&[u8]> = batch.iter().rev().collect();
                back.reverse();
                assert_eq!(forth, back);
                let mut lens = Vec::new();
                for message in &batch {
                    let number = message.len() / 10;
                    assert!(message.iter().all(|&it| usize::from(it) == number));
                    lens.push(number as u8);
                }
                assert!(batch.iter().nth(batch.len()).is_none());
                batch.commit(&lens)?;
            }
            Ok(())
        })
        .on_effect(|effect| effects.extend_from_slice(effect))
        .run()
        .unwrap();
    assert_eq!(effects, Vec::from_iter(0..40));
}

#[test]
fn a_batch_that_is_dropped_comes_again() {
    let mut effects = Vec::new();
    let report = Harness::<[u8]>::new(test_name!())
        .under_test(test_name!())
        .producers(1, |source| {
            (0..10u8).try_for_each(|n| Ok(source.send_bytes(&[n; 200])?))
        })
        .consumers(1, |sink| {
            for _ in 0..3 {
                let batch = sink.batch()?.expect("messages");
                assert_eq!(batch.iter().next(), Some(&[0; 200][..]));
            }
            while let Some(batch) = sink.batch()? {
                let effect: Vec<u8> = batch.iter().map(|it| it[0]).collect();
                batch.commit(&effect)?;
            }
            Ok(())
        })
        .on_effect(|effect| effects.extend_from_slice(effect))
        .run()
        .unwrap();
    assert_eq!(effects, Vec::from_iter(0..10));
    assert!((1..=10).contains(&report.messages.redelivered));
}

/// Sends ten, and kills itself behind the fifth. A successor does the same work from the beginning,
/// and what was sent is not sent again.
fn send_ten(source: &mut Source<'_, [u8]>) -> WorkResult {
    let is_first = !source.is_asked_for_more();
    for number in 0..10 {
        if number == 5 && is_first {
            kill_me(libc::SIGKILL);
        }
        let len = 60 * number as usize;
        if number % 2 == 0 {
            source.send_bytes(&message(number, len))?;
        } else {
            let mut grant = source.reserve(len + 7)?;
            assert_eq!(grant.len(), len + 7);
            grant[..len].copy_from_slice(&message(number, len));
            // Read back, whether it is in the queue or not.
            assert_eq!(grant[..len], message(number, len));
            grant.commit(len)?;
        }
    }
    Ok(())
}

#[test]
fn a_successor_that_begins_anew_sends_the_rest() {
    let report = Harness::<[u8]>::new(test_name!())
        .under_test(test_name!())
        .replace_killed(1)
        .longest(1000)
        .producers(1, send_ten)
        .consumers(1, |sink| {
            for number in 0..10 {
                let got = sink.receive_bytes()?;
                assert_eq!(got, Some(&message(number, 60 * number as usize)[..]));
            }
            assert_eq!(sink.receive_bytes()?, None);
            Ok(())
        })
        .run()
        .unwrap();
    assert_eq!((report.survived.kills, report.messages.sent), (1, 10));
}

/// Blocks run out before slots do.
#[test]
fn a_sender_without_a_block_learns_that_nobody_is_left() {
    let run = Harness::<[u8]>::new(test_name!())
        .under_test(test_name!())
        .capacity(100)
        .longest(1000)
        .blocks(1000, 3)
        .producers(1, |source| {
            for number in 0..4 {
                match source.send_bytes(&[7; 1000]) {
                    Ok(()) => {}
                    Err(SendError::NoConsumer) => {
                        return Ok(source.set_result(&[number])?);
                    }
                    Err(other) => return Err(other.into()),
                }
            }
            Err("it found a fourth block".into())
        })
        .consumers(1, |_| Ok(()));
    let error = promptly(PATIENCE, || run.run()).unwrap_err();
    let HarnessError::NotExact { report } = error else {
        panic!("{error}");
    };
    assert_eq!(report.producers[0].result, [3]);
    assert_eq!((report.messages.sent, report.messages.lost), (3, 3));
}
