//! A pop, access by access, numbered as in the queue's own protocol table. The fast path and patience
//! are not modelled apart, as in a push.

use crate::memory::owner;
use crate::rules::Rule;
use crate::state::*;
use crate::world::{Choice, Outcome, Role, World};

impl World {
    pub(crate) fn pop(&self, state: &mut State, me: usize, choice: Choice) -> Outcome {
        let next = match state.processes[me].pc {
            Pc::C1Hint => {
                if state.processes[me].owed == 0 && self.all_senders_died(state) {
                    state.processes[me].owed = state.ledger.committed & !state.ledger.finished;
                }
                let (position, seen) = state.load_head(me);
                let process = &mut state.processes[me];
                if self.is_after(position, process.cursor) {
                    process.cursor = position;
                    if self.keeps(Rule::SeenTravelsWithThePosition) {
                        process.seen = seen;
                    }
                }
                if !self.keeps(Rule::SeenIsPrivate) {
                    process.seen = seen;
                }
                Pc::C2Word
            }
            Pc::C2Word | Pc::C5Claim | Pc::C5Word | Pc::C6Mark | Pc::C6Barrier | Pc::C6Word => {
                self.look(state, me)
            }
            Pc::C9Scan => self.scan(state, me),
            Pc::C8Hint | Pc::Reading | Pc::C10Late => self.hold(state, me, choice)?,
            Pc::A1End
            | Pc::A2Claim
            | Pc::A3Settle
            | Pc::A4Accept
            | Pc::A5Claim
            | Pc::A5Reject
            | Pc::A6Free => self.accept(state, me)?,
            _ => self.take(state, me)?,
        };
        let process = &mut state.processes[me];
        process.pc = next;
        match next {
            Pc::Idle => process.rest(),
            Pc::C1Hint | Pc::C2Word => process.locals = Locals::NONE,
            _ => {}
        }
        Ok(())
    }

    /// What there is at the cursor.
    fn look(&self, state: &mut State, me: usize) -> Pc {
        let cursor = state.processes[me].cursor;
        let locals = state.processes[me].locals;
        let (slot, lap) = (self.slot(cursor), self.lap(cursor));
        match state.processes[me].pc {
            Pc::C2Word => {
                let word = state.load_word(me, slot);
                let laps = self.ahead(word.lap, lap);
                if word.is_full() && laps <= 0 {
                    self.settle(state, me, slot, word);
                    return Pc::C3Late;
                }
                if laps > 0 {
                    // Free for a lap: the one before was claimed.
                    let claimed = laps - i8::from(word.is_free());
                    return self.walk_on(state, me, claimed);
                }
                if laps == 0 && word.kind == Kind::Reading {
                    return self.walk_on(state, me, 0);
                }
                state.processes[me].locals.word = word;
                Pc::C5Claim
            }
            Pc::C5Claim => {
                let claim = state.claims[slot];
                state.processes[me].locals.claim = claim;
                let claimed = self.ahead(claim.lap, lap);
                if claimed < 0 {
                    Pc::C5Previous
                } else if claimed > 0 || claim.void {
                    if !self.keeps(Rule::SecondLookBeforeWalkingOn) {
                        return self.walk_on(state, me, claimed);
                    }
                    Pc::C5Word
                } else if locals.word.is_free() && claim.owner != NOBODY {
                    if !claim.passed {
                        Pc::C6Mark
                    } else if self.keeps(Rule::TrustsNobodysPassed) {
                        Pc::C6Barrier
                    } else {
                        self.walk_on(state, me, 0)
                    }
                } else {
                    Pc::C2Word
                }
            }
            Pc::C5Word => {
                let word = state.load_word(me, slot);
                if word.is_full() && self.ahead(word.lap, lap) <= 0 {
                    Pc::C2Word
                } else {
                    self.walk_on(state, me, self.ahead(locals.claim.lap, lap))
                }
            }
            Pc::C6Mark => {
                let passed = Claim {
                    passed: true,
                    ..locals.claim
                };
                if !state.cas_claim(me, slot, locals.claim, passed) {
                    Pc::C2Word
                } else if self.keeps(Rule::BarrierBeforePassing) {
                    Pc::C6Barrier
                } else {
                    Pc::C6Word
                }
            }
            Pc::C6Barrier => {
                self.heavy(state, me);
                Pc::C6Word
            }
            Pc::C6Word => {
                let same = state.load_word(me, slot) == locals.word;
                if same || !self.keeps(Rule::SecondLookBeforePassing) {
                    self.walk_on(state, me, 0)
                } else {
                    Pc::C2Word
                }
            }
            other => unreachable!("{other:?} is no look"),
        }
    }

