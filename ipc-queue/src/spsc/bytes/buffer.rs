//! Where a record is copied to.

use crate::spsc::PopError;
use ipc_core::SharedBytes;

/// What [`ByteConsumer::pop_into`](super::ByteConsumer::pop_into) copies a record to: a `Vec<u8>`,
/// whose contents it replaces, or a slice or array of bytes, which it fills from the beginning.
pub trait Buffer: Receive {}

impl Buffer for Vec<u8> {}
impl Buffer for [u8] {}
impl<const N: usize> Buffer for [u8; N] {}

/// Sealed: copies from shared memory are the toolkit's business.
pub trait Receive {
    /// Copies the bytes, if they fit.
    fn copy_record(&mut self, bytes: &SharedBytes, at: usize, len: usize) -> Result<(), PopError>;
}

impl Receive for Vec<u8> {
    #[inline(always)]
    fn copy_record(&mut self, bytes: &SharedBytes, at: usize, len: usize) -> Result<(), PopError> {
        self.clear();
        bytes.append_to(self, at, len);
        Ok(())
    }
}

impl Receive for [u8] {
    #[inline(always)]
    fn copy_record(&mut self, bytes: &SharedBytes, at: usize, len: usize) -> Result<(), PopError> {
        let room = self.len();
        let into = self
            .get_mut(..len)
            .ok_or(PopError::TooShort { len, room })?;
        bytes.read(at, into);
        Ok(())
    }
}

impl<const N: usize> Receive for [u8; N] {
    #[inline(always)]
    fn copy_record(&mut self, bytes: &SharedBytes, at: usize, len: usize) -> Result<(), PopError> {
        self.as_mut_slice().copy_record(bytes, at, len)
    }
}
