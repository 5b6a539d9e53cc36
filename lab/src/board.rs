//! A few words between the lab's processes: what the victim's operation returned, and which case
//! is being played.

use crate::subject::Said;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

const TEXT: usize = 400;

/// Words in memory that forked children share. Whoever reads has waited for the writer's end, or
/// is content with an old value; so all is relaxed.
#[repr(C)]
pub struct Board {
    has_said: AtomicU32,
    said: [AtomicU64; 4],
    case: [AtomicU64; 4],
    len: AtomicU32,
    text: [AtomicU8; TEXT],
}

impl Board {
    /// A new one. It is there as long as the process.
    pub fn new() -> &'static Self {
        let len = NonZeroUsize::new(size_of::<Self>()).expect("it has fields");
        // SAFETY: new memory, at no address in particular.
        let at: NonNull<Self> = unsafe {
            let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            mmap_anonymous(None, len, rights, MapFlags::MAP_SHARED)
        }
        .expect("a page")
        .cast();
        // SAFETY: the pages are zeroed, which is a value of atomics, and are never unmapped.
        unsafe { at.as_ref() }
    }

    /// Nothing has been said.
    pub fn clear(&self) {
        self.has_said.store(0, Relaxed);
        self.len.store(0, Relaxed);
    }

    /// What the operation returned.
    pub fn say(&self, said: Said) {
        for (word, value) in self.said.iter().zip(said) {
            word.store(value, Relaxed);
        }
        self.has_said.store(1, Relaxed);
    }

    /// What the operation returned, if it has.
    pub fn said(&self) -> Option<Said> {
        let said = || std::array::from_fn(|at| self.said[at].load(Relaxed));
        (self.has_said.load(Relaxed) == 1).then(said)
    }

    /// Why the victim, or the process that plays the case, gives up.
    pub fn complain(&self, text: &str) {
        let bytes = &text.as_bytes()[..text.len().min(TEXT)];
        for (to, &from) in self.text.iter().zip(bytes) {
            to.store(from, Relaxed);
        }
        self.len.store(bytes.len() as u32, Relaxed);
    }

    /// The complaint, if there is one.
    pub fn complaint(&self) -> Option<String> {
        let len = self.len.load(Relaxed) as usize;
        let bytes: Vec<u8> = self
            .text
            .iter()
            .take(len)
            .map(|it| it.load(Relaxed))
            .collect();
        (len > 0).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Which case is being played, for whoever finds this process dead.
    pub fn note_case(&self, case: [u64; 4]) {
        for (word, value) in self.case.iter().zip(case) {
            word.store(value, Relaxed);
        }
    }

    /// The last case noted.
    pub fn case(&self) -> [u64; 4] {
        std::array::from_fn(|at| self.case[at].load(Relaxed))
    }
}
