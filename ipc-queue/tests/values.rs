//! Values of serde types through byte rings, byte queues and channels.

mod common;

use common::PATIENCE;
use ipc_core::{Place, Segment};
use ipc_process::{Process, WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::channel::{Channel, End, RecvError, SendError};
use ipc_queue::mpmc;
use ipc_queue::spsc::bytes::ByteRing;
use ipc_queue::spsc::{PopError, PushError};
use ipc_queue::values::{RecvValueError, SendValueError};
use serde::ser::{Error, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(2);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Point(f64, f64),
    Polygon {
        name: String,
        corners: Vec<(i64, i64)>,
        inner: Option<Box<Shape>>,
    },
    Tagged(BTreeMap<String, Shape>),
}

fn polygon(corners: usize) -> Shape {
    Shape::Polygon {
        name: "Vieleck ✶".repeat(corners % 5),
        corners: (0..corners as i64).map(|it| (it * it, -it)).collect(),
        inner: Some(Box::new(Shape::Point(0.1, f64::MIN_POSITIVE))),
    }
}

fn shapes() -> Vec<Shape> {
    let tagged = [("a", Shape::Nothing), ("", polygon(3))].map(|(key, it)| (key.to_string(), it));
    vec![
        Shape::Nothing,
        Shape::Point(-0.5, 1e300),
        polygon(0),
        // Longer than what lies in a slot of the queue.
        polygon(100),
        Shape::Tagged(BTreeMap::from(tagged)),
    ]
}

/// All forms of one kind of handles.
macro_rules! forms {
    ($tx:expr, $rx:expr, $empty:pat, $late:pat) => {
        let (tx, rx) = (&mut $tx, &mut $rx);
        for shape in shapes() {
            tx.try_send_value(&shape).unwrap();
            tx.send_value(&shape).unwrap();
            tx.send_value_timeout(&shape, PATIENCE).unwrap();
            assert_eq!(rx.try_recv_value().unwrap(), Some(shape.clone()));
            assert_eq!(rx.recv_value().unwrap(), Some(shape.clone()));
            assert_eq!(rx.recv_value_timeout(PATIENCE).unwrap(), Some(shape));
        }
        // References and unsized values.
        tx.send_value("a str").unwrap();
        tx.send_value(&[1u8, 2][..]).unwrap();
        tx.send_value(&()).unwrap();
        assert_eq!(rx.recv_value::<String>().unwrap().unwrap(), "a str");
        assert_eq!(rx.recv_value::<Vec<u8>>().unwrap().unwrap(), [1, 2]);
        assert_eq!(rx.recv_value::<()>().unwrap(), Some(()));
        let refused = rx.try_recv_value::<Shape>().unwrap_err();
        assert!(matches!(refused, RecvValueError::Recv($empty)), "{refused}");
        let refused = rx.recv_value_timeout::<Shape>(SHORT).unwrap_err();
        assert!(matches!(refused, RecvValueError::Recv($late)), "{refused}");
    };
}

#[test]
fn every_form_of_each_kind_gives_back_what_was_sent() {
    let ring = ByteRing::create(Place::memfd("test"), 8000, 1000).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    forms!(tx, rx, PopError::Empty, PopError::TimedOut);
    tx.close().unwrap();
    assert_eq!(rx.recv_value::<Shape>().unwrap(), None);

    let queue = mpmc::bytes::Queue::create(Place::memfd("test"), 8, 1000).unwrap();
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    forms!(tx, rx, mpmc::PopError::Empty, mpmc::PopError::TimedOut);
    tx.close().unwrap();
    assert_eq!(rx.recv_value::<Shape>().unwrap(), None);

    let channel = Channel::create(Place::memfd("test"), 8000, 1000).unwrap();
    let (mut first, mut second) = (channel.first().unwrap(), channel.second().unwrap());
    forms!(first, second, RecvError::Empty, RecvError::TimedOut);
    forms!(second, first, RecvError::Empty, RecvError::TimedOut);
    first.close().unwrap();
    assert_eq!(second.recv_value::<Shape>().unwrap(), None);
    let refused = second.send_value(&Shape::Nothing).unwrap_err();
    assert!(
        matches!(refused, SendValueError::Send(SendError::Closed)),
        "{refused}"
    );
}

#[test]
fn a_value_takes_just_its_length() {
    let ring = ByteRing::create(Place::memfd("test"), 1 << 12, 1000).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    // A byte for the length, and the bytes; a unit before them.
    tx.send_value("0123456").unwrap();
    assert_eq!(ring.pushed().unwrap(), 16);
    let bytes = rx.take().unwrap().unwrap();
    assert_eq!(&*bytes, b"\x070123456");
    drop(bytes);
    // So many of them are in a ring that has room for few of the longest.
    for number in 0..200u64 {
        tx.try_send_value(&number).unwrap();
    }
    for number in 0..200u64 {
        assert_eq!(rx.recv_value().unwrap(), Some(number));
    }
}

/// Sends what is too long, and what cannot be encoded.
macro_rules! refusals {
    ($tx:expr, $rx:expr, $most:expr) => {
        let (tx, rx) = (&mut $tx, &mut $rx);
        // A string's length takes two bytes from 128 on.
        let fits = "x".repeat($most - 2);
        let long = "x".repeat($most - 1);
        for refused in [
            tx.try_send_value(&long),
            tx.send_value(&long),
            tx.send_value_timeout(&long, PATIENCE),
        ] {
            let error = refused.unwrap_err();
            assert!(
                matches!(&error, SendValueError::TooLong { type_name, len, most }
                    if type_name.contains("String") && (*len, *most) == ($most + 1, $most)),
                "{error}"
            );
            let message = error.to_string();
            assert!(
                message.contains("String") && message.contains(&$most.to_string()),
                "{message}"
            );
        }
        for error in [
            tx.send_value(&Unwilling(Cell::new(0), 1)).unwrap_err(),
            tx.send_value(&Unwilling(Cell::new(0), 2)).unwrap_err(),
            tx.send_value(&Growing(Cell::new(0))).unwrap_err(),
        ] {
            assert!(matches!(&error, SendValueError::Encode { .. }), "{error}");
        }
        let error = tx.send_value(&Unmeasured).unwrap_err();
        assert!(
            matches!(&error, SendValueError::Encode { type_name, .. } if type_name.contains("Unmeasured")),
            "{error}"
        );
        assert!(error.to_string().contains("Unmeasured"), "{error}");
        // Nothing of those has been sent.
        tx.send_value(&fits).unwrap();
        assert_eq!(rx.recv_value().unwrap(), Some(fits));
        assert!(rx.try_recv_value::<String>().is_err());
        // A value that turns out shorter when it is written is as long as it was then.
        tx.send_value(&Shrinking(Cell::new(0))).unwrap();
        assert_eq!(rx.take().unwrap().unwrap().len(), 2);
    };
}

/// Fails when it is serialized the so-many-th time.
struct Unwilling(Cell<u32>, u32);

impl Serialize for Unwilling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.set(self.0.get() + 1);
        if self.0.get() == self.1 {
            return Err(S::Error::custom("unwilling"));
        }
        serializer.serialize_str("willing")
    }
}

