//! A forked child of a worker has nothing of what the worker has, and does no harm to it.

mod harness_common;

use ipc_core::Error;
use ipc_queue::harness::{
    Batch, CommitError, Harness, Message, ReceiveError, SendError, Sink, WorkResult, test_name,
};
use ipc_queue::mpmc::{PopError, PushError};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A forked child of this process, which has one thread.
#[must_use]
struct Child(libc::pid_t);

impl Child {
    fn of_this_process(work: impl FnOnce()) -> Self {
        // SAFETY: no other thread could have left a lock taken in the child.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let end = catch_unwind(AssertUnwindSafe(work));
            // SAFETY: ends the child, with nothing of the parent's clean-up.
            unsafe { libc::_exit(i32::from(end.is_err())) };
        }
        assert!(pid > 0, "no child");
        Self(pid)
    }

    fn join(self) {
        let mut status = -1;
        // SAFETY: a system call on a number of our own.
        unsafe { libc::waitpid(self.0, &mut status, 0) };
        assert_eq!(status, 0, "the child failed");
    }
}

fn in_a_child(work: impl FnOnce()) {
    Child::of_this_process(work).join();
}

fn refused_to_send(error: SendError) {
    let SendError::Queue(PushError::Segment(Error::Forked { .. })) = error else {
        panic!("{error}");
    };
}

fn refused_to_receive(error: ReceiveError) {
    let ReceiveError::Queue(PopError::Segment(Error::Forked { .. })) = error else {
        panic!("{error}");
    };
}

fn refused_to_commit(error: CommitError) {
    assert!(matches!(error, CommitError::Forked), "{error}");
}

#[test]
fn of_one_that_sends_values() {
    let report = Harness::new(test_name!())
        .under_test(test_name!())
        .producers(1, |source| {
            source.send(1u8)?;
            in_a_child(|| refused_to_send(source.send(2).unwrap_err()));
            Ok(source.send(3)?)
        })
        .consumers(1, |sink| {
            assert_eq!(sink.receive()?, Some(1));
            assert_eq!(sink.receive()?, Some(3));
            assert_eq!(sink.receive()?, None);
            Ok(())
        })
        .run()
        .unwrap();
    assert_eq!((report.messages.sent, report.messages.received), (2, 2));
}

#[test]
fn of_one_that_sends_bytes() {
    let report = Harness::<[u8]>::new(test_name!())
        .under_test(test_name!())
        .producers(1, |source| {
            source.send_bytes(b"before")?;
            in_a_child(|| refused_to_send(source.send_bytes(b"child").unwrap_err()));
            let mut grant = Some(source.reserve(500)?);
            in_a_child(|| refused_to_send(grant.take().unwrap().commit(5).unwrap_err()));
            in_a_child(|| drop(grant.take()));
            let mut grant = grant.unwrap();
            grant[..5].copy_from_slice(b"after");
            Ok(grant.commit(5)?)
        })
        .consumers(1, |sink| {
            assert_eq!(sink.receive_bytes()?, Some(&b"before"[..]));
            assert_eq!(sink.receive_bytes()?, Some(&b"after"[..]));
            assert_eq!(sink.receive_bytes()?, None);
            Ok(())
        })
        .run()
        .unwrap();
    assert_eq!((report.messages.sent, report.messages.received), (2, 2));
}

/// Commits each batch, of which a child tries the same before, and another one after it.
fn commit_beside_children<T: Message + ?Sized>(
    sink: &mut Sink<'_, T>,
    effect: impl Fn(&Batch<'_, '_, T>) -> u8,
) -> WorkResult {
    while let Some(batch) = sink.batch()? {
        let effect = [effect(&batch)];
        let mut batch = Some(batch);
        in_a_child(|| drop(batch.take()));
        let commit_in_child = |batch: Option<Batch<'_, '_, T>>| {
            refused_to_commit(batch.unwrap().commit(b"child").unwrap_err());
        };
        in_a_child(|| commit_in_child(batch.take()));
        let (mut when, mut now) = std::io::pipe()?;
        let late = Child::of_this_process(|| {
            when.read_exact(&mut [0]).unwrap();
            commit_in_child(batch.take());
        });
        batch.unwrap().commit(&effect)?;
        now.write_all(&[0])?;
        late.join();
    }
    Ok(())
}

#[test]
fn of_one_that_receives_values() {
    let mut effects = Vec::new();
    let report = Harness::new(test_name!())
        .under_test(test_name!())
        .capacity(2)
        .producers(1, |source| (0..20u8).try_for_each(|n| Ok(source.send(n)?)))
        .consumers(1, |sink| {
            commit_beside_children(sink, |batch| batch[0])?;
            in_a_child(|| refused_to_receive(sink.receive().unwrap_err()));
            Ok(())
        })
        .on_effect(|effect| effects.extend_from_slice(effect))
        .run()
        .unwrap();
    assert_eq!(effects, Vec::from_iter(0..20));
    assert_eq!(
        (report.messages.received, report.messages.redelivered),
        (20, 0)
    );
}

#[test]
fn of_one_that_receives_bytes() {
    let mut effects = Vec::new();
    let report = Harness::<[u8]>::new(test_name!())
        .under_test(test_name!())
        .capacity(2)
        .producers(1, |source| {
            (0..20u8).try_for_each(|n| Ok(source.send_bytes(&[n; 100])?))
        })
        .consumers(1, |sink| {
            let first_byte = |batch: &Batch<'_, '_, [u8]>| {
                let message = batch.iter().next().expect("it is never empty");
                assert_eq!(message, [message[0]; 100]);
                message[0]
            };
            commit_beside_children(sink, first_byte)?;
            in_a_child(|| refused_to_receive(sink.receive_bytes().unwrap_err()));
            Ok(())
        })
        .on_effect(|effect| effects.extend_from_slice(effect))
        .run()
        .unwrap();
    assert_eq!(effects, Vec::from_iter(0..20));
    assert_eq!(
        (report.messages.received, report.messages.redelivered),
        (20, 0)
    );
}
