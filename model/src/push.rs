//! A push, access by access, numbered as in the queue's own `push.rs`.
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
    pub fn is_pending(&self, claim: Claim, word: Word) -> bool {
        let old = if self.keeps(Rule::PendingByAnyEarlierLap) {
            word.lap <= claim.lap
        } else {
            word.lap == claim.lap
        };
        claim.owner != NOBODY && word.is_free() && (claim.void || old)
    }

    fn seat(&self, claim: Claim, word: Word) -> Seat {
        // A message that was given back lies behind the receivers, as one that was passed.
        let overtaken = claim.passed || claim.void || word.redelivered > 0;
        match word.kind {
            Kind::Free if !self.is_pending(claim, word) => Seat::Room,
            Kind::Free | Kind::Full if !overtaken => Seat::Kept,
            _ => Seat::Slow,
        }
    }

    pub fn push(&self, state: &mut State, me: usize, choice: Choice) -> Outcome {
        let pc = state.processes[me].pc;
        let next = match pc {
            Pc::P1Hint => {
                let process = &state.processes[me];
                state.processes[me].cursor = process.cursor.max(state.load_tail(me));
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
            _ => self.fill(state, me, choice)?,
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
                if claim.lap >= lap {
                    state.processes[me].cursor = self.position(claim.lap, slot) + 1;
                    state.processes[me].locals = Locals::NONE;
                    Pc::P2Claim
                } else if claim.lap + 1 == lap {
                    state.processes[me].locals.claim = claim;
                    Pc::P3Word
                } else {
                    return Err(format!("P{me} is where nobody can have come"));
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
                let process = &mut state.processes[me];
                process.sent += 1;
                process.cursor += 1;
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
                let there = cursor + locals.far;
                let claim = state.claims[self.slot(there)];
                if claim.lap + 1 != self.lap(there) {
                    Pc::P2Claim
                } else {
                    state.processes[me].locals.far_claim = claim;
                    Pc::P15Word
                }
            }
            Pc::P15Word => {
                let word = state.load_word(me, self.slot(cursor + locals.far));
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
                    state.processes[me].cursor = cursor + 1;
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
            .find(|&slot| state.claims[slot].lap < first)
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

    /// What follows a claim: `Tail::claimed`, the caller's writing, `Tail::commit`.
    fn fill(&self, state: &mut State, me: usize, choice: Choice) -> Result<Pc, String> {
        let locals = state.processes[me].locals;
        let (slot, lap) = (self.slot(locals.position), self.lap(locals.position));
        let is_mine = |claim: Claim| claim.owner == owner(me);
        Ok(match state.processes[me].pc {
            Pc::P5End => match state.end {
                End::Open => Pc::Write,
                _ => {
                    state.processes[me].is_done = true;
                    state.processes[me].locals.voids = true;
                    Pc::P13Claim
                }
            },
            Pc::Write | Pc::P6Commit if choice == Choice::GiveUp => {
                state.processes[me].locals.voids = true;
                Pc::P13Claim
            }
            Pc::Write => {
                self.write(state, me, slot)?;
                Pc::P6Commit
            }
            Pc::P6Commit => {
                state.ledger.committed |= bit(self.begun(state, me));
                let full = Store::Word {
                    slot: slot as u8,
                    word: Word::full(lap),
                };
                state.store(me, full);
                Pc::P7Look
            }
            Pc::P7Look => {
                if self.symmetric {
                    state.drain(me);
                }
                if state.claims[slot] == locals.claim || !self.keeps(Rule::SecondLookAtTheClaim) {
                    self.pushed(state, me)?
                } else {
                    Pc::P9Claim
                }
            }
            Pc::P9Claim => {
                let claim = state.claims[slot];
                state.processes[me].locals.claim = claim;
                if claim.revoked {
                    Pc::P10Withdraw
                } else if !locals.flag && self.keeps(Rule::AnnounceLateCommits) {
                    Pc::P11Late
                } else if is_mine(claim) && self.keeps(Rule::NameGoesAfterBeingPassed) {
                    Pc::P12Unname
                } else {
                    self.pushed(state, me)?
                }
            }
            Pc::P10Withdraw => {
                if state.cas_word(me, slot, Word::full(lap), Word::free(lap + 1)) {
                    self.too_late(state, me)?
                } else if self.keeps(Rule::SenderSettlesWhatWasTaken) {
                    Pc::P16End
                } else {
                    self.stays(state, me)
                }
            }
            Pc::P16End => {
                if let End::Closed(settled) = state.end {
                    state.processes[me].locals.settled = settled;
                    Pc::P17Settle
                } else {
                    Pc::P18Word
                }
            }
            Pc::P17Settle => {
                if state.settle(me, locals.settled) {
                    self.stays(state, me)
                } else {
                    Pc::P16End
                }
            }
            Pc::P18Word => {
                let word = state.load_word(me, slot);
                if word.lap == lap && self.keeps(Rule::SenderLooksWhoHasIt) {
                    self.too_late(state, me)?
                } else if word == Word::free(lap + 1) {
                    Pc::P19Claim
                } else {
                    self.stays(state, me)
                }
            }
            Pc::P19Claim => {
                if state.claims[slot].rejected {
                    self.too_late(state, me)?
                } else {
                    self.stays(state, me)
                }
            }
            Pc::P11Late => {
                state.add_late(me);
                state.processes[me].locals.flag = true;
                if is_mine(locals.claim) && self.keeps(Rule::NameGoesAfterBeingPassed) {
                    Pc::P12Unname
                } else {
                    self.pushed(state, me)?
                }
            }
            Pc::P12Unname => {
                let claim = locals.claim;
                let unnamed = Claim {
                    owner: NOBODY,
                    passed: claim.passed && self.keeps(Rule::PassedOutlivesTheName),
                    ..claim
                };
                if state.cas_claim(me, slot, claim, unnamed) {
                    self.pushed(state, me)?
                } else {
                    Pc::P9Claim
                }
            }
            Pc::P13Claim => {
                let claim = state.claims[slot];
                state.processes[me].locals.claim = claim;
                if is_mine(claim) {
                    Pc::P13GiveBack
                } else {
                    self.given_up(state, me)?
                }
            }
            Pc::P13GiveBack => {
                let claim = locals.claim;
                let without = Claim {
                    owner: NOBODY,
                    void: claim.void || locals.voids,
                    ..claim
                };
                if state.cas_claim(me, slot, claim, without) {
                    self.given_up(state, me)?
                } else {
                    Pc::P13Claim
                }
            }
            other => unreachable!("{other:?} is no step of a push"),
        })
    }

    /// The stream ended before the message.
    fn too_late(&self, state: &mut State, me: usize) -> Result<Pc, String> {
        let message = self.begun(state, me);
        if state.ledger.given & bit(message) != 0 {
            return Err(format!(
                "message {message} came too late, and somebody got it"
            ));
        }
        state.ledger.committed &= !bit(message);
        let process = &mut state.processes[me];
        process.is_done = true;
        process.locals.flag = false;
        Ok(Pc::P13Claim)
    }

    fn stays(&self, state: &mut State, me: usize) -> Pc {
        // From here on: whether it is a message.
        state.processes[me].locals.flag = true;
        Pc::P13Claim
    }

    /// The message is there. What follows is a plain store of the hint: it is made in the same
    /// step, because to stop or die before it is as to stop or die before it drains.
    fn pushed(&self, state: &mut State, me: usize) -> Result<Pc, String> {
        let message = self.begun(state, me);
        state.ledger.returned |= bit(message);
        let finished = state.ledger.finished & bit(message) != 0;
        if state.ledger.ended && !finished {
            return Err(format!("message {message} is pushed after the end"));
        }
        state.store(me, Store::Tail(state.processes[me].cursor));
        Ok(Pc::Idle)
    }

    /// After P13: a claim given up, or a commit that found the stream ended.
    fn given_up(&self, state: &mut State, me: usize) -> Result<Pc, String> {
        if state.processes[me].locals.flag {
            return self.pushed(state, me);
        }
        if !state.processes[me].locals.voids {
            state.store(me, Store::Tail(state.processes[me].cursor));
        }
        Ok(Pc::Idle)
    }

    pub fn heavy(&self, state: &mut State, me: usize) {
        if self.symmetric {
            state.drain(me);
        } else {
            state.barrier();
        }
    }

    /// The message that a pusher has claimed a slot for.
    fn begun(&self, state: &State, me: usize) -> u8 {
        message(me, state.processes[me].sent - 1)
    }

    /// The payload is written straight to memory: it drains before the commit does, and the sooner
    /// it does, the more it can spoil.
    fn write(&self, state: &mut State, me: usize, slot: usize) -> Outcome {
        let there = state.payloads[slot];
        let unfinished = state.ledger.committed & !state.ledger.finished;
        if there != NOTHING && unfinished & bit(there) != 0 {
            return Err(format!(
                "P{me} overwrites message {there}, which nobody has finished"
            ));
        }
        for (other, process) in state.processes.iter().enumerate() {
            let at = usize::from(process.locals.slot);
            if process.life == Life::Alive && process.pc == Pc::Reading && at == slot {
                return Err(format!("P{me} overwrites what P{other} is reading"));
            }
            let writes = matches!(process.pc, Pc::Write | Pc::P6Commit);
            if other != me && writes && self.slot(process.locals.position) == slot {
                return Err(format!("P{me} and P{other} write into slot {slot} at once"));
            }
        }
        state.payloads[slot] = self.begun(state, me);
        Ok(())
    }
}
