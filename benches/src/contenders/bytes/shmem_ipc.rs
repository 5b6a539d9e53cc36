//! The shared ring of the crate shmem-ipc between two processes, with messages
//! of one length that both sides know: it has bytes, and no messages.

use std::path::Path;
use std::ptr::copy_nonoverlapping;

use shmem_ipc::sharedring::{Receiver, Sender};

use crate::bytes::{ReceiveBytes, SendBytes};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::spin;

/// A ring of bytes in a memfd. Both ends spin; none signals.
pub struct ShmemIpc<const LENGTH: usize, const MESSAGES: usize> {
    sender: Option<Sender<u8>>,
    receiver: Option<Receiver<u8>>,
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for ShmemIpc<LENGTH, MESSAGES> {
    type Sender = Sender<u8>;
    type Receiver = Receiver<u8>;

    fn how() -> String {
        "sender_mut().send and receiver_mut().recv of bytes, in two pieces where the ring goes round; \
         looked at again after 1 spin_loop while full or empty"
            .into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let capacity = MESSAGES * LENGTH;
        let sender = Sender::new(capacity).map_err(Failure::contender("create the ring"))?;
        let duplicate = Failure::system("duplicate a descriptor of the ring");
        let files = [
            sender.memfd().as_file(),
            sender.empty_signal(),
            sender.full_signal(),
        ]
        .map(|file| file.try_clone());
        let [memory, empty, full] = match files {
            [Ok(memory), Ok(empty), Ok(full)] => [memory, empty, full],
            [Err(error), ..] | [_, Err(error), _] | [.., Err(error)] => {
                return Err(duplicate(error));
            }
        };
        let receiver = Receiver::open(capacity, memory, empty, full)
            .map_err(Failure::contender("open the ring"))?;
        Ok(Self {
            sender: Some(sender),
            receiver: Some(receiver),
        })
    }

    fn sender(&mut self) -> Result<Sender<u8>, Failure> {
        self.sender.take().ok_or(Failure::EndTaken)
    }

    fn receiver(&mut self) -> Result<Receiver<u8>, Failure> {
        self.receiver.take().ok_or(Failure::EndTaken)
    }
}

impl SendBytes for Sender<u8> {
    #[inline(always)]
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        spin::until::<1, _>(|| match self.sender_mut().write_count() {
            Ok(room) => (room >= message.len()).then_some(Ok(())),
            Err(error) => Some(Err(Failure::contender("look for room")(error))),
        })?;
        let mut rest = message;
        while !rest.is_empty() {
            self.sender_mut()
                .send(|to, room| {
                    let (piece, behind) = rest.split_at(room.min(rest.len()));
                    // SAFETY: there is room for the piece.
                    unsafe { copy_nonoverlapping(piece.as_ptr(), to, piece.len()) };
                    rest = behind;
                    piece.len()
                })
                .map_err(Failure::contender("send"))?;
        }
        Ok(())
    }
}

impl ReceiveBytes for Receiver<u8> {
    #[inline(always)]
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        spin::until::<1, _>(|| match self.receiver_mut().read_count() {
            Ok(bytes) => (bytes >= into.len()).then_some(Ok(())),
            Err(error) => Some(Err(Failure::contender("look for bytes")(error))),
        })?;
        let mut at = 0;
        while at < into.len() {
            self.receiver_mut()
                .recv(|from, bytes| {
                    let piece = bytes.min(into.len() - at);
                    // SAFETY: there are so many bytes, and so much is left of the buffer.
                    unsafe { copy_nonoverlapping(from, into[at..].as_mut_ptr(), piece) };
                    at += piece;
                    piece
                })
                .map_err(Failure::contender("receive"))?;
        }
        Ok(at)
    }
}
