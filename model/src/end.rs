//! The judgement on a queue that was found empty, numbered as in its own protocol table.

use crate::rules::Rule;
use crate::state::*;
use crate::world::{Outcome, World};

enum Verdict {
    Messages,
    NotYet,
    Ended,
    Step(Pc),
}

impl World {
    pub(crate) fn judge(&self, state: &mut State, me: usize) -> Outcome {
        match self.judge_step(state, me) {
            Verdict::Step(pc) => state.processes[me].pc = pc,
            Verdict::NotYet => state.processes[me].rest(),
            Verdict::Messages => {
                state.processes[me].seen = FORGOTTEN;
                state.processes[me].locals = Locals::NONE;
                state.processes[me].pc = Pc::C1Hint;
            }
            Verdict::Ended => {
                process_is_told(state, me);
                let left = state.ledger.returned & !state.ledger.finished;
                if left != 0 {
                    let message = left.trailing_zeros();
                    return Err(format!("C{me} is told of the end before message {message}"));
                }
            }
        }
        Ok(())
    }

    fn judge_step(&self, state: &mut State, me: usize) -> Verdict {
        let locals = state.processes[me].locals;
        let slot = usize::from(locals.slot);
        Verdict::Step(match state.processes[me].pc {
            Pc::E1End => {
                state.processes[me].locals = Locals::NONE;
                match state.end {
                    End::Open => return Verdict::NotYet,
                    End::Closed(settled) => {
                        state.processes[me].locals.settled = settled;
                        Pc::E2Claim
                    }
                    End::Ended => return Verdict::Ended,
                }
            }
            Pc::E2Claim | Pc::E5Claim => {
                state.processes[me].locals.claim = state.claims[slot];
                match state.processes[me].pc {
                    Pc::E2Claim => Pc::E2Word,
                    _ => Pc::E5Word,
                }
            }
            Pc::E2Word => {
                let word = state.load_word(me, slot);
                match word.kind {
                    Kind::Free => {}
                    Kind::Full => return Verdict::Messages,
                    Kind::Reading if self.keeps(Rule::EndWaitsForReaders) => {
                        return Verdict::NotYet;
                    }
                    Kind::Reading => {}
                }
                if !self.is_pending(locals.claim, word) || !self.keeps(Rule::EndRevokesThePending) {
                    return Verdict::Step(self.next_judged(state, me));
                }
                state.processes[me].locals.flag = true;
                if locals.claim.revoked {
                    self.next_judged(state, me)
                } else {
                    Pc::E3Revoke
                }
            }
            Pc::E3Revoke => {
                let revoked = Claim {
                    revoked: true,
                    ..locals.claim
                };
                if !state.cas_claim(me, slot, locals.claim, revoked) {
                    return Verdict::NotYet;
                }
                self.next_judged(state, me)
            }
            Pc::E4Barrier => {
                self.heavy(state, me);
                if self.keeps(Rule::SecondLookBeforeTheEnd) {
                    Pc::E5Claim
                } else {
                    Pc::E6End
                }
            }
            Pc::E5Word => {
                let word = state.load_word(me, slot);
                match word.kind {
                    Kind::Full => return Verdict::Messages,
                    Kind::Reading => return Verdict::NotYet,
                    Kind::Free => {}
                }
                if self.is_pending(locals.claim, word) && !locals.claim.revoked {
                    return Verdict::NotYet;
                }
                if locals.slot + 1 == self.slots {
                    return Verdict::Step(Pc::E6End);
                }
                state.processes[me].locals.slot += 1;
                Pc::E5Claim
            }
            Pc::E6End => {
                let since = match self.keeps(Rule::EndCountsWhatWasSettled) {
                    true => End::Closed(locals.settled),
                    false => state.end,
                };
                return match state.cas_end(me, since, End::Ended) {
                    false if state.end != End::Ended => Verdict::NotYet,
                    _ => Verdict::Ended,
                };
            }
            other => unreachable!("{other:?} is no step of the end"),
        })
    }

    fn next_judged(&self, state: &mut State, me: usize) -> Pc {
        let locals = &mut state.processes[me].locals;
        *locals = Locals {
            slot: locals.slot + 1,
            flag: locals.flag,
            settled: locals.settled,
            ..Locals::NONE
        };
        if locals.slot < self.slots {
            return Pc::E2Claim;
        }
        locals.slot = 0;
        match locals.flag {
            true if self.keeps(Rule::BarrierBeforeTheEnd) => Pc::E4Barrier,
            true => Pc::E5Claim,
            false => Pc::E6End,
        }
    }
}

fn process_is_told(state: &mut State, me: usize) {
    state.ledger.ended = true;
    state.processes[me].is_done = true;
    state.processes[me].rest();
}
