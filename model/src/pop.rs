//! A pop, access by access, numbered as in the queue's own `pop.rs`. The fast path and patience
//! are not modelled apart, as in a push.

use crate::memory::owner;
use crate::rules::Rule;
use crate::state::*;
use crate::world::{Choice, Outcome, Role, World};

impl World {
    pub fn pop(&self, state: &mut State, me: usize, choice: Choice) -> Outcome {
        let next = match state.processes[me].pc {
            Pc::C1Hint => {
                if state.processes[me].owed == 0 && self.all_senders_died(state) {
                    state.processes[me].owed = state.ledger.committed & !state.ledger.finished;
                }
                let (position, seen) = state.load_head(me);
                let process = &mut state.processes[me];
                if position > process.cursor {
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
                if word.is_full() && word.lap <= lap {
                    self.settle(state, me, slot, word);
                    return Pc::C3Late;
                }
                if word.lap > lap {
                    // Free for a lap: the one before was claimed.
                    let claimed = word.lap - u8::from(word.is_free()) - lap;
                    return self.walk_on(state, me, claimed);
                }
                if word.lap == lap && word.kind == Kind::Reading {
                    return self.walk_on(state, me, 0);
                }
                state.processes[me].locals.word = word;
                Pc::C5Claim
            }
            Pc::C5Claim => {
                let claim = state.claims[slot];
                state.processes[me].locals.claim = claim;
                if claim.lap < lap {
                    Pc::C5Previous
                } else if claim.lap > lap || claim.void {
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
                if word.is_full() && word.lap <= lap {
                    Pc::C2Word
                } else {
                    self.walk_on(state, me, locals.claim.lap - lap)
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

    fn walk_on(&self, state: &mut State, me: usize, claimed_laps_ahead: u8) -> Pc {
        let process = &mut state.processes[me];
        let next = process.cursor + 1;
        let oldest = (next + claimed_laps_ahead * self.slots).saturating_sub(self.slots);
        process.cursor = next.max(oldest);
        if oldest > next && self.keeps(Rule::JumpForgets) {
            process.seen = FORGOTTEN;
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
                } else if locals.word.lap < lap {
                    Pc::C3Claim
                } else {
                    Pc::C4Take
                }
            }
            Pc::C3Claim => match state.claims[slot].lap {
                claimed if claimed >= lap => Pc::C4Take,
                claimed if claimed + 1 == lap => Pc::C3Previous,
                _ => return lost(),
            },
            Pc::C3Previous | Pc::C5Previous => {
                if state.claims[self.slot(cursor - 1)].lap < self.lap(cursor - 1) {
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
            Pc::A1End => match state.end {
                End::Open => self.accepted(state, me)?,
                End::Closed(settled) => {
                    state.processes[me].locals.settled = settled;
                    Pc::A2Claim
                }
                End::Ended if self.keeps(Rule::RejectionIsMarked) => Pc::A5Claim,
                End::Ended => Pc::A6Free,
            },
            Pc::A2Claim => {
                let claim = state.claims[usize::from(locals.slot)];
                state.processes[me].locals.claim = claim;
                let nameless =
                    claim.owner == NOBODY && !self.keeps(Rule::NamelessRevokedAreSettled);
                if !claim.revoked || nameless {
                    self.accepted(state, me)?
                } else {
                    Pc::A3Settle
                }
            }
            Pc::A3Settle => {
                if state.settle(me, locals.settled) {
                    Pc::A4Accept
                } else {
                    Pc::A1End
                }
            }
            Pc::A4Accept => {
                let accepted = Claim {
                    owner: NOBODY,
                    revoked: false,
                    ..locals.claim
                };
                if state.cas_claim(me, usize::from(locals.slot), locals.claim, accepted) {
                    self.accepted(state, me)?
                } else {
                    Pc::A1End
                }
            }
            Pc::A5Claim => {
                let claim = state.claims[usize::from(locals.slot)];
                state.processes[me].locals.claim = claim;
                if claim.revoked && !claim.rejected {
                    Pc::A5Reject
                } else {
                    Pc::A6Free
                }
            }
            Pc::A5Reject => {
                let rejected = Claim {
                    owner: NOBODY,
                    rejected: true,
                    ..locals.claim
                };
                if state.cas_claim(me, usize::from(locals.slot), locals.claim, rejected) {
                    Pc::A6Free
                } else {
                    Pc::A5Claim
                }
            }
            Pc::A6Free => {
                let slot = locals.slot;
                let message = state.payloads[usize::from(slot)];
                if state.ledger.returned & bit(message) != 0 {
                    return Err(format!("C{me} gives up message {message}"));
                }
                state.ledger.committed &= !bit(message);
                let word = Word::free(locals.word.lap + 1);
                state.store(me, Store::Word { slot, word });
                self.missed(state, me)
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
        // Given back by a sweep that is not over: its receiver is dead, and was holding it.
        let dead_is_swept = state.processes.iter().any(|it| it.life == Life::Dead);
        if dead_is_swept {
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

    /// Somebody else was faster.
    fn missed(&self, state: &mut State, me: usize) -> Pc {
        let Locals { is_next, late, .. } = state.processes[me].locals;
        if is_next {
            Pc::C2Word
        } else {
            self.rescan(state, me, late)
        }
    }

    /// The message is the receiver's.
    fn accepted(&self, state: &mut State, me: usize) -> Result<Pc, String> {
        let Locals {
            slot,
            word,
            is_next,
            ..
        } = state.processes[me].locals;
        let process = &mut state.processes[me];
        let own_lap = word.lap == self.lap(process.cursor);
        if is_next && (own_lap || !self.keeps(Rule::CursorWaitsForItsOwnLap)) {
            process.cursor += 1;
        }
        process.locals = Locals {
            slot,
            word,
            ..Locals::NONE
        };
        self.given(state, me, usize::from(slot), word)?;
        Ok(if self.guards { Pc::C8Hint } else { Pc::Reading })
    }

    fn is_late(&self, state: &mut State, me: usize) -> bool {
        let late = if self.keeps(Rule::LateAfterEachWord) {
            state.late
        } else {
            let now = state.late;
            *state.processes[me].slice_late.get_or_insert(now)
        };
        late != state.processes[me].seen && self.keeps(Rule::ScanForLate)
    }

    fn settle(&self, state: &mut State, me: usize, slot: usize, word: Word) {
        state.processes[me].locals = Locals {
            slot: slot as u8,
            word,
            ..Locals::NONE
        };
    }

    fn begin_scan(&self, state: &mut State, me: usize) -> Pc {
        let late = state.processes[me].slice_late.unwrap_or(state.late);
        self.rescan(state, me, late)
    }

    fn rescan(&self, state: &mut State, me: usize, late: u8) -> Pc {
        state.processes[me].locals = Locals {
            late,
            far: 1,
            ..Locals::NONE
        };
        Pc::C9Scan
    }

    /// One word of the positions before the cursor, newest first.
    fn scan(&self, state: &mut State, me: usize) -> Pc {
        let locals = state.processes[me].locals;
        let there = state.processes[me].cursor - locals.far;
        let slot = self.slot(there);
        let word = state.load_word(me, slot);
        let is_late = word.lap <= self.lap(there) || !self.keeps(Rule::ScanStopsAtTheCursor);
        if word.is_full() && is_late {
            let position = self.position(word.lap, slot);
            let is_older = locals.found.is_none_or(|(slot, other)| {
                let other = self.position(other.lap, usize::from(slot));
                (position < other) == self.keeps(Rule::ScanTakesTheOldest)
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

    /// A message in one's hands.
    fn hold(&self, state: &mut State, me: usize, choice: Choice) -> Result<Pc, String> {
        let Locals { slot, word, .. } = state.processes[me].locals;
        let at = usize::from(slot);
        Ok(match state.processes[me].pc {
            Pc::C8Hint => {
                self.publish(state, me);
                Pc::Reading
            }
            Pc::Reading if choice == Choice::GiveUp => {
                state.ledger.held_before |= bit(state.payloads[at]);
                state.ledger.released_back += 1;
                let word = word.given_back(self.keeps(Rule::RedeliveriesAreCounted));
                state.store(me, Store::Word { slot, word });
                Pc::C10Late
            }
            Pc::Reading => {
                self.finish(state, me, at)?;
                let word = Word::free(word.lap + 1);
                state.store(me, Store::Word { slot, word });
                if choice == Choice::More {
                    return Ok(Pc::C1Hint);
                }
                state.processes[me].slice_late = None;
                if !self.guards {
                    // In the same step: to stop or die before a plain store is as to stop or die
                    // before it drains.
                    self.publish(state, me);
                }
                Pc::Idle
            }
            Pc::C10Late => {
                state.add_late(me);
                state.processes[me].slice_late = None;
                Pc::Idle
            }
            other => unreachable!("{other:?} is no step with a message in one's hands"),
        })
    }

    fn publish(&self, state: &mut State, me: usize) {
        let process = &state.processes[me];
        if process.seen != FORGOTTEN || !self.keeps(Rule::ForgottenIsNotPublished) {
            let hint = Store::Head {
                position: process.cursor,
                // Where the rule is broken: the 24 bits of it.
                seen: if process.seen == FORGOTTEN {
                    state.late
                } else {
                    process.seen
                },
            };
            state.store(me, hint);
        }
    }

    /// A message is in a receiver's hands: is it the right one?
    fn given(&self, state: &mut State, me: usize, slot: usize, word: Word) -> Outcome {
        let message = state.payloads[slot];
        if state.ledger.ended {
            return Err(format!("C{me} is given message {message} after the end"));
        }
        if message == NOTHING || state.ledger.committed & bit(message) == 0 {
            return Err(format!(
                "C{me} is given what nobody committed, from slot {slot}"
            ));
        }
        state.ledger.given |= bit(message);
        let before = state.ledger.held_before & bit(message) != 0;
        if before != (word.redelivered > 0) {
            return Err(format!(
                "message {message} was held before: {before}; marked: {}",
                word.redelivered
            ));
        }
        let last = &mut state.ledger.last[me][producer_of(message)];
        if !before {
            if *last > sequence_of(message) {
                return Err(format!(
                    "C{me} is given message {message} after number {} of its producer",
                    *last - 1
                ));
            }
            *last = sequence_of(message) + 1;
        }
        Ok(())
    }

    fn finish(&self, state: &mut State, me: usize, slot: usize) -> Outcome {
        let message = state.payloads[slot];
        if state.ledger.finished & bit(message) != 0 {
            return Err(format!("C{me} finishes message {message} a second time"));
        }
        state.ledger.finished |= bit(message);
        Ok(())
    }
}