/// Is longer each time.
struct Growing(Cell<usize>);

impl Serialize for Growing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.set(self.0.get() + 1);
        serializer.serialize_str(&"x".repeat(self.0.get()))
    }
}

/// Is "xxx", and then "x".
struct Shrinking(Cell<usize>);

impl Serialize for Shrinking {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.set(self.0.get() + 1);
        let text = if self.0.get() == 1 { "xxx" } else { "x" };
        serializer.serialize_str(text)
    }
}

/// A sequence that does not know its length.
struct Unmeasured;

impl Serialize for Unmeasured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut elements = serializer.serialize_seq(None)?;
        elements.serialize_element(&1)?;
        elements.end()
    }
}

#[test]
fn what_cannot_be_sent_says_its_type_and_leaves_nothing() {
    const MOST: usize = 200;
    let ring = ByteRing::create(Place::memfd("test"), 1000, MOST).unwrap();
    refusals!(ring.producer().unwrap(), ring.consumer().unwrap(), MOST);
    let queue = mpmc::bytes::Queue::create(Place::memfd("test"), 8, MOST).unwrap();
    refusals!(queue.sender().unwrap(), queue.receiver().unwrap(), MOST);
    let channel = Channel::create(Place::memfd("test"), 1000, MOST).unwrap();
    refusals!(channel.first().unwrap(), channel.second().unwrap(), MOST);
}

