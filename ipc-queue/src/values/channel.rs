//! Values through a channel.

use super::codec;
use super::error::{RecvValueError, SendValueError};
use crate::channel::{End, RecvError, SendError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

impl End {
    /// Sends a value if there is room for it: see [`values`](crate::values).
    ///
    /// # Errors
    /// [`SendValueError::TooLong`]; [`SendValueError::Encode`]; [`SendValueError::Send`] with what
    /// [`try_reserve`](Self::try_reserve) says.
    pub fn try_send_value<T>(&mut self, value: &T) -> Result<(), SendValueError<SendError>>
    where
        T: Serialize + ?Sized,
    {
        let most = self.max_message();
        codec::send(
            value,
            most,
            |len| self.try_reserve(len),
            |room, len| Ok(room.commit(len)?),
        )
    }

    /// As [`try_send_value`](Self::try_send_value), but waits while there is no room.
    ///
    /// # Errors
    /// As [`try_send_value`](Self::try_send_value), with what [`reserve`](Self::reserve) says.
    pub fn send_value<T>(&mut self, value: &T) -> Result<(), SendValueError<SendError>>
    where
        T: Serialize + ?Sized,
    {
        let most = self.max_message();
        codec::send(
            value,
            most,
            |len| self.reserve(len),
            |room, len| Ok(room.commit(len)?),
        )
    }

    /// As [`send_value`](Self::send_value), but waits at most this long.
    ///
    /// # Errors
    /// As [`try_send_value`](Self::try_send_value), with what
    /// [`reserve_timeout`](Self::reserve_timeout) says.
    pub fn send_value_timeout<T>(
        &mut self,
        value: &T,
        timeout: Duration,
    ) -> Result<(), SendValueError<SendError>>
    where
        T: Serialize + ?Sized,
    {
        let most = self.max_message();
        codec::send(
            value,
            most,
            |len| self.reserve_timeout(len, timeout),
            |room, len| Ok(room.commit(len)?),
        )
    }

    /// Receives a value, if there is a message: see [`values`](crate::values). `None` is the end.
    ///
    /// # Errors
    /// [`RecvValueError::Decode`]; [`RecvValueError::Recv`] with what [`try_take`](Self::try_take)
    /// says.
    pub fn try_recv_value<T>(&mut self) -> Result<Option<T>, RecvValueError<RecvError>>
    where
        T: DeserializeOwned,
    {
        codec::receive(self.try_take())
    }

    /// As [`try_recv_value`](Self::try_recv_value), but waits until there is a message.
    ///
    /// # Errors
    /// As [`try_recv_value`](Self::try_recv_value), with what [`take`](Self::take) says.
    pub fn recv_value<T>(&mut self) -> Result<Option<T>, RecvValueError<RecvError>>
    where
        T: DeserializeOwned,
    {
        codec::receive(self.take())
    }

    /// As [`recv_value`](Self::recv_value), but waits at most this long.
    ///
    /// # Errors
    /// As [`try_recv_value`](Self::try_recv_value), with what [`take_timeout`](Self::take_timeout)
    /// says.
    pub fn recv_value_timeout<T>(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<T>, RecvValueError<RecvError>>
    where
        T: DeserializeOwned,
    {
        codec::receive(self.take_timeout(timeout))
    }
}
