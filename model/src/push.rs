//! The first half of a push, up to the claim, access by access, numbered as in the queue's own
//! protocol table.
//!
//! The fast path is not modelled apart: it does what the slow one does with the same reads, and
//! where it gives up, the slow one reads all again. Nor is patience: who polls for a while only
//! begins his next look later.

use crate::memory::owner;
use crate::rules::Rule;
use crate::state::*;
use crate::world::{Choice, Outcome, World};

/// What the slot at the tail means to a sender.
#[derive(PartialEq, Eq)]
enum Seat {
    Room,
    Kept,
    Slow,
}

impl World {
    /// Whether the claim's owner may still be writing. The word was read after the claim.
    pub(crate) fn is_pending(&self, claim: Claim, word: Word) -> bool {
        let old = if self.keeps(Rule::PendingByAnyEarlierLap) {
            self.ahead(word.lap, claim.lap) <= 0
        } else {
            word.lap == claim.lap
        };
        claim.owner != NOBODY && word.is_free() && (claim.void || old)
    }

    fn seat(&self, claim: Claim, word: Word) -> Seat {
        // A message that was given back lies behind the receivers, as one that was passed.
        let overtaken = claim.passed
            || claim.void
            || word.redelivered > 0 && self.keeps(Rule::GivenBackIsOvertaken);
        match word.kind {
            Kind::Free if !self.is_pending(claim, word) => Seat::Room,
            Kind::Free | Kind::Full if !overtaken => Seat::Kept,
            _ => Seat::Slow,
        }
    }

    pub(crate) fn push(&self, state: &mut State, me: usize, choice: Choice) -> Outcome {
        let pc = state.processes[me].pc;
        let next = match pc {
            Pc::P1Hint => {
                let hint = state.load_tail(me);
                if self.is_after(hint, state.processes[me].cursor) {
                    state.processes[me].cursor = hint;
                }
                Pc::P2Claim
            }
            Pc::P2Claim
            | Pc::P3Word
            | Pc::P4Take
            | Pc::P14Confirm
            | Pc::P14End
            | Pc::P15Claim
            | Pc::P15Word
            | Pc::V1Barrier
            | Pc::V2Word
            | Pc::V3Void => self.claim(state, me)?,
            _ => self.commit(state, me, choice)?,
        };
        let process = &mut state.processes[me];
        process.pc = next;
        match next {
            Pc::Idle => process.rest(),
            Pc::P2Claim if pc != Pc::P2Claim => process.locals = Locals::NONE,
            _ => {}
        }
        Ok(())
    }

