//! Faults planted on purpose, for those who test the tests: does the fault lab see them? They exist
//! only in builds with `--cfg planted_faults`, where one at a time can be chosen.

/// Whether this fault was planted. In normal builds the constant `false`.
#[cfg(not(planted_faults))]
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($fault:ident) => {
        false
    };
}

/// Whether this fault was planted.
#[cfg(planted_faults)]
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($fault:ident) => {
        $crate::planted::is($crate::planted::Fault::$fault)
    };
}

#[cfg(planted_faults)]
pub use chosen::{Fault, choose, is};

#[cfg(planted_faults)]
mod chosen {
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    /// A fault.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Fault {
        /// A ring's message becomes visible before it is written.
        PublishedFirst = 1,
        /// The messages of a slice become visible in two steps.
        PublishedInTwo,
        /// Who leaves a ring in order keeps its role.
        RoleNotReleased,
        /// A queue's slot is claimed, and its owner recorded afterwards.
        OwnerAfterClaim,
        /// The sweep leaves a queue's claims to the dead.
        ClaimNotSwept,
        /// The sweep leaves what the dead was reading to it.
        MessageNotSwept,
        /// Nobody is told that the sweep gave messages back.
        LateNotRaised,
        /// The sweep leaves the pool's blocks to the dead.
        BlockNotSwept,
        /// A dead holder's permits come back twice.
        PermitsTwice,
        /// A lock taken from a dead one is sound.
        SoundAfterDeath,
        /// The sweep counts dead readers on.
        ReaderNotSwept,
        /// A value's cell is filled after it became the value.
        IndexBeforeCell,
        /// A cell is initialised before its value is written.
        DoneBeforeValue,
        /// The sweep leaves the owner ids to the dead.
        HandlesNotSwept,
        /// The dead's entry is free before all it held is.
        BuriedFirst,
        /// An object is found before its contents are written.
        CommittedBeforeContents,
    }

    static CHOSEN: AtomicU8 = AtomicU8::new(0);

    /// From now on this process, and those it forks, have this fault and no other.
    pub fn choose(fault: Option<Fault>) {
        CHOSEN.store(fault.map_or(0, |it| it as u8), Relaxed);
    }

    /// Whether it was chosen.
    #[inline(always)]
    pub fn is(fault: Fault) -> bool {
        CHOSEN.load(Relaxed) == fault as u8
    }
}
