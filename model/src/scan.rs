//! C9: looking for messages that appeared behind the cursor.

use crate::rules::Rule;
use crate::state::*;
use crate::world::World;

impl World {
    pub(crate) fn is_late(&self, state: &mut State, me: usize) -> bool {
        let late = if self.keeps(Rule::LateAfterEachWord) {
            state.late
        } else {
            let now = state.late;
            *state.processes[me].slice_late.get_or_insert(now)
        };
        late != state.processes[me].seen && self.keeps(Rule::ScanForLate)
    }

    pub(crate) fn settle(&self, state: &mut State, me: usize, slot: usize, word: Word) {
        state.processes[me].locals = Locals {
            slot: slot as u8,
            word,
            ..Locals::NONE
        };
    }

    pub(crate) fn begin_scan(&self, state: &mut State, me: usize) -> Pc {
        let late = state.processes[me].slice_late.unwrap_or(state.late);
        self.rescan(state, me, late)
    }

    pub(crate) fn rescan(&self, state: &mut State, me: usize, late: u8) -> Pc {
        state.processes[me].locals = Locals {
            late,
            far: 1,
            ..Locals::NONE
        };
        Pc::C9Scan
    }

    /// One word of the positions before the cursor, newest first.
    pub(crate) fn scan(&self, state: &mut State, me: usize) -> Pc {
        let locals = state.processes[me].locals;
        let there = self.before(state.processes[me].cursor, locals.far);
        let slot = self.slot(there);
        let word = state.load_word(me, slot);
        let is_late =
            self.ahead(word.lap, self.lap(there)) <= 0 || !self.keeps(Rule::ScanStopsAtTheCursor);
        if word.is_full() && is_late {
            let position = self.position(word.lap, slot);
            let is_older = locals.found.is_none_or(|(slot, other)| {
                let other = self.position(other.lap, usize::from(slot));
                self.is_after(other, position) == self.keeps(Rule::ScanTakesTheOldest)
            });
            if is_older {
                state.processes[me].locals.found = Some((slot as u8, word));
            }
        }
        if locals.far < self.slots {
            state.processes[me].locals.far += 1;
            return Pc::C9Scan;
        }
        let Some((slot, word)) = state.processes[me].locals.found else {
            state.processes[me].seen = locals.late;
            return Pc::C2Word;
        };
        self.settle(state, me, usize::from(slot), word);
        state.processes[me].locals.late = locals.late;
        Pc::C9Take
    }
}
