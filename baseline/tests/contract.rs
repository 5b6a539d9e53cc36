//! What every transport promises, whatever it is made of. Between processes: see
//! `between_processes.rs`.

use std::{error::Error as _, num::NonZeroUsize, path::Path};

use baseline::{Error, Polling, Received, Receiver, Sender, append_file, json_file, pipe};
use tempfile::TempDir;

/// The two ends of a transport, and where its files are as long as it is used.
struct Transport {
    name: &'static str,
    sender: Box<dyn Sender>,
    receiver: Box<dyn Receiver>,
    _directory: TempDir,
}

/// One of each, with room for a few messages.
fn transports() -> [Transport; 3] {
    let directory = || tempfile::tempdir().unwrap();
    let (json, append) = (directory(), directory());
    let json_path = json.path().join("queue.json");
    json_file::create(&json_path).unwrap();
    let append_path = append.path().join("queue");
    append_file::create(&append_path).unwrap();
    let (pipe_sender, pipe_receiver) = pipe::pair().unwrap();
    [
        Transport {
            name: "json_file",
            sender: Box::new(json_sender(&json_path).unwrap()),
            receiver: Box::new(json_file::JsonReceiver::open(json_path, POLLING).unwrap()),
            _directory: json,
        },
        Transport {
            name: "append_file",
            sender: Box::new(append_file::AppendSender::open(&append_path).unwrap()),
            receiver: Box::new(append_file::AppendReceiver::open(append_path, POLLING).unwrap()),
            _directory: append,
        },
        Transport {
            name: "pipe",
            sender: Box::new(pipe_sender),
            receiver: Box::new(pipe_receiver),
            _directory: directory(),
        },
    ]
}

const POLLING: Polling = Polling::Yield;

fn json_sender(path: &Path) -> baseline::Result<json_file::JsonSender> {
    json_file::JsonSender::open(path, NonZeroUsize::new(16).unwrap(), POLLING)
}

#[test]
fn messages_of_any_bytes_come_back_in_order() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let long = vec![0xe9; 30_000];
    let messages: [&[u8]; 8] = [
        b"text",
        b"",
        b"\xff\xfe not UTF-8",
        &every_byte,
        &long,
        b"\"quoted\"\\\n\0",
        "gr\u{fc}n \u{1f600}".as_bytes(),
        b"",
    ];
    for Transport {
        name,
        sender,
        receiver,
        _directory,
    } in &mut transports()
    {
        for message in messages {
            sender.send(message).unwrap();
        }
        let mut received = b"left from before".to_vec();
        for message in messages {
            assert_eq!(
                receiver.receive(&mut received).unwrap(),
                Received::Message,
                "{name}"
            );
            assert_eq!(received, message, "{name}");
        }
    }
}

#[test]
fn the_end_comes_after_the_messages_and_stays() {
    for Transport {
        name,
        sender,
        receiver,
        _directory,
    } in &mut transports()
    {
        sender.send(b"last").unwrap();
        sender.finish().unwrap();
        sender.finish().unwrap();
        let mut message = Vec::new();
        assert_eq!(
            receiver.receive(&mut message).unwrap(),
            Received::Message,
            "{name}"
        );
        assert_eq!(message, b"last", "{name}");
        for _ in 0..3 {
            assert_eq!(
                receiver.receive(&mut message).unwrap(),
                Received::End,
                "{name}"
            );
        }
    }
}

#[test]
fn nothing_is_sent_after_the_end() {
    for Transport {
        name,
        sender,
        receiver,
        _directory,
    } in &mut transports()
    {
        sender.finish().unwrap();
        let error = sender.send(b"late").unwrap_err();
        assert!(matches!(error, Error::Finished { .. }), "{name}: {error}");
        assert_eq!(
            receiver.receive(&mut Vec::new()).unwrap(),
            Received::End,
            "{name}"
        );
    }
}

#[test]
fn a_missing_directory_is_an_error_that_names_the_path_and_the_cause() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no_such_directory/queue");
    for result in [json_file::create(&path), append_file::create(&path)] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Create { .. }), "{error}");
        assert!(
            error.to_string().contains("no_such_directory/queue"),
            "{error}"
        );
        let cause = error
            .source()
            .unwrap()
            .downcast_ref::<std::io::Error>()
            .unwrap();
        assert_eq!(cause.kind(), std::io::ErrorKind::NotFound);
    }
}

#[test]
fn an_end_of_a_queue_that_was_not_created_is_an_error_that_names_the_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no_such_queue");
    for error in [
        json_sender(&path).unwrap_err(),
        json_file::JsonReceiver::open(&path, POLLING).unwrap_err(),
        append_file::AppendSender::open(&path).unwrap_err(),
        append_file::AppendReceiver::open(&path, POLLING).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Open { .. }), "{error}");
        assert!(error.to_string().contains("no_such_queue"), "{error}");
    }
}

#[test]
fn a_queue_is_not_created_over_another() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("queue.json");
    json_file::create(&json).unwrap();
    assert!(matches!(
        json_file::create(&json),
        Err(Error::Create { .. })
    ));
    let append = directory.path().join("queue");
    append_file::create(&append).unwrap();
    assert!(matches!(
        append_file::create(&append),
        Err(Error::Create { .. })
    ));
}