#[test]
fn a_full_queue_refuses_a_value_as_it_does_bytes() {
    let ring = ByteRing::create(Place::memfd("test"), 64, 48).unwrap();
    let mut tx = ring.producer().unwrap();
    tx.send_value(&[7u8; 32]).unwrap();
    let refused = tx.try_send_value(&[7u8; 32]).unwrap_err();
    assert!(matches!(refused, SendValueError::Send(PushError::Full)));
    let refused = tx.send_value_timeout(&[7u8; 32], SHORT).unwrap_err();
    assert!(matches!(refused, SendValueError::Send(PushError::TimedOut)));
    // There is room for a shorter one.
    tx.try_send_value(&1u8).unwrap();

    let queue = mpmc::bytes::Queue::create(Place::memfd("test"), 1, 48).unwrap();
    let mut tx = queue.sender().unwrap();
    tx.send_value(&1).unwrap();
    let refused = tx.try_send_value(&2).unwrap_err();
    assert!(matches!(
        refused,
        SendValueError::Send(mpmc::PushError::Full)
    ));
    let refused = tx.send_value_timeout(&2, SHORT).unwrap_err();
    assert!(matches!(
        refused,
        SendValueError::Send(mpmc::PushError::TimedOut)
    ));
}

#[test]
fn a_segment_that_others_can_write_to_takes_no_values() {
    let (_, ring) = Segment::builder(Place::memfd("test"))
        .mode(0o620)
        .create_with(|segment| ByteRing::create_in(segment, "ring", 256, 100))
        .unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let refused = tx.send_value(&1).unwrap_err();
    assert!(matches!(
        refused,
        SendValueError::Send(PushError::NotPrivate)
    ));
    tx.push(&[1]).unwrap();
    let refused = rx.recv_value::<u8>().unwrap_err();
    assert!(matches!(
        refused,
        RecvValueError::Recv(PopError::NotPrivate)
    ));
}

fn calculate(worker: &mut Worker) -> WorkResult {
    let mut end: End = Channel::open(worker.take_fd("channel")?)?.second()?;
    while let Some(shape) = end.recv_value()? {
        let answer = match shape {
            Shape::Polygon { corners, .. } => Ok(corners.len() as u64),
            other => Err(format!("no polygon: {other:?}")),
        };
        end.send_value(&answer)?;
    }
    Ok(())
}

#[test]
fn another_process_answers_values_with_values() {
    run_if_worker("values", &[("calculate", &calculate)]);
    let channel = Channel::create(Place::memfd("test"), 8000, 1000).unwrap();
    let mut process = Process::builder("values", "calculate")
        .under_test(test_name!())
        .fd("channel", channel.segment().descriptor().unwrap())
        .spawn()
        .unwrap();
    let mut end = channel.first().unwrap();
    for corners in 0..100 {
        end.send_value(&polygon(corners)).unwrap();
        let answer: Result<u64, String> = end.recv_value().unwrap().unwrap();
        assert_eq!(answer, Ok(corners as u64));
    }
    end.send_value(&Shape::Nothing).unwrap();
    let answer: Result<u64, String> = end.recv_value().unwrap().unwrap();
    assert_eq!(answer, Err("no polygon: Nothing".to_string()));
    end.close().unwrap();
    process.join().unwrap().into_result().unwrap();
}
