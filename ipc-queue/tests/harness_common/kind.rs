//! The two kinds of messages, for tests that hold for both.

use ipc_queue::harness::{Batch, Harness, Message, SendError, Source};

/// A message says whose it is and which one.
pub type Id = [u32; 2];

pub trait Kind: Message {
    /// What a queue of these needs to be told.
    fn set_up(harness: Harness<'_, Self>) -> Harness<'_, Self>;
    fn send(source: &mut Source<'_, Self>, id: Id) -> Result<(), SendError>;
    /// Which one it is.
    fn id(&self) -> Id;
}

impl Kind for Id {
    fn set_up(harness: Harness<'_, Self>) -> Harness<'_, Self> {
        harness
    }

    fn send(source: &mut Source<'_, Self>, id: Id) -> Result<(), SendError> {
        source.send(id)
    }

    fn id(&self) -> Id {
        *self
    }
}

/// In slots, and in blocks of both sizes. Few blocks, so that they run out.
const LENS: [usize; 6] = [8, 88, 89, 100, 488, 700];

/// Behind its number a message has bytes that say its length, so many that they do not fit the
/// slots of the others.
fn len(id: Id) -> usize {
    LENS[(id[1] as usize + id[0] as usize) % LENS.len()]
}

fn filler(id: Id) -> u8 {
    (id[1] * 7 + id[0]) as u8
}

impl Kind for [u8] {
    fn set_up(harness: Harness<'_, Self>) -> Harness<'_, Self> {
        harness.longest(1000).blocks(488, 9).blocks(1000, 3)
    }

    /// A copy, or in place, with more room than it needs.
    fn send(source: &mut Source<'_, Self>, id: Id) -> Result<(), SendError> {
        let (len, filler) = (len(id), filler(id));
        if id[1].is_multiple_of(2) {
            let mut message = vec![filler; len];
            message[..8].copy_from_slice(bytemuck::bytes_of(&id));
            return source.send_bytes(&message);
        }
        let mut grant = source.reserve(len + 50)?;
        grant[..8].copy_from_slice(bytemuck::bytes_of(&id));
        grant[8..len].fill(filler);
        grant.commit(len)
    }

    fn id(&self) -> Id {
        let id = bytemuck::pod_read_unaligned(&self[..8]);
        assert_eq!(self.len(), len(id), "the length of {id:?}");
        // The harness has checked all of them; who counts steps has few for it here.
        assert!(
            self[8..].last().is_none_or(|&it| it == filler(id)),
            "{id:?}"
        );
        id
    }
}

/// The effect of messages is that they are listed.
pub fn list<K: Kind + ?Sized>(batch: &Batch<'_, '_, K>) -> Vec<u8> {
    let ids: Vec<Id> = batch.iter().map(Kind::id).collect();
    bytemuck::cast_slice(&ids).to_vec()
}

/// Those that an effect lists.
pub fn listed(effect: &[u8]) -> Vec<Id> {
    let ids = effect.chunks_exact(size_of::<Id>());
    assert!(ids.remainder().is_empty());
    ids.map(bytemuck::pod_read_unaligned).collect()
}
