//! From values to bytes in place, and back. The one place that knows the encoding.

use super::error::{RecvValueError, SendValueError};
use postcard::ser_flavors::Size;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::type_name;
use std::error::Error;
use std::ops::{Deref, DerefMut};

/// Encodes a value into room of just its length, of `most` bytes at most.
pub(super) fn send<T, G, E>(
    value: &T,
    most: usize,
    reserve: impl FnOnce(usize) -> Result<G, E>,
    commit: impl FnOnce(G, usize) -> Result<(), E>,
) -> Result<(), SendValueError<E>>
where
    T: Serialize + ?Sized,
    G: DerefMut<Target = [u8]>,
{
    let type_name = type_name::<T>();
    let unencodable = |error: postcard::Error| SendValueError::Encode {
        type_name,
        source: error.into(),
    };
    let len = postcard::serialize_with_flavor(value, Size::default()).map_err(unencodable)?;
    if len > most {
        return Err(SendValueError::TooLong {
            type_name,
            len,
            most,
        });
    }
    let mut room = reserve(len).map_err(SendValueError::Send)?;
    let written = postcard::to_slice(value, &mut room)
        .map_err(unencodable)?
        .len();
    commit(room, written).map_err(SendValueError::Send)
}

/// Decodes what was received, which must be one value and nothing else; `None` is the end.
pub(super) fn receive<T, G, E>(taken: Result<Option<G>, E>) -> Result<Option<T>, RecvValueError<E>>
where
    T: DeserializeOwned,
    G: Deref<Target = [u8]>,
{
    let Some(bytes) = taken.map_err(RecvValueError::Recv)? else {
        return Ok(None);
    };
    decode(&bytes)
        .map(Some)
        .map_err(|source| RecvValueError::Decode {
            type_name: type_name::<T>(),
            len: bytes.len(),
            source,
        })
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Box<dyn Error + Send + Sync>> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(format!("{} bytes are left over", rest.len()).into()),
    }
}