    fn walk_on(&self, state: &mut State, me: usize, claimed_laps_ahead: i8) -> Pc {
        let process = &mut state.processes[me];
        let next = self.next(process.cursor);
        let oldest = self.plus_laps(next, claimed_laps_ahead - 1);
        process.cursor = next;
        if self.is_after(oldest, next) {
            process.cursor = oldest;
            if self.keeps(Rule::JumpForgets) {
                process.seen = FORGOTTEN;
            }
        }
        Pc::C2Word
    }

    /// There is a message in a slot, or none anywhere.
    fn take(&self, state: &mut State, me: usize) -> Result<Pc, String> {
        let cursor = state.processes[me].cursor;
        let locals = state.processes[me].locals;
        let (slot, lap) = (self.slot(cursor), self.lap(cursor));
        let lost = || Err(format!("C{me} is where nobody can have come"));
        Ok(match state.processes[me].pc {
            Pc::C3Late => {
                if self.is_late(state, me) {
                    self.begin_scan(state, me)
                } else if self.ahead(locals.word.lap, lap) < 0 {
                    Pc::C3Claim
                } else {
                    Pc::C4Take
                }
            }
            Pc::C3Claim => match self.ahead(state.claims[slot].lap, lap) {
                0.. => Pc::C4Take,
                -1 => Pc::C3Previous,
                _ => return lost(),
            },
            Pc::C3Previous | Pc::C5Previous => {
                let before = self.previous(cursor);
                let claimed = state.claims[self.slot(before)].lap;
                if self.ahead(claimed, self.lap(before)) < 0 {
                    return lost();
                }
                if state.processes[me].pc == Pc::C3Previous {
                    Pc::C4Take
                } else {
                    Pc::C5Late
                }
            }
            Pc::C5Late => {
                if self.is_late(state, me) {
                    return Ok(self.begin_scan(state, me));
                }
                self.found_empty(state, me)?;
                if self.closes { Pc::E1End } else { Pc::Idle }
            }
            Pc::C4Take | Pc::C9Take => {
                let at = usize::from(locals.slot);
                let is_next = state.processes[me].pc == Pc::C4Take;
                let reading = Word {
                    kind: Kind::Reading,
                    owner: owner(me),
                    ..locals.word
                };
                state.processes[me].locals.is_next = is_next;
                if !state.cas_word(me, at, locals.word, reading) {
                    return Ok(self.missed(state, me));
                }
                state.processes[me].locals.word = reading;
                if self.closes && self.keeps(Rule::ReceiverLooksAtTheEnd) {
                    Pc::A1End
                } else {
                    self.accepted(state, me)?
                }
            }
            other => unreachable!("{other:?} is no step of a pop"),
        })
    }

    fn all_senders_died(&self, state: &State) -> bool {
        (0..self.roles.len()).all(|index| {
            self.role(index) == Role::Consumer || state.processes[index].life == Life::Absent
        })
    }

    /// Who finds nothing after the last sender was swept says that all of them died: then nothing
    /// of theirs is left, but what somebody else has in its hands.
    fn found_empty(&self, state: &State, me: usize) -> Outcome {
        let owed = state.processes[me].owed & state.ledger.committed;
        let mut left = owed & !state.ledger.finished;
        for (slot, word) in state.words[..usize::from(self.slots)].iter().enumerate() {
            if word.kind == Kind::Reading {
                left &= !bit(state.payloads[slot]);
            }
        }
        for process in state.processes.iter().filter(|it| it.pc == Pc::C10Late) {
            left &= !bit(state.payloads[usize::from(process.locals.slot)]);
        }
        // Given back by a sweep that is not over: its receiver is dead, or forgot it.
        let mut swept = state.processes.iter();
        if swept.any(|it| it.life == Life::Dead || it.is_sweeping()) {
            left &= !state.ledger.held_before;
        }
        if left != 0 {
            let message = left.trailing_zeros();
            return Err(format!(
                "C{me} finds all senders dead, before message {message}"
            ));
        }
        Ok(())
    }
}
