//! Records of a byte stream: a length of 4 bytes, little-endian, then as many bytes.

use crate::{Error, Result};

/// The longest message that a transport takes: 1 GiB.
pub const MAX_MESSAGE_LEN: usize = 1 << 30;

pub(crate) const HEADER_LEN: usize = size_of::<u32>();

/// Stands in place of a length at the end of the stream.
const END: u32 = u32::MAX;

/// What the header of a record announces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Message(usize),
    End,
}

impl Header {
    /// `name` and `offset` say where the header was found.
    pub(crate) fn decode(bytes: [u8; HEADER_LEN], name: &str, offset: u64) -> Result<Self> {
        let length = u32::from_le_bytes(bytes);
        match length as usize {
            _ if length == END => Ok(Self::End),
            message if message <= MAX_MESSAGE_LEN => Ok(Self::Message(message)),
            _ => Err(Error::Length {
                name: name.into(),
                offset,
                length,
            }),
        }
    }
}

/// Puts `message` with its header into `record`, in place of what was there.
pub(crate) fn encode(message: &[u8], record: &mut Vec<u8>, name: &str) -> Result<()> {
    check_length(message, name)?;
    record.clear();
    record.extend_from_slice(&(message.len() as u32).to_le_bytes());
    record.extend_from_slice(message);
    Ok(())
}

pub(crate) fn check_length(message: &[u8], name: &str) -> Result<()> {
    if message.len() > MAX_MESSAGE_LEN {
        return Err(Error::TooLong {
            name: name.into(),
            length: message.len(),
        });
    }
    Ok(())
}

pub(crate) fn encode_end(record: &mut Vec<u8>) {
    record.clear();
    record.extend_from_slice(&END.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back() {
        let mut record = Vec::new();
        encode(b"abc", &mut record, "x").unwrap();
        let header = *record.first_chunk().unwrap();
        assert_eq!(Header::decode(header, "x", 0).unwrap(), Header::Message(3));
        assert_eq!(&record[HEADER_LEN..], b"abc");

        encode_end(&mut record);
        let header = *record.first_chunk().unwrap();
        assert_eq!(Header::decode(header, "x", 0).unwrap(), Header::End);
    }

    #[test]
    fn a_length_that_no_sender_writes_is_refused() {
        let header = (MAX_MESSAGE_LEN as u32 + 1).to_le_bytes();
        let error = Header::decode(header, "the pipe", 12).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Length {
                    offset: 12,
                    length: 0x4000_0001,
                    ..
                }
            ),
            "{error}"
        );
    }
}
