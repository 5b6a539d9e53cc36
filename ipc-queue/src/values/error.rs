//! What can go wrong with a value, beside what can go wrong with bytes.

use std::error::Error;

/// Why a value could not be sent. Nothing was sent then.
///
/// `E` is the error of the ring, queue or channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendValueError<E> {
    /// The value's encoding is longer than a message can be.
    #[error(
        "a value of type {type_name} takes {len} bytes and {most} is the most; send it in parts, or create for longer messages"
    )]
    TooLong {
        /// The value's type.
        type_name: &'static str,
        /// Bytes that its encoding takes.
        len: usize,
        /// The longest possible message, in bytes.
        most: usize,
    },
    /// The value cannot be encoded: its type's `Serialize` failed, gave two lengths, or does not
    /// know the length of a sequence beforehand.
    #[error(
        "a value of type {type_name} cannot be encoded: {source}; its Serialize must succeed, twice alike, and know the lengths of its sequences"
    )]
    Encode {
        /// The value's type.
        type_name: &'static str,
        /// What the encoder said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The ring, queue or channel did not take it.
    #[error(transparent)]
    Send(E),
}

/// Why no value could be received.
///
/// `E` is the error of the ring, queue or channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvValueError<E> {
    /// A message came that is not one value of this type. It is gone from the queue.
    #[error(
        "a message of {len} bytes is no value of type {type_name}: {source}; send values of that type only (the message is gone)"
    )]
    Decode {
        /// The type that was asked for.
        type_name: &'static str,
        /// The message's length in bytes.
        len: usize,
        /// What the decoder said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No message was received. Nothing was taken then.
    #[error(transparent)]
    Recv(E),
}
