//! The blocks of a queue: finding one, and giving it back.

use super::block::{self, Blocks, Candidate, Tenancy, Use, find_free, find_over};
use super::layout::{BlockWord, Class, Parts, Plan, PoolHead};
use super::survey::{BlockClass, PoolSurvey};
use crate::mpmc::layout::{Shape, Shared};
use ipc_core::atomic::Ordering;
use ipc_core::{Object, Result, SharedArray, SharedBytes, SharedRef, SharedWords};
use std::sync::atomic::Ordering::Relaxed;

/// One handle's view of the pool.
#[derive(Debug)]
pub(super) struct Pool {
    head: SharedRef<PoolHead>,
    words: Option<SharedArray<BlockWord>>,
    classes: Vec<Class>,
    /// Of each class, where this handle looks next.
    cursors: Vec<usize>,
    /// What was found last, for a message of this length.
    found: Option<(usize, Candidate)>,
    memory: Shared<SharedWords>,
}

impl Pool {
    pub(super) fn of(plan: &Plan, shape: &Shape, object: &Object) -> Result<Self> {
        let Parts {
            head,
            words,
            classes,
        } = plan.parts(shape, object)?;
        Ok(Self {
            head,
            words,
            cursors: classes.iter().map(|it| it.blocks.start).collect(),
            found: None,
            classes,
            memory: shape.untyped(object)?,
        })
    }

    /// Whether a block for a message of this length could be taken a moment ago. That one is what
    /// [`take`](Self::take) tries first.
    #[inline]
    pub(super) fn has(&mut self, len: usize) -> bool {
        self.found = self.find(len).map(|found| (len, found));
        self.found.is_some()
    }

    /// B1, B2: the smallest class first that is large enough. In it the block freed last, whose bytes
    /// are in a cache; of blocks that are written past the caches the next in turn, so that senders and
    /// receivers are not always at the same word.
    #[inline]
    fn find(&mut self, len: usize) -> Option<Candidate> {
        let words = self.words.as_ref()?;
        let first = self.classes.iter().position(|it| it.size >= len)?;
        for (nth, class) in self.classes.iter().enumerate().skip(first) {
            let cursor = &mut self.cursors[nth];
            let first = if class.size < SharedBytes::PAST_CACHES {
                self.head.classes[nth].freed.load(Relaxed) as usize
            } else {
                *cursor
            };
            if class.blocks.contains(&first)
                && let Some(found) = find_free(words, first..first + 1, first)
            {
                return Some(found);
            }
            if let Some(found) = find_free(words, class.blocks.clone(), *cursor) {
                *cursor = found.block;
                return Some(found);
            }
        }
        // None is free. Some may have been left behind by the dead, or by who is stopped.
        self.classes[first..]
            .iter()
            .find_map(|class| find_over(words, &self.memory, class.blocks.clone()))
    }

    /// Takes a block for a message of this length; its number, and where it lies. `None`: there is none
    /// any more.
    #[inline]
    pub(super) fn take(&mut self, len: usize, tenancy: Tenancy) -> Option<(usize, usize)> {
        // Each loss is somebody's gain: so many in a row are damage.
        const MOST_LOSSES: u32 = 1 << 14;
        for _ in 0..MOST_LOSSES {
            let candidate = match self.found.take() {
                Some((of, found)) if of == len => found,
                _ => self.find(len)?,
            };
            if block::take(self.words.as_ref()?, candidate, tenancy) {
                let number = candidate.block;
                let nth = self.class_of(number)?;
                let class = &self.classes[nth];
                self.cursors[nth] = if number + 1 < class.blocks.end {
                    number + 1
                } else {
                    class.blocks.start
                };
                return Some((number, class.at(number)));
            }
        }
        None
    }

    /// Frees a block whose use is over.
    #[inline]
    pub(super) fn release(&self, number: usize, tenancy: Tenancy) {
        if let Some(words) = &self.words
            && block::release(words, number, tenancy)
            && let Some(nth) = self.class_of(number)
        {
            self.head.classes[nth].freed.store(number as u64, Relaxed);
        }
    }

    /// Frees whatever block's use is over. Ring the senders' bell after this.
    pub(super) fn collect(&self) {
        if ipc_core::planted!(BlockNotSwept) {
            return;
        }
        if let (Some(words), Some(last)) = (&self.words, self.classes.last()) {
            block::collect(words, &self.memory, 0..last.blocks.end);
        }
    }

    /// Where a block of this many bytes or more lies, if it is one that was taken for this.
    #[inline]
    pub(super) fn locate(&self, number: usize, len: usize, tenancy: Tenancy) -> Option<usize> {
        let class = &self.classes[self.class_of(number)?];
        // Relaxed: it was taken before the message was committed.
        let word = self.words.as_ref()?.block(number).load(Ordering::Relaxed);
        (len <= class.size && word == tenancy.word()).then(|| class.at(number))
    }

    #[inline]
    fn class_of(&self, number: usize) -> Option<usize> {
        let mut classes = self.classes.iter();
        classes.position(|it| it.blocks.contains(&number))
    }

    pub(super) fn survey(&self) -> PoolSurvey {
        let count = |class: &Class| {
            let mut counted = BlockClass {
                size: class.size,
                blocks: class.blocks.len(),
                ..BlockClass::default()
            };
            if let Some(words) = &self.words {
                for number in class.blocks.clone() {
                    // Relaxed: see B2.
                    let word = words.block(number).load(Ordering::Relaxed);
                    match block::look(&self.memory, word) {
                        Use::Free => counted.free += 1,
                        Use::Writing => counted.writing += 1,
                        Use::Message => counted.messages += 1,
                        Use::Over => counted.over += 1,
                        Use::Damaged => {}
                    }
                }
            }
            counted
        };
        PoolSurvey {
            classes: self.classes.iter().map(count).collect(),
        }
    }
}
