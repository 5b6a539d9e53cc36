//! A sweep for one dead process, numbered as in the queue's own `sweep.rs`. Claims name senders and
//! slot words receivers, from tables of their own: only those of the dead's role are looked at.

use crate::memory::owner;
use crate::rules::Rule;
use crate::state::*;
use crate::world::{Outcome, Role, World};

impl World {
    pub fn sweep(&self, state: &mut State, me: usize) -> Outcome {
        let locals = state.processes[me].locals;
        let dead = usize::from(locals.dead);
        let slot = usize::from(locals.slot);
        let has_its_place = state.processes[dead].life == Life::Dead
            && state.processes[dead].generation == locals.dead_generation
            || !self.keeps(Rule::SweepChecksTheTicket);
        let next = match state.processes[me].pc {
            Pc::S1Claim => {
                let claim = state.claims[slot];
                self.named(state, me, claim)
            }
            Pc::S1Named if has_its_place => Pc::S2Word,
            Pc::S2Word => {
                state.processes[me].locals.word = state.load_word(me, slot);
                Pc::S3Claim
            }
            Pc::S3Claim => {
                let claim = locals.claim;
                let swept = if self.is_pending(claim, locals.word)
                    && self.keeps(Rule::SweepMakesThePendingVoid)
                {
                    Claim {
                        lap: claim.lap,
                        void: true,
                        ..Claim::NONE
                    }
                } else {
                    Claim {
                        owner: NOBODY,
                        ..claim
                    }
                };
                if state.cas_claim(me, slot, claim, swept) {
                    self.next_swept(state, me)
                } else {
                    let now = state.claims[slot];
                    self.named(state, me, now)
                }
            }
            Pc::S4Word => {
                let word = state.load_word(me, slot);
                state.processes[me].locals.word = word;
                if word.kind == Kind::Reading && word.owner == owner(dead) {
                    Pc::S4Named
                } else {
                    self.next_swept(state, me)
                }
            }
            Pc::S4Named if has_its_place => Pc::S5Word,
            Pc::S1Named | Pc::S4Named => self.next_swept(state, me),
            Pc::S5Word => {
                let full = locals
                    .word
                    .given_back(self.keeps(Rule::RedeliveriesAreCounted));
                state.cas_word(me, slot, locals.word, full);
                self.next_swept(state, me)
            }
            Pc::S6Late => {
                state.add_late(me);
                Pc::S7Bury
            }
            Pc::S7Bury => {
                state.drain(me);
                let corpse = &mut state.processes[dead];
                if corpse.life == Life::Dead && corpse.generation == locals.dead_generation {
                    corpse.life = Life::Absent;
                    corpse.generation += 1;
                }
                Pc::Idle
            }
            other => unreachable!("{other:?} is no step of a sweep"),
        };
        let process = &mut state.processes[me];
        process.pc = next;
        if next == Pc::Idle {
            process.rest();
        }
        Ok(())
    }

    pub fn begin_sweep(&self, state: &mut State, me: usize, dead: usize) {
        let dead_generation = state.processes[dead].generation;
        let process = &mut state.processes[me];
        process.locals = Locals {
            dead: dead as u8,
            dead_generation,
            ..Locals::NONE
        };
        process.pc = self.sweep_slot(dead);
    }

    fn sweep_slot(&self, dead: usize) -> Pc {
        match self.role(dead) {
            Role::Producer { .. } => Pc::S1Claim,
            Role::Consumer => Pc::S4Word,
        }
    }

    fn named(&self, state: &mut State, me: usize, claim: Claim) -> Pc {
        let locals = &mut state.processes[me].locals;
        locals.claim = claim;
        if claim.owner == owner(usize::from(locals.dead)) {
            Pc::S1Named
        } else {
            self.next_swept(state, me)
        }
    }

    fn next_swept(&self, state: &mut State, me: usize) -> Pc {
        let locals = &mut state.processes[me].locals;
        *locals = Locals {
            dead: locals.dead,
            dead_generation: locals.dead_generation,
            slot: locals.slot + 1,
            ..Locals::NONE
        };
        let dead = usize::from(locals.dead);
        if locals.slot < self.slots {
            self.sweep_slot(dead)
        } else if self.keeps(Rule::SweepAnnounces) {
            Pc::S6Late
        } else {
            Pc::S7Bury
        }
    }
}
