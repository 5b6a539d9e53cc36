//! Channels: making and finding them, every form of sending and receiving, the end, and what happens
//! when both directions are full.

mod common;

use common::bytes::record;
use common::raw::{self, Raw};
use common::{PATIENCE, ShmName, until};
use ipc_core::{Error, Kind, ObjectSpec, Place, Segment, TypeTag, Wait};
use ipc_queue::channel::{Channel, End, OpenError, RecvError, RequestError, SendError};
use ipc_queue::spsc::bytes::ByteRing;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(2);

fn unnamed(capacity: usize, max_message: usize) -> Channel {
    Channel::create(Place::memfd("test"), capacity, max_message).unwrap()
}

fn ends(channel: &Channel) -> (End, End) {
    (channel.first().unwrap(), channel.second().unwrap())
}

type Send = fn(&mut End, &[u8]) -> Result<(), SendError>;
type Receive = fn(&mut End) -> Result<Option<Vec<u8>>, RecvError>;

/// All ways to send.
const SENDS: [Send; 7] = [
    |end, message| end.try_send(message),
    |end, message| end.send(message),
    |end, message| end.send_timeout(message, PATIENCE),
    |end, message| {
        let mut room = end.try_reserve(message.len())?;
        room.copy_from_slice(message);
        Ok(room.commit(message.len())?)
    },
    |end, message| {
        let mut room = end.reserve(message.len())?;
        room.copy_from_slice(message);
        Ok(room.commit(message.len())?)
    },
    |end, message| {
        let mut room = end.reserve_timeout(message.len(), PATIENCE)?;
        room.copy_from_slice(message);
        Ok(room.commit(message.len())?)
    },
    |end, message| end.split().0.send(message),
];

/// All ways to receive.
const RECEIVES: [Receive; 8] = [
    |end| {
        let mut into = b"something before".to_vec();
        Ok(end.try_recv_into(&mut into)?.map(|_| into))
    },
    |end| {
        let mut into = Vec::new();
        Ok(end.recv_into(&mut into)?.map(|_| into))
    },
    |end| {
        let mut into = Vec::new();
        Ok(end.recv_into_timeout(&mut into, PATIENCE)?.map(|_| into))
    },
    |end| {
        let mut into = [0; 64];
        let len = end.recv_into(&mut into)?;
        Ok(len.map(|len| into[..len].to_vec()))
    },
    |end| Ok(end.try_take()?.map(|it| it.to_vec())),
    |end| Ok(end.take()?.map(|it| it.to_vec())),
    |end| Ok(end.take_timeout(PATIENCE)?.map(|it| it.to_vec())),
    |end| Ok(end.split().1.take()?.map(|it| it.to_vec())),
];

#[test]
fn it_is_found_by_name_by_descriptor_and_among_objects() {
    let name = ShmName::new();
    let made = Channel::create(name.0.as_str(), 100, 40).unwrap();
    let sizes = |channel: &Channel| (channel.capacity(), channel.max_message());
    assert_eq!(sizes(&made), (104, 40));
    let by_name = Channel::open(name.0.as_str()).unwrap();
    let by_descriptor = Channel::open(made.segment().descriptor().unwrap()).unwrap();
    // What exists stays as it is.
    let existing = Channel::open_or_create(name.0.as_str(), 9000, 1000).unwrap();
    let mut client = made.first().unwrap();
    client.send(b"through all of them").unwrap();
    for channel in [by_name, by_descriptor, existing] {
        assert_eq!(sizes(&channel), (104, 40));
        let mut server = channel.second().unwrap();
        assert_eq!((server.capacity(), server.max_message()), (104, 40));
        let message = server.take().unwrap().unwrap();
        assert_eq!(&*message, b"through all of them");
        message.release_back();
    }
    let other = ShmName::new();
    let created = Channel::open_or_create(other.0.as_str(), 64, 8).unwrap();
    assert_eq!(sizes(&created), (64, 8));

    let size = Channel::size_for(64, 8).unwrap() + Channel::size_for(3000, 1000).unwrap();
    let segment = Segment::create(Place::memfd("two"), size).unwrap();
    let small = Channel::create_in(&segment, "small", 64, 8).unwrap();
    let large = Channel::create_in(&segment, "large", 3000, 1000).unwrap();
    let same = Channel::open_in(&segment, "large").unwrap();
    large.first().unwrap().send(&[7; 1000]).unwrap();
    small.first().unwrap().send(&[8; 8]).unwrap();
    assert_eq!(*same.second().unwrap().take().unwrap().unwrap(), [7; 1000]);
    assert_eq!(*small.second().unwrap().take().unwrap().unwrap(), [8; 8]);
}

