//! The system's pipe between two processes, with a length before each message.

use std::io::{self, BufReader, IoSlice, PipeReader, PipeWriter, Read, Write};
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};

use crate::bytes::{ReceiveBytes, SendBytes};
use crate::channel::Channel;
use crate::failure::Failure;

/// The most that the system gives a pipe of somebody without privileges.
const MOST: usize = 1 << 20;
/// The length before a message.
const LENGTH_BYTES: usize = size_of::<u32>();

/// A pipe with as much room as the others have.
pub struct PipeOfBytes<const LENGTH: usize, const MESSAGES: usize> {
    reader: Option<PipeReader>,
    writer: Option<PipeWriter>,
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for PipeOfBytes<LENGTH, MESSAGES> {
    type Sender = PipeWriter;
    type Receiver = BufReader<PipeReader>;

    fn how() -> String {
        "one blocking writev of the length and the bytes per message; a BufReader of 64 KiB, which \
         longer reads go round"
            .into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let (reader, writer) = io::pipe().map_err(Failure::system("make a pipe"))?;
        let bytes = MESSAGES * (LENGTH + LENGTH_BYTES);
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(bytes.min(MOST) as i32))
            .map_err(Failure::errno("make a pipe larger"))?;
        Ok(Self {
            reader: Some(reader),
            writer: Some(writer),
        })
    }

    fn sender(&mut self) -> Result<PipeWriter, Failure> {
        self.writer.take().ok_or(Failure::EndTaken)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        let reader = self.reader.take().ok_or(Failure::EndTaken)?;
        Ok(BufReader::with_capacity(1 << 16, reader))
    }
}

impl SendBytes for PipeWriter {
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        let length = (message.len() as u32).to_ne_bytes();
        let both = [IoSlice::new(&length), IoSlice::new(message)];
        let failed = || Failure::system("write to a pipe");
        let mut written = self.write_vectored(&both).map_err(failed())?;
        // A pipe takes what there is room for.
        if written < LENGTH_BYTES {
            self.write_all(&length[written..]).map_err(failed())?;
            written = LENGTH_BYTES;
        }
        self.write_all(&message[written - LENGTH_BYTES..])
            .map_err(failed())
    }
}

impl ReceiveBytes for BufReader<PipeReader> {
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        let failed = || Failure::system("read from a pipe");
        let mut length = [0; LENGTH_BYTES];
        self.read_exact(&mut length).map_err(failed())?;
        let length = u32::from_ne_bytes(length) as usize;
        let into = into
            .get_mut(..length)
            .ok_or(Failure::WrongItems { expected: 0 })?;
        self.read_exact(into).map_err(failed())?;
        Ok(length)
    }
}
