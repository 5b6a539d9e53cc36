//! Streams between processes: every message, once, in order, whole; and waiting on both sides.

mod common;

use common::{Random, from_env, unnamed};
use ipc_core::{Payload, Wait};
use ipc_process::{Process, WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::spsc::{Consumer, PopError, Producer, PushError, Ring};
use std::time::Duration;

const SCOPE: &str = "streams";

/// A message that is made of its number: anything lost, doubled or torn shows.
trait Numbered: Payload + PartialEq + std::fmt::Debug {
    fn number(n: u64) -> Self;
}

impl Numbered for u64 {
    fn number(n: u64) -> Self {
        n
    }
}

impl Numbered for u8 {
    fn number(n: u64) -> Self {
        n as u8
    }
}

impl Numbered for () {
    fn number(_: u64) -> Self {}
}

impl<const N: usize> Numbered for [u8; N] {
    fn number(n: u64) -> Self {
        std::array::from_fn(|at| (n >> (8 * (at % 3))) as u8 ^ at as u8)
    }
}

macro_rules! aligned {
    ($name:ident, $align:literal, $words:literal) => {
        #[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C, align($align))]
        struct $name([u64; $words]);

        impl Numbered for $name {
            fn number(n: u64) -> Self {
                $name(std::array::from_fn(|at| n.wrapping_mul(at as u64 + 1)))
            }
        }
    };
}

aligned!(Kilobyte, 8, 128);
aligned!(Aligned16, 16, 2);
aligned!(Aligned64, 64, 16);

/// How both sides do it.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Form {
    Try,
    Block,
    Timeout,
    TrySlice,
    Slice,
    SliceTimeout,
    InPlace,
    TryInPlace,
}

const FORMS: [Form; 8] = [
    Form::Try,
    Form::Block,
    Form::Timeout,
    Form::TrySlice,
    Form::Slice,
    Form::SliceTimeout,
    Form::InPlace,
    Form::TryInPlace,
];
const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

const SOON: Duration = Duration::from_millis(3);

/// Pushes the messages from `sent` on, some at a time, and returns how many.
fn push_some<T: Numbered>(
    tx: &mut Producer<T>,
    form: Form,
    sent: u64,
    most: u64,
) -> Result<u64, PushError> {
    let many = || -> Vec<T> { (sent..sent + most).map(T::number).collect() };
    match form {
        Form::Try => tx.try_push(T::number(sent)).map(|()| 1),
        Form::Block => tx.push(T::number(sent)).map(|()| 1),
        Form::Timeout => tx.push_timeout(T::number(sent), SOON).map(|()| 1),
        Form::TrySlice => tx.try_push_slice(&many()).map(|count| count as u64),
        Form::Slice => tx.push_slice(&many()).map(|()| most),
        Form::SliceTimeout => tx
            .push_slice_timeout(&many(), SOON)
            .map(|count| count as u64),
        Form::InPlace | Form::TryInPlace => {
            let mut slot = match form {
                Form::InPlace => tx.reserve()?,
                _ => tx.try_reserve()?,
            };
            *slot = T::number(sent);
            slot.commit();
            Ok(1)
        }
    }
}

/// Pops some messages, checks them, and returns how many; `None` at the end.
fn pop_some<T: Numbered>(
    rx: &mut Consumer<T>,
    form: Form,
    received: u64,
    most: u64,
) -> Result<Option<u64>, PopError> {
    let check = |message: T| {
        assert_eq!(message, T::number(received));
        1
    };
    let mut many = vec![T::number(u64::MAX); most as usize];
    let popped = match form {
        Form::Try => return Ok(rx.try_pop()?.map(check)),
        Form::Block => return Ok(rx.pop()?.map(check)),
        Form::Timeout => return Ok(rx.pop_timeout(SOON)?.map(check)),
        Form::InPlace | Form::TryInPlace => {
            let message = match form {
                Form::InPlace => rx.peek()?,
                _ => rx.try_peek()?,
            };
            return Ok(message.map(|message| {
                let count = check(*message);
                message.release();
                count
            }));
        }
        Form::TrySlice => rx.try_pop_slice(&mut many)?,
        Form::Slice => rx.pop_slice(&mut many)?,
        Form::SliceTimeout => rx.pop_slice_timeout(&mut many, SOON)?,
    };
    Ok(popped.map(|count| {
        assert!(count > 0);
        for (at, message) in many[..count].iter().enumerate() {
            assert_eq!(*message, T::number(received + at as u64));
        }
        count as u64
    }))
}

