//! The system's pipe between two processes.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::Path;

use crate::channel::{CAPACITY, Channel, ReceiveItem, SendItem};
use crate::failure::Failure;

/// The bytes of an item.
const ITEM: usize = size_of::<u64>();

/// A pipe with the system's own room, 64 KiB as a rule: more than the rings have.
pub struct Pipe {
    reader: Option<PipeReader>,
    writer: Option<PipeWriter>,
}

/// The reading end with as many bytes as one read gave.
pub struct Buffered {
    reader: PipeReader,
    buffer: Box<[u8; CAPACITY * ITEM]>,
    begin: usize,
    end: usize,
}

impl Channel for Pipe {
    type Sender = PipeWriter;
    type Receiver = Buffered;

    fn how() -> String {
        "one write per item, blocking; reads of as many items as there are, at most 1024".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let (reader, writer) = io::pipe().map_err(Failure::system("make a pipe"))?;
        Ok(Self {
            reader: Some(reader),
            writer: Some(writer),
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        self.writer.take().ok_or(Failure::EndTaken)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        Ok(Buffered {
            reader: self.reader.take().ok_or(Failure::EndTaken)?,
            buffer: Box::new([0; CAPACITY * ITEM]),
            begin: 0,
            end: 0,
        })
    }
}

impl SendItem for PipeWriter {
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        self.write_all(&item.to_ne_bytes())
            .map_err(Failure::system("write to a pipe"))
    }
}

impl ReceiveItem for Buffered {
    fn receive(&mut self) -> Result<u64, Failure> {
        // Writes of an item are atomic (PIPE_BUF) and the buffer holds whole items, so that a read
        // never ends within one.
        if self.begin == self.end {
            self.begin = 0;
            self.end = self
                .reader
                .read(&mut self.buffer[..])
                .map_err(Failure::system("read from a pipe"))?;
        }
        let item = self.buffer[self.begin..self.end]
            .first_chunk::<ITEM>()
            .ok_or(Failure::EndedEarly)?;
        self.begin += ITEM;
        Ok(u64::from_ne_bytes(*item))
    }
}
