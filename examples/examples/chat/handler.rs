//! The process of one client: what it says goes into all inboxes, and its own inbox to it.

use crate::room::{Line, Room};
use examples::Failure;
use ipc_process::{WorkResult, Worker};
use ipc_queue::mpmc::{PopError, Receiver};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;

/// Room for the name before the text.
const TEXT: u64 = Line::LONGEST as u64 - 16;

pub fn handle(worker: &mut Worker) -> WorkResult {
    let (place, me): (usize, u32) = serde_json::from_slice(worker.params())?;
    let stream = TcpStream::from(worker.take_fd("client")?);
    let mut room = Room::open(worker.take_fd("segment")?)?;
    let (inbox, to_client) = (room.inbox(place)?, stream.try_clone()?);
    // It ends with the process.
    thread::spawn(move || deliver(inbox, to_client, me));

    let mut client = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        // A longer line comes in pieces.
        let read = client.by_ref().take(TEXT).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            return Ok(()); // The client has left.
        }
        let text = line.trim_ascii_end();
        room.tell(place, me, &[b"you: ", text].concat())?;
        room.tell_others(me, &[format!("{me}: ").as_bytes(), text].concat())?;
    }
}

/// From the inbox to the client, until that has left.
fn deliver(mut inbox: Receiver<Line>, mut client: TcpStream, me: u32) -> Result<(), Failure> {
    loop {
        match inbox.pop() {
            Ok(Some(line)) => {
                if let Some(text) = line.text_for(me) {
                    client.write_all(&[text, b"\n"].concat())?;
                }
            }
            Ok(None) => return Ok(()),
            // All others, the server too: its death ends this process.
            Err(PopError::ProducersDied) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