/// The role: pushes so many messages and closes.
fn produce<T: Numbered>(worker: &mut Worker) -> WorkResult {
    let [count, form, wait] = bytemuck::pod_read_unaligned(worker.params());
    let form = FORMS[form as usize];
    let mut random = Random::new(count);
    let mut tx = Ring::<T>::open(worker.take_fd("ring")?)?.producer()?;
    tx.set_wait(POLICIES[wait as usize]);
    let mut sent = 0;
    while sent < count {
        let most = (1 + random.below(20)).min(count - sent);
        match push_some(&mut tx, form, sent, most) {
            Ok(pushed) => sent += pushed,
            // One core for both would else be wasted on polling.
            Err(PushError::Full) => std::thread::yield_now(),
            Err(PushError::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tx.close()?)
}

fn become_worker() {
    run_if_worker(
        SCOPE,
        &[
            ("u64", &produce::<u64>),
            ("u8", &produce::<u8>),
            ("nothing", &produce::<()>),
            ("3", &produce::<[u8; 3]>),
            ("12", &produce::<[u8; 12]>),
            ("kilobyte", &produce::<Kilobyte>),
            ("align16", &produce::<Aligned16>),
            ("align64", &produce::<Aligned64>),
        ],
    );
}

/// One stream from a worker to here.
fn stream<T: Numbered>(test: &str, role: &str, capacity: usize, count: u64, how: (usize, usize)) {
    let (form, wait) = how;
    let ring = unnamed::<T>(capacity);
    let mut rx = ring.consumer().unwrap();
    rx.set_wait(POLICIES[wait]);
    let mut worker = Process::builder(SCOPE, role)
        .under_test(test)
        .params(bytemuck::bytes_of(&[count, form as u64, wait as u64]))
        .fd("ring", ring.segment().descriptor().unwrap())
        .spawn()
        .unwrap();
    let mut random = Random::new(count + 1);
    let mut received = 0;
    loop {
        // The other side of the form, so that they mix.
        let form = FORMS[(form + received as usize % 2) % FORMS.len()];
        match pop_some(&mut rx, form, received, 1 + random.below(20)) {
            Ok(Some(popped)) => received += popped,
            Ok(None) => break,
            Err(PopError::Empty) => std::thread::yield_now(),
            Err(PopError::TimedOut) => {}
            Err(error) => panic!("{:?} {:?}: {error}", FORMS[how.0], POLICIES[how.1]),
        }
    }
    assert_eq!(received, count);
    worker.join().unwrap().into_result().unwrap();
}

#[test]
fn millions_arrive_in_order() {
    become_worker();
    let count = from_env("IPC_QUEUE_MESSAGES", 2_000_000);
    stream::<u64>(test_name!(), "u64", 1000, count, (1, 1));
    stream::<u64>(test_name!(), "u64", 4096, count, (4, 1));
}

#[test]
fn every_form_with_every_policy_carries_a_stream() {
    become_worker();
    for form in 0..FORMS.len() {
        for wait in 0..POLICIES.len() {
            stream::<u64>(test_name!(), "u64", 7, 1_500, (form, wait));
        }
    }
}

#[test]
fn one_slot_is_enough_however_both_sides_wait() {
    become_worker();
    for wait in 0..POLICIES.len() {
        stream::<u64>(test_name!(), "u64", 1, 1_000, (1, wait));
        stream::<u64>(test_name!(), "u64", 2, 1_000, (4, wait));
    }
}

#[test]
fn messages_of_every_shape_arrive_whole() {
    become_worker();
    for capacity in [1, 5, 64] {
        for form in [1, 4, 6] {
            let how = (form, 1);
            stream::<u8>(test_name!(), "u8", capacity, 700, how);
            stream::<()>(test_name!(), "nothing", capacity, 700, how);
            stream::<[u8; 3]>(test_name!(), "3", capacity, 700, how);
            stream::<[u8; 12]>(test_name!(), "12", capacity, 700, how);
            stream::<Kilobyte>(test_name!(), "kilobyte", capacity, 400, how);
            stream::<Aligned16>(test_name!(), "align16", capacity, 400, how);
            stream::<Aligned64>(test_name!(), "align64", capacity, 400, how);
        }
    }
}