#[test]
fn impossible_sizes_and_other_objects_are_refused() {
    for (capacity, max_message) in [(0, 0), (16, 9), (1 << 41, 8), (usize::MAX, usize::MAX)] {
        let refused = Channel::create(Place::memfd("test"), capacity, max_message);
        assert!(matches!(refused, Err(Error::OutOfRange { .. })));
        assert!(Channel::size_for(capacity, max_message).is_err());
    }
    let segment = Segment::create(Place::memfd("test"), 1 << 14).unwrap();
    ByteRing::create_in(&segment, "ring", 64, 8).unwrap();
    Channel::create_in(&segment, "channel", 64, 8).unwrap();
    assert!(Channel::open_in(&segment, "ring").is_err());
    assert!(ByteRing::open_in(&segment, "channel").is_err());
    assert!(Channel::open_in(&segment, "nothing").is_err());
}

#[test]
fn sizes_that_do_not_fit_the_object_are_refused_when_it_is_opened() {
    static FORGED: Kind = Kind {
        name: "channel",
        sweep: |_, _| Ok(()),
    };
    let segment = Segment::create(Place::memfd("test"), 1 << 15).unwrap();
    let len = Channel::size_for(64, 40).unwrap() as u64;
    for (at, (capacity, max_message)) in [
        (64, 40),
        (72, 40),
        (0, 0),
        (64, u64::MAX),
        (u64::MAX, 40),
        (1 << 40, 8),
    ]
    .into_iter()
    .enumerate()
    {
        let spec = ObjectSpec {
            kind: &FORGED,
            element: TypeTag::named::<u8>("bytes"),
            config: [capacity, max_message, 0, 0],
            len,
        };
        let name = format!("channel {at}");
        segment.create_object(&name, &spec, |_| Ok(())).unwrap();
        match Channel::open_in(&segment, &name) {
            Ok(channel) => assert_eq!((at, channel.capacity()), (0, 64)),
            Err(error) => {
                assert_ne!(at, 0, "{error}");
                let named = matches!(error, Error::Corrupted { .. });
                assert!(named && error.to_string().contains(&name), "{error}");
            }
        }
    }
}

#[test]
fn every_form_sends_to_every_form_in_both_directions_at_once() {
    let channel = unnamed(256, 64);
    let (mut first, mut second) = ends(&channel);
    for (number, send) in (0..).zip(SENDS) {
        for receive in RECEIVES {
            for len in [0, 1, 7, 8, 9, 63, 64] {
                let (there, back) = (record(number, len), record(number + 1000, len));
                send(&mut first, &there).unwrap();
                send(&mut second, &back).unwrap();
                assert_eq!(receive(&mut second).unwrap(), Some(there));
                assert_eq!(receive(&mut first).unwrap(), Some(back));
            }
        }
    }
    assert!(matches!(first.try_take(), Err(RecvError::Empty)));
    assert!(matches!(second.try_take(), Err(RecvError::Empty)));
}

