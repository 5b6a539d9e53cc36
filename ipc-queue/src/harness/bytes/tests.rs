//! The account is not blind to bytes either, and death between two steps does no harm.

use super::*;
use crate::harness::envelope::Stamp;
use crate::harness::{HarnessError, Messages, WorkResult, test_name};

/// Lies in its slot, or in a block: of two sizes in turn.
fn message(sequence: u64) -> Vec<u8> {
    let len = [10, 88, 89, 500][sequence as usize % 4];
    vec![sequence as u8 + 1; len]
}

fn sealed(sequence: u64) -> Vec<u8> {
    let mut sealed = [vec![0; Head::LEN], message(sequence)].concat();
    let stamp = Stamp {
        producer: 0,
        sequence,
    };
    seal_bytes(stamp, &mut sealed);
    sealed
}

/// Sends what need not be a message.
fn forge(source: &mut Source<'_, [u8]>, sealed: &[u8]) -> WorkResult {
    source.queue.push(sealed)?;
    source.sequence.count_sent();
    Ok(())
}

/// The account of a producer that forges.
fn account_of(test: &str, produce: impl Fn(&mut Source<'_, [u8]>) -> WorkResult) -> Messages {
    let run = Harness::<[u8]>::new(test)
        .under_test(test)
        .capacity(4)
        .producers(1, produce)
        .consumers(1, |sink| {
            while let Some(got) = sink.receive_bytes()? {
                assert_eq!(got, message(u64::from(got[0]) - 1));
            }
            Ok(())
        })
        .run();
    let Err(HarnessError::NotExact { report }) = run else {
        panic!("{run:#?}");
    };
    report.messages
}

fn messages(sent: u64, received: u64, lost: u64, doubled: u64, torn: u64) -> Messages {
    Messages {
        sent,
        received,
        redelivered: 0,
        lost,
        doubled,
        torn,
    }
}

#[test]
fn one_that_is_not_delivered_is_lost() {
    let account = account_of(test_name!(), |source| {
        [0, 1, 1, 3, 4]
            .into_iter()
            .try_for_each(|n| forge(source, &sealed(n)))
    });
    assert_eq!(account, messages(5, 4, 1, 1, 0));
}

#[test]
fn one_that_changed_on_the_way_is_torn() {
    let account = account_of(test_name!(), |source| {
        for damaged in [0, 8, 16, 24, 40, 33] {
            let mut sealed = sealed(1);
            sealed[damaged] ^= 0x10;
            forge(source, &sealed)?;
        }
        forge(source, &sealed(6))
    });
    assert_eq!(account, messages(7, 1, 6, 0, 6));
}

#[test]
fn so_is_one_that_lost_or_gained_bytes() {
    let account = account_of(test_name!(), |source| {
        for len in [0, 1, Head::LEN - 1, Head::LEN, Head::LEN + 499] {
            forge(source, &sealed(3)[..len])?;
        }
        forge(source, &[sealed(3), vec![0]].concat())?;
        forge(source, &vec![0; 500])
    });
    assert_eq!(account, messages(7, 0, 7, 0, 7));
}

fn die() -> ! {
    // SAFETY: a system call on plain numbers.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    loop {
        std::thread::park();
    }
}

/// When the first producer dies so after three messages: what its successor is told, and which
/// messages the consumer gets. `patient` says whether the consumer waits for the successor first.
fn after_death(test: &str, patient: bool, dies: fn(&mut Source<'_, [u8]>)) -> (u64, Vec<u8>) {
    let report = Harness::<[u8]>::new(test)
        .under_test(test)
        .capacity(8)
        .longest(500)
        .blocks(500, 8)
        .replace_killed(1)
        .producers(1, |source| {
            if source.skip_sent() == 0 {
                (0..3).try_for_each(|n| source.send_bytes(&message(n)))?;
                dies(source);
                die();
            }
            let told = source.skip_sent();
            (told..6).try_for_each(|n| source.send_bytes(&message(n)))?;
            Ok(source.set_result(&told.to_ne_bytes())?)
        })
        .consumers(1, |sink| {
            while patient && sink.queue().len()? < 6 {
                std::thread::yield_now();
            }
            let mut all = Vec::new();
            while let Some(got) = sink.receive_bytes()? {
                assert_eq!(got, message(u64::from(got[0]) - 1));
                all.push(got[0]);
            }
            Ok(sink.set_result(&all)?)
        })
        .run()
        .unwrap();
    assert_eq!(report.messages.sent, 6);
    let told = report.producers[0].result[..].try_into().unwrap();
    (u64::from_ne_bytes(told), report.consumers[0].result.clone())
}

const ALL: [u8; 6] = [1, 2, 3, 4, 5, 6];

#[test]
fn a_message_that_was_sent_and_not_counted_is_not_sent_again() {
    let (told, got) = after_death(test_name!(), true, |source| {
        source.queue.push(&sealed(3)).unwrap();
    });
    assert_eq!((told, got), (4, ALL.to_vec()));
}

#[test]
fn nor_if_it_has_been_received() {
    let (told, got) = after_death(test_name!(), false, |source| {
        source.queue.push(&sealed(3)).unwrap();
        while !source.queue.queue().is_empty().unwrap() {
            std::thread::yield_now();
        }
    });
    assert_eq!((told, got), (4, ALL.to_vec()));
}

#[test]
fn a_message_that_was_reserved_and_not_committed_is_sent_by_the_successor() {
    let (told, got) = after_death(test_name!(), true, |source| {
        let mut grant = source.reserve(500).unwrap();
        grant.fill(9);
        std::mem::forget(grant);
    });
    assert_eq!((told, got), (3, ALL.to_vec()));
}

/// The effects of six messages when the first consumer dies so, and the account.
fn effects_after(test: &str, dies: fn(&mut Sink<'_, [u8]>)) -> (Vec<u8>, Messages) {
    let mut effects = Vec::new();
    let report = Harness::<[u8]>::new(test)
        .under_test(test)
        .capacity(4)
        .replace_killed(1)
        .producers(1, |source| {
            (0..6).try_for_each(|n| Ok(source.send_bytes(&message(n))?))
        })
        .consumers(1, |sink| {
            if sink.life() == 0 {
                let mut batch = sink.batch()?.expect("messages");
                assert_eq!(batch.iter().next(), Some(&message(0)[..]));
                dies(batch.sink());
                die();
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
    assert_eq!(report.survived.kills, 1);
    effects.sort();
    (effects, report.messages)
}

#[test]
fn an_effect_that_was_written_and_not_settled_does_not_count() {
    let (effects, messages) = effects_after(test_name!(), |sink| {
        sink.write_effect(b"twice");
    });
    assert_eq!(effects, ALL);
    assert!(messages.redelivered > 0);
}

#[test]
fn messages_that_were_settled_and_not_finished_do_not_count_again() {
    let (effects, messages) = effects_after(test_name!(), |sink| {
        let effect: Vec<u8> = (0..sink.len())
            .map(|index| sink.message(index).unwrap()[0])
            .collect();
        sink.settle_unfinished(&effect);
    });
    assert_eq!(effects, ALL);
    // They came again, and nobody got them.
    assert_eq!(messages.redelivered, 0);
    assert_eq!((messages.sent, messages.received), (6, 6));
}
