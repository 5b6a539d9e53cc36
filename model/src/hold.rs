//! A message in a receiver's hands: C4 and what follows it.

use crate::rules::Rule;
use crate::state::*;
use crate::world::{Choice, Outcome, World};

impl World {
    /// A1 to A6: a message of a closed stream may be one that its sender takes back.
    pub(crate) fn accept(&self, state: &mut State, me: usize) -> Result<Pc, String> {
        let locals = state.processes[me].locals;
        Ok(match state.processes[me].pc {
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
                } else if !self.keeps(Rule::ReceiverSettlesWhatItAccepts) {
                    Pc::A4Accept
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
                let word = Word::free(self.lap_plus(locals.word.lap, 1));
                state.store(me, Store::Word { slot, word });
                self.missed(state, me)
            }
            other => unreachable!("{other:?} is no step of accepting"),
        })
    }

    /// Somebody else was faster.
    pub(crate) fn missed(&self, state: &mut State, me: usize) -> Pc {
        let Locals { is_next, late, .. } = state.processes[me].locals;
        if is_next {
            Pc::C2Word
        } else {
            self.rescan(state, me, late)
        }
    }

    /// The message is the receiver's.
    pub(crate) fn accepted(&self, state: &mut State, me: usize) -> Result<Pc, String> {
        let Locals {
            slot,
            word,
            is_next,
            ..
        } = state.processes[me].locals;
        let process = &mut state.processes[me];
        let own_lap = word.lap == self.lap(process.cursor);
        if is_next && (own_lap || !self.keeps(Rule::CursorWaitsForItsOwnLap)) {
            process.cursor = self.next(process.cursor);
        }
        process.locals = Locals {
            slot,
            word,
            ..Locals::NONE
        };
        self.given(state, me, usize::from(slot), word)?;
        Ok(if self.guards { Pc::C8Hint } else { Pc::Reading })
    }

    /// A message in one's hands.
    pub(crate) fn hold(&self, state: &mut State, me: usize, choice: Choice) -> Result<Pc, String> {
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
                let word = Word::free(self.lap_plus(word.lap, 1));
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