#[test]
fn a_message_that_is_too_long_names_both_lengths_and_nothing_is_sent() {
    let channel = unnamed(256, 64);
    let (mut first, mut second) = ends(&channel);
    for send in SENDS {
        let error = send(&mut first, &[1; 65]).unwrap_err();
        assert!(
            matches!(error, SendError::TooLong { len: 65, most: 64 }),
            "{error}"
        );
    }
    let error = first.request(&[1; 65], &mut Vec::new()).unwrap_err();
    assert!(
        matches!(error, RequestError::Send(SendError::TooLong { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("65") && error.to_string().contains("64"));
    assert!(matches!(second.try_take(), Err(RecvError::Empty)));
}

#[test]
fn refusals_say_why_and_take_nothing() {
    let channel = unnamed(24, 8);
    let (mut first, mut second) = ends(&channel);
    let into = &mut Vec::new();
    assert!(matches!(second.try_recv_into(into), Err(RecvError::Empty)));
    assert!(matches!(
        second.recv_into_timeout(into, SHORT),
        Err(RecvError::TimedOut)
    ));
    assert!(matches!(
        second.take_timeout(SHORT),
        Err(RecvError::TimedOut)
    ));
    first.send(b"eight by").unwrap();
    assert!(matches!(first.try_send(b"x"), Err(SendError::Full)));
    assert!(matches!(first.try_reserve(1), Err(SendError::Full)));
    let late = first.send_timeout(b"x", SHORT);
    assert!(matches!(late, Err(SendError::TimedOut)));
    let late = first.reserve_timeout(1, SHORT).map(drop);
    assert!(matches!(late, Err(SendError::TimedOut)));
    drop(first.reserve(0).unwrap());
    let short = second.recv_into(&mut [0; 7]);
    assert!(matches!(
        short,
        Err(RecvError::TooShort { len: 8, room: 7 })
    ));
    assert_eq!(*second.take().unwrap().unwrap(), *b"eight by");
    assert!(matches!(second.try_take(), Err(RecvError::Empty)));
}

#[test]
fn an_end_has_one_owner_and_is_free_when_dropped() {
    let channel = unnamed(64, 8);
    let same = Channel::open(channel.segment().descriptor().unwrap()).unwrap();
    let (mut first, mut second) = ends(&channel);
    for channel in [&channel, &same] {
        let me = std::process::id();
        let error = channel.first().unwrap_err();
        assert!(
            matches!(&error, OpenError::EndTaken { end: "first", pid, .. } if *pid == me),
            "{error}"
        );
        let error = channel.second().unwrap_err();
        assert!(
            matches!(&error, OpenError::EndTaken { end: "second", pid, .. } if *pid == me),
            "{error}"
        );
    }
    // A newcomer goes on where the one before it stopped, in both directions.
    first.send(b"1").unwrap();
    second.send(b"a").unwrap();
    drop(first);
    let mut first = same.first().unwrap();
    first.send(b"2").unwrap();
    drop(second);
    let mut second = same.second().unwrap();
    assert_eq!(&*second.take().unwrap().unwrap(), b"1");
    assert_eq!(&*second.take().unwrap().unwrap(), b"2");
    assert_eq!(&*first.take().unwrap().unwrap(), b"a");
}

#[test]
fn after_close_the_other_end_gets_what_was_sent_and_then_the_end_and_sends_no_more() {
    for closes_first in [true, false] {
        let channel = unnamed(64, 8);
        let (mut closing, mut other) = ends(&channel);
        if !closes_first {
            std::mem::swap(&mut closing, &mut other);
        }
        other.send(b"lost").unwrap();
        closing.send(b"last").unwrap();
        closing.close().unwrap();
        for send in SENDS {
            let refused = send(&mut other, b"x");
            assert!(matches!(refused, Err(SendError::Closed)), "{refused:?}");
        }
        let refused = other.request(b"x", &mut Vec::new());
        assert!(matches!(
            refused,
            Err(RequestError::Send(SendError::Closed))
        ));
        let take = |is_first| match is_first {
            true => channel.first(),
            false => channel.second(),
        };
        // Whoever takes the other end finds the same; the closed one, nobody takes.
        drop(other);
        let mut other = take(!closes_first).unwrap();
        let closed = take(closes_first).unwrap_err();
        let expected = if closes_first { "first" } else { "second" };
        assert!(
            matches!(&closed, OpenError::Closed { end, .. } if *end == expected),
            "{closed}"
        );
        assert_eq!(&*other.take().unwrap().unwrap(), b"last");
        for receive in RECEIVES {
            assert_eq!(receive(&mut other).unwrap(), None);
        }
    }
}

/// A lost wake would only make a sleeper late, as it looks for itself after a while. So this looks
/// whether the bell on which it sleeps was rung. The sleeper may be at the end of a slice, about to
/// lie down again; not every time.
#[test]
fn close_wakes_who_sleeps_for_room() {
    let each = ByteRing::size_for(24, 8).unwrap() as u64;
    for (closes_first, offset) in [(false, 0), (true, each)] {
        let attempt = || {
            let channel = unnamed(24, 8);
            let raw = Raw::first_of_at(channel.segment(), offset);
            let (mut sender, mut closing) = ends(&channel);
            if closes_first {
                std::mem::swap(&mut sender, &mut closing);
            }
            sender.set_wait(Wait::Park);
            sender.send(&[1; 8]).unwrap();
            std::thread::scope(|scope| {
                let sent = scope.spawn(move || sender.send_timeout(&[2; 8], PATIENCE));
                until("the sender sleeps", || raw.producer_sleeps());
                closing.close().unwrap();
                let rung = !raw.producer_sleeps();
                let refused = sent.join().unwrap();
                assert!(matches!(refused, Err(SendError::Closed)), "{refused:?}");
                rung
            })
        };
        assert!((0..20).any(|_| attempt()));
    }
}

#[test]
fn close_ends_every_wait_of_the_other_end() {
    for wait in [Wait::Busy, Wait::Adaptive, Wait::Park] {
        let start = Instant::now();
        for reserves in [false, true] {
            let channel = unnamed(24, 8);
            let (mut sender, closing) = ends(&channel);
            sender.set_wait(wait);
            sender.send(&[1; 8]).unwrap();
            let refused = std::thread::scope(|scope| {
                let refused = scope.spawn(move || match reserves {
                    false => sender.send_timeout(&[2; 8], PATIENCE),
                    true => sender.reserve_timeout(8, PATIENCE).map(drop),
                });
                std::thread::yield_now();
                closing.close().unwrap();
                refused.join().unwrap()
            });
            assert!(matches!(refused, Err(SendError::Closed)), "{refused:?}");
        }
        let channel = unnamed(24, 8);
        let (mut receiver, closing) = ends(&channel);
        receiver.set_wait(wait);
        std::thread::scope(|scope| {
            let replied =
                scope.spawn(move || receiver.request_timeout(b"?", &mut Vec::new(), PATIENCE));
            std::thread::yield_now();
            let mut closing = closing;
            drop(closing.take().unwrap().unwrap());
            closing.close().unwrap();
            let replied = replied.join().unwrap();
            assert!(matches!(replied, Err(RequestError::Closed)), "{replied:?}");
        });
        assert!(start.elapsed() < PATIENCE, "a wait went on");
    }
}

/// Answers what it receives until the end, holding the question meanwhile.
fn serve(end: &mut End) {
    let (sending, receiving) = end.split();
    while let Some(question) = receiving.take().unwrap() {
        let mut answer = sending.reserve(question.len()).unwrap();
        answer.copy_from_slice(&question);
        answer.reverse();
        answer.commit(question.len()).unwrap();
    }
}

#[test]
fn each_request_gets_its_reply_however_little_room_there_is() {
    for (capacity, wait) in [
        (48, Wait::Park),
        (48, Wait::Adaptive),
        (4096, Wait::Adaptive),
    ] {
        let channel = unnamed(capacity, 40);
        let (mut client, mut server) = ends(&channel);
        client.set_wait(wait);
        server.set_wait(wait);
        std::thread::scope(|scope| {
            scope.spawn(move || serve(&mut server));
            let mut reply = Vec::new();
            for number in 0..1000 {
                let question = record(number, number as usize % 41);
                let len = match number % 2 {
                    0 => client.request(&question, &mut reply),
                    _ => client.request_timeout(&question, &mut reply, PATIENCE),
                };
                assert_eq!(len.unwrap(), question.len());
                reply.reverse();
                assert_eq!(reply, question);
            }
            client.close().unwrap();
        });
    }
}

#[test]
fn a_reply_that_comes_too_late_is_the_next_message() {
    let channel = unnamed(256, 40);
    let (mut client, mut server) = ends(&channel);
    let reply = &mut Vec::new();
    let late = client.request_timeout(b"slow", reply, SHORT);
    assert!(matches!(
        late,
        Err(RequestError::Receive(RecvError::TimedOut))
    ));
    assert_eq!(&*server.take().unwrap().unwrap(), b"slow");
    server.send(b"late").unwrap();
    assert_eq!(client.recv_into(reply).unwrap(), Some(4));
    assert_eq!(reply, b"late");
    // A reply that the buffer is too short for stays.
    server.send(b"long").unwrap();
    let short = client.request(b"short", &mut [0; 3]);
    assert!(matches!(
        short,
        Err(RequestError::Receive(RecvError::TooShort {
            len: 4,
            room: 3
        }))
    ));
    assert_eq!(&*client.take().unwrap().unwrap(), b"long");
}

#[test]
fn two_that_ask_at_once_get_each_others_requests() {
    let channel = unnamed(64, 8);
    let (mut first, mut second) = ends(&channel);
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || {
            let mut reply = Vec::new();
            second.request(b"second", &mut reply).unwrap();
            reply
        });
        let mut reply = Vec::new();
        first.request(b"first", &mut reply).unwrap();
        assert_eq!(reply, b"second");
        assert_eq!(asked.join().unwrap(), b"first");
    });
}

