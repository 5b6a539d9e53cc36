//! The second half of a push, from the claim on, numbered as in the queue's own protocol table.

use crate::memory::owner;
use crate::rules::Rule;
use crate::state::*;
use crate::world::{Choice, Outcome, World};

impl World {
    /// What follows a claim: a look at the end, the caller's writing, the commit.
    pub(crate) fn commit(
        &self,
        state: &mut State,
        me: usize,
        choice: Choice,
    ) -> Result<Pc, String> {
        let locals = state.processes[me].locals;
        let (slot, lap) = (self.slot(locals.position), self.lap(locals.position));
        let after = Word::free(self.lap_plus(lap, 1));
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
                if state.cas_word(me, slot, Word::full(lap), after) {
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
                } else if word == after {
                    Pc::P19Claim
                } else {
                    self.stays(state, me)
                }
            }
            Pc::P19Claim => {
                if state.claims[slot].rejected {
                    if self.keeps(Rule::SenderLooksWhoWasRejected) {
                        Pc::P20Word
                    } else {
                        self.too_late(state, me)?
                    }
                } else {
                    self.stays(state, me)
                }
            }
            Pc::P20Word => {
                // Else it was the message of a later lap that was rejected.
                if state.load_word(me, slot) == after {
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
                    void: claim.void || locals.voids && self.keeps(Rule::GivenUpIsVoid),
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

    pub(crate) fn heavy(&self, state: &mut State, me: usize) {
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
