//! Shared memory as x86 has it: a plain store waits in its processor's buffer, in order, until it
//! drains; its own processor sees it before; a read-modify-write drains the buffer first; a
//! `membarrier` drains everybody's.

use crate::state::*;

pub fn owner(me: usize) -> u8 {
    me as u8 + 1
}

impl State {
    pub fn load_word(&self, me: usize, slot: usize) -> Word {
        let own = self.processes[me].buffer.newest_first().find_map(|store| {
            let Store::Word { slot: at, word } = store else {
                return None;
            };
            (usize::from(at) == slot).then_some(word)
        });
        own.unwrap_or(self.words[slot])
    }

    pub fn load_tail(&self, me: usize) -> u8 {
        let own = self.processes[me].buffer.newest_first().find_map(|store| {
            let Store::Tail(position) = store else {
                return None;
            };
            Some(position)
        });
        own.unwrap_or(self.tail)
    }

    /// Position, and what its writer had seen of `late`: one word.
    pub fn load_head(&self, me: usize) -> (u8, u8) {
        let own = self.processes[me].buffer.newest_first().find_map(|store| {
            let Store::Head { position, seen } = store else {
                return None;
            };
            Some((position, seen))
        });
        own.unwrap_or((self.head, self.head_seen))
    }

    pub fn store(&mut self, me: usize, store: Store) {
        self.processes[me].buffer.push(store);
    }

    /// Whether the claim was `old` and is `new` now.
    pub fn cas_claim(&mut self, me: usize, slot: usize, old: Claim, new: Claim) -> bool {
        self.drain(me);
        let hit = self.claims[slot] == old;
        if hit {
            self.claims[slot] = new;
        }
        hit
    }

    pub fn cas_word(&mut self, me: usize, slot: usize, old: Word, new: Word) -> bool {
        self.drain(me);
        let hit = self.words[slot] == old;
        if hit {
            self.words[slot] = new;
        }
        hit
    }

    pub fn add_late(&mut self, me: usize) {
        self.drain(me);
        self.late += 1;
    }

    /// Counts one more thing that was settled about a closed stream.
    pub fn settle(&mut self, me: usize, settled: u8) -> bool {
        self.cas_end(me, End::Closed(settled), End::Closed(settled + 1))
    }

    pub fn cas_end(&mut self, me: usize, old: End, new: End) -> bool {
        self.drain(me);
        let hit = self.end == old;
        if hit {
            self.end = new;
        }
        hit
    }

    pub fn barrier(&mut self) {
        for process in 0..PROCESSES {
            self.drain(process);
        }
    }

    pub fn drain(&mut self, process: usize) {
        while self.drain_one(process) {}
    }

    pub fn drain_one(&mut self, process: usize) -> bool {
        match self.processes[process].buffer.pop() {
            None => return false,
            Some(Store::Word { slot, word }) => self.words[usize::from(slot)] = word,
            Some(Store::Tail(position)) => self.tail = position,
            Some(Store::Head { position, seen }) => {
                self.head = position;
                self.head_seen = seen;
            }
        }
        true
    }

    /// Ends a process. Its stores have drained.
    pub fn kill(&mut self, process: usize) {
        assert!(self.processes[process].buffer.is_empty());
        for (word, &payload) in self.words.iter().zip(&self.payloads) {
            if word.kind == Kind::Reading && word.owner == owner(process) {
                self.ledger.held_before |= bit(payload);
            }
        }
        let dead = &mut self.processes[process];
        // Nothing of it is left but its name in the table and in words.
        *dead = Process {
            life: Life::Dead,
            generation: dead.generation,
            sent: dead.sent,
            ..Process::ABSENT
        };
    }
}
