//! Where a lock's words lie, and what is swept of them.
//!
//! | what | length |
//! |---|---|
//! | [`Words`] | 128 bytes |
//! | [`Row`] | 64 bytes for each handle that the segment can have |
//! | the value | from a multiple of 128 on |

use super::word::{self, Memory};
use ipc_core::atomic::AtomicU64;
use ipc_core::{
    Attachment, Bell, Departed, Kind, Object, Result, SharedArray, SharedLayout, SharedRef,
};

#[repr(C, align(128))]
pub(super) struct Words {
    writer: AtomicU64,
    /// Rung when somebody may come in.
    pub(super) free: Bell,
    /// Rung when a reader has gone.
    pub(super) drained: Bell,
    /// See [`word`].
    joined: AtomicU64,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Words {}

/// On a line of its own: each is written by another handle.
#[repr(C, align(64))]
pub(super) struct Row(pub(super) AtomicU64);

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Row {}

pub(super) static KIND: Kind = Kind {
    name: "rwlock",
    sweep,
};
ipc_core::register_at_start!(KIND);

pub(super) struct Shared {
    pub(super) words: SharedRef<Words>,
    rows: SharedArray<Row>,
}

impl Shared {
    pub(super) fn of(object: &Object) -> Result<Self> {
        Ok(Self {
            words: object.structure(0)?,
            rows: object.array(size_of::<Words>() as u64, rows_of(object)?)?,
        })
    }

    #[inline(always)]
    pub(super) fn ring(&self, attachment: &Attachment) {
        self.words.drained.ring(attachment.fences());
        self.words.free.ring(attachment.fences());
    }
}

pub(super) fn rows_of(object: &Object) -> Result<usize> {
    usize::try_from(object.info().config[0])
        .ok()
        .filter(|rows| (1..=0xFFFF).contains(rows))
        .ok_or_else(|| object.corrupted("its number of rows is impossible"))
}

pub(super) fn value_at(rows: usize) -> usize {
    (size_of::<Words>() + rows * size_of::<Row>()).next_multiple_of(128)
}

impl Memory for Shared {
    #[inline(always)]
    fn writer(&self) -> &AtomicU64 {
        &self.words.writer
    }

    #[inline(always)]
    fn joined(&self) -> &AtomicU64 {
        &self.words.joined
    }

    #[inline(always)]
    fn rows(&self) -> usize {
        self.rows.len()
    }

    #[inline(always)]
    fn row(&self, index: usize) -> &AtomicU64 {
        &self.rows.at(index).0
    }
}

fn sweep(object: &Object, departed: &Departed<'_>) -> Result<()> {
    let shared = Shared::of(object)?;
    for &id in departed.owners() {
        word::sweep(&shared, id);
    }
    // Always: it may have died between its last step and its wake.
    shared.ring(object.segment().attachment());
    Ok(())
}