    /// `Tail::claim_slow`.
    fn claim(&self, state: &mut State, me: usize) -> Result<Pc, String> {
        let cursor = state.processes[me].cursor;
        let locals = state.processes[me].locals;
        let (slot, lap) = (self.slot(cursor), self.lap(cursor));
        Ok(match state.processes[me].pc {
            Pc::P2Claim if !self.keeps(Rule::WordAfterClaim) && !locals.flag => {
                let locals = &mut state.processes[me].locals;
                locals.flag = true;
                state.processes[me].locals.word = state.load_word(me, slot);
                return Ok(Pc::P2Claim);
            }
            Pc::P2Claim => {
                let claim = state.claims[slot];
                match self.ahead(claim.lap, lap) {
                    0.. => {
                        let claimed = self.position(claim.lap, slot);
                        state.processes[me].cursor = self.next(claimed);
                        state.processes[me].locals = Locals::NONE;
                        Pc::P2Claim
                    }
                    -1 => {
                        state.processes[me].locals.claim = claim;
                        Pc::P3Word
                    }
                    _ => return Err(format!("P{me} is where nobody can have come")),
                }
            }
            Pc::P3Word => {
                let word = if locals.flag {
                    locals.word
                } else {
                    state.load_word(me, slot)
                };
                state.processes[me].locals.word = word;
                if locals.claim.revoked && self.keeps(Rule::RevokedClaimsStay) {
                    // Only of a closed stream. Its owner must find the mark.
                    state.processes[me].is_done = true;
                    return Ok(Pc::Idle);
                }
                match self.seat(locals.claim, word) {
                    Seat::Room => Pc::P4Take,
                    Seat::Kept => {
                        state.processes[me].locals.had_room = self.has_room(state, me);
                        Pc::P14Confirm
                    }
                    Seat::Slow => self.look_behind(state, me, 1),
                }
            }
            Pc::P4Take => {
                let mine = Claim {
                    lap,
                    owner: owner(me),
                    ..Claim::NONE
                };
                if !state.cas_claim(me, slot, locals.claim, mine) {
                    return Ok(Pc::P2Claim);
                }
                state.claimed[slot] = lap;
                let process = &mut state.processes[me];
                process.sent += 1;
                process.cursor = self.next(cursor);
                process.locals = Locals {
                    position: cursor,
                    claim: mine,
                    ..Locals::NONE
                };
                if self.closes && self.keeps(Rule::LookAtTheEndAfterClaiming) {
                    Pc::P5End
                } else {
                    Pc::Write
                }
            }
            Pc::P14Confirm => {
                if state.claims[slot] != locals.claim && self.keeps(Rule::SecondLookBeforeFull) {
                    Pc::P2Claim
                } else if locals.had_room {
                    return Err(format!(
                        "P{me} says full, and there was room when it looked"
                    ));
                } else if self.closes {
                    Pc::P14End
                } else {
                    Pc::Idle
                }
            }
            Pc::P14End => {
                state.processes[me].is_done = state.end != End::Open;
                Pc::Idle
            }
            Pc::P15Claim => {
                let there = self.behind(cursor, locals.far);
                let claim = state.claims[self.slot(there)];
                if self.ahead(claim.lap, self.lap(there)) != -1 {
                    Pc::P2Claim
                } else {
                    state.processes[me].locals.far_claim = claim;
                    Pc::P15Word
                }
            }
            Pc::P15Word => {
                let there = self.behind(cursor, locals.far);
                let word = state.load_word(me, self.slot(there));
                match self.seat(locals.far_claim, word) {
                    Seat::Slow => self.look_behind(state, me, locals.far + 1),
                    Seat::Kept => Pc::P14Confirm,
                    Seat::Room => {
                        let first =
                            !locals.claim.void && self.is_pending(locals.claim, locals.word);
                        if first && self.keeps(Rule::BarrierBeforeVoid) {
                            Pc::V1Barrier
                        } else {
                            Pc::V3Void
                        }
                    }
                }
            }
            Pc::V1Barrier => {
                self.heavy(state, me);
                Pc::V2Word
            }
            Pc::V2Word => {
                let word = state.load_word(me, slot);
                state.processes[me].locals.word = word;
                if self.is_pending(locals.claim, word) {
                    Pc::V3Void
                } else {
                    Pc::P2Claim
                }
            }
            Pc::V3Void => {
                let keeps_owner = self.is_pending(locals.claim, locals.word)
                    && self.keeps(Rule::VoidKeepsTheWriter);
                let void = Claim {
                    lap,
                    owner: if keeps_owner {
                        locals.claim.owner
                    } else {
                        NOBODY
                    },
                    void: true,
                    ..Claim::NONE
                };
                if state.cas_claim(me, slot, locals.claim, void) {
                    state.processes[me].cursor = self.next(cursor);
                }
                Pc::P2Claim
            }
            other => unreachable!("{other:?} is no step of a claim"),
        })
    }

    /// Whether the first slot that nobody has claimed can be claimed at this moment.
    fn has_room(&self, state: &State, me: usize) -> bool {
        let first = state.claims[0].lap;
        let slots = 0..usize::from(self.slots);
        let tail = slots
            .into_iter()
            .find(|&slot| self.ahead(state.claims[slot].lap, first) < 0)
            .unwrap_or(0);
        self.seat(state.claims[tail], state.load_word(me, tail)) == Seat::Room
    }

    fn look_behind(&self, state: &mut State, me: usize, far: u8) -> Pc {
        if far >= self.slots {
            return Pc::P14Confirm;
        }
        state.processes[me].locals.far = far;
        Pc::P15Claim
    }
}