#[test]
fn with_both_directions_full_two_requests_wait_and_go_on_when_one_end_receives() {
    let channel = unnamed(48, 8);
    let (mut first, mut second) = ends(&channel);
    let fill = |end: &mut End| {
        let mut sent = 0;
        while end.try_send(&[sent; 8]).is_ok() {
            sent += 1;
        }
        sent
    };
    assert_eq!((fill(&mut first), fill(&mut second)), (3, 3));
    // Neither gets its request sent, as over sockets, and each is told that it was not.
    std::thread::scope(|scope| {
        for end in [&mut first, &mut second] {
            scope.spawn(move || {
                let refused = end.request_timeout(b"?", &mut Vec::new(), SHORT);
                assert!(
                    matches!(refused, Err(RequestError::Send(SendError::TimedOut))),
                    "{refused:?}"
                );
            });
        }
    });
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || {
            let mut reply = Vec::new();
            first.request(b"?", &mut reply).unwrap();
            (reply, first)
        });
        for sent in 0..3 {
            assert_eq!(*second.take().unwrap().unwrap(), [sent; 8]);
        }
        assert_eq!(&*second.take().unwrap().unwrap(), b"?");
        // The next message is what had been sent before.
        let (reply, mut first) = asked.join().unwrap();
        assert_eq!(reply, [0; 8]);
        assert_eq!(*first.take().unwrap().unwrap(), [1; 8]);
        assert_eq!(*first.take().unwrap().unwrap(), [2; 8]);
        second.send(&[]).unwrap();
        assert!(first.take().unwrap().unwrap().is_empty());
    });
}

#[test]
fn two_threads_use_the_directions_of_one_end_at_the_same_time() {
    const MESSAGES: u64 = 20_000;
    let channel = unnamed(128, 40);
    let (mut first, mut second) = ends(&channel);
    let mut halves: Vec<_> = [first.split(), second.split()].into_iter().collect();
    std::thread::scope(|scope| {
        for (sending, receiving) in halves.drain(..) {
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    sending.send(&record(number, number as usize % 41)).unwrap();
                }
            });
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    let message = receiving.take().unwrap().unwrap();
                    assert_eq!(*message, record(number, number as usize % 41));
                }
            });
        }
    });
}

#[test]
fn a_segment_that_others_can_write_to_has_the_copying_forms_only() {
    let (_, channel) = Segment::builder(Place::memfd("test"))
        .mode(0o620)
        .create_with(|segment| Channel::create_in(segment, "channel", 256, 100))
        .unwrap();
    let (mut first, mut second) = ends(&channel);
    for refused in [
        first.try_reserve(1).map(drop),
        first.reserve(1).map(drop),
        first.reserve_timeout(1, SHORT).map(drop),
    ] {
        assert!(matches!(refused, Err(SendError::NotPrivate)), "{refused:?}");
    }
    first.send(b"a copy").unwrap();
    for refused in [
        second.try_take().map(drop),
        second.take().map(drop),
        second.take_timeout(SHORT).map(drop),
    ] {
        assert!(matches!(refused, Err(RecvError::NotPrivate)), "{refused:?}");
    }
    assert_eq!(second.recv_into(&mut Vec::new()).unwrap(), Some(6));
}

#[test]
fn damage_is_an_error_that_names_the_channel() {
    let channel = unnamed(64, 40);
    let each = ByteRing::size_for(64, 40).unwrap() as u64;
    let (mut first, mut second) = ends(&channel);
    // What the second end sends lies behind what the first one does.
    for offset in [0, each] {
        let raw = Raw::first_of_at(channel.segment(), offset);
        let (sends, receives) = match offset {
            0 => (&mut first, &mut second),
            _ => (&mut second, &mut first),
        };
        sends.send(&[1; 8]).unwrap();
        assert_eq!(raw.get(raw::SLOTS), 8);
        for len in [9, 41, 1 << 40, u64::MAX] {
            raw.set(raw::SLOTS, len);
            let error = receives.take().unwrap_err();
            assert!(
                matches!(error, RecvError::Segment(Error::Corrupted { .. })),
                "{error}"
            );
            assert!(error.to_string().contains("channel"), "{error}");
        }
        raw.set(raw::SLOTS, 8);
        assert_eq!(*receives.take().unwrap().unwrap(), [1; 8]);
        let tail = raw.get(raw::TAIL);
        raw.set(raw::TAIL, tail + 9);
        let error = receives.take().unwrap_err();
        assert!(
            matches!(error, RecvError::Segment(Error::Corrupted { .. })),
            "{error}"
        );
        raw.set(raw::TAIL, tail);
    }
}
