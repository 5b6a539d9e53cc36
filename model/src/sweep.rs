//! A sweep for some of the dead in one pass, numbered as in the queue's own protocol table; and that of
//! somebody who leaves for what it forgot. Claims name senders and slot words receivers, from tables of
//! their own: only words of the deads' roles are looked at.

use crate::memory::owner;
use crate::rules::Rule;
use crate::state::*;
use crate::world::{Outcome, Role, World};

const GENERATION_BITS: usize = 4;

impl World {
    pub(crate) fn sweep(&self, state: &mut State, me: usize) -> Outcome {
        let locals = state.processes[me].locals;
        let slot = usize::from(locals.slot);
        let next = match state.processes[me].pc {
            Pc::S1Claim => {
                let claim = state.claims[slot];
                self.named(state, me, claim)
            }
            Pc::S1Named if self.is_still_there(state, me, locals.claim.owner) => Pc::S2Word,
            Pc::S1Named => self.look_for_readers(state, me),
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
                    self.look_for_readers(state, me)
                } else {
                    let now = state.claims[slot];
                    self.named(state, me, now)
                }
            }
            Pc::S4Word => {
                let word = state.load_word(me, slot);
                state.processes[me].locals.word = word;
                if word.kind == Kind::Reading && is_among(locals.dead, word.owner) {
                    Pc::S4Named
                } else {
                    self.next_swept(state, me)
                }
            }
            Pc::S4Named if self.is_still_there(state, me, locals.word.owner) => Pc::S5Word,
            Pc::S4Named => self.next_swept(state, me),
            Pc::S5Word => {
                let full = locals
                    .word
                    .given_back(self.keeps(Rule::RedeliveriesAreCounted));
                if state.cas_word(me, slot, locals.word, full) {
                    state.ledger.held_before |= bit(state.payloads[slot]);
                }
                self.next_swept(state, me)
            }
            Pc::S6Late => {
                state.add_late(me);
                self.swept(state, me)
            }
            Pc::S7Bury => {
                state.drain(me);
                let dead = locals.dead.trailing_zeros() as usize;
                let corpse = &mut state.processes[dead];
                let means = generation(locals.dead_generations, dead);
                if corpse.life == Life::Dead && corpse.generation == means {
                    corpse.life = Life::Absent;
                    corpse.generation += 1;
                }
                state.processes[me].locals.dead &= !(1 << dead);
                match state.processes[me].locals.dead {
                    0 => Pc::Idle,
                    _ => Pc::S7Bury,
                }
            }
            Pc::S7Leave => {
                state.drain(me);
                let gone = &mut state.processes[me];
                *gone = Process {
                    generation: gone.generation + 1,
                    sent: gone.sent,
                    ..Process::ABSENT
                };
                return Ok(());
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

    pub(crate) fn begin_sweep(&self, state: &mut State, me: usize, dead: u8) {
        let dead_generations = (0..self.roles.len())
            .filter(|it| dead >> it & 1 != 0)
            .map(|it| u32::from(state.processes[it].generation) << (GENERATION_BITS * it))
            .sum();
        state.processes[me].locals = Locals {
            dead,
            dead_generations,
            ..Locals::NONE
        };
        state.processes[me].pc = self.begin_slot(state, me);
    }

    pub(crate) fn begin_to_leave(&self, state: &mut State, me: usize) {
        state.ledger.left += 1;
        if state.processes[me].forgot > 0 {
            self.begin_sweep(state, me, 1 << me);
        } else {
            state.processes[me].pc = Pc::S7Leave;
        }
    }

    /// Whether the dead whom a word named, when it was read, still has its place. Who sweeps for
    /// itself does not ask.
    fn is_still_there(&self, state: &State, me: usize, named: u8) -> bool {
        let dead = usize::from(named) - 1;
        let process = &state.processes[dead];
        let means = generation(state.processes[me].locals.dead_generations, dead);
        dead == me
            || process.life == Life::Dead && process.generation == means
            || !self.keeps(Rule::SweepChecksTheTicket)
    }

    fn begin_slot(&self, state: &mut State, me: usize) -> Pc {
        let dead = state.processes[me].locals.dead;
        let of_senders = (0..self.roles.len())
            .any(|it| is_among(dead, owner(it)) && self.role(it) != Role::Consumer);
        if of_senders {
            Pc::S1Claim
        } else {
            self.look_for_readers(state, me)
        }
    }

    fn named(&self, state: &mut State, me: usize, claim: Claim) -> Pc {
        let locals = &mut state.processes[me].locals;
        locals.claim = claim;
        if is_among(locals.dead, claim.owner) {
            Pc::S1Named
        } else {
            self.look_for_readers(state, me)
        }
    }

    fn look_for_readers(&self, state: &mut State, me: usize) -> Pc {
        let locals = &mut state.processes[me].locals;
        locals.claim = Claim::NONE;
        locals.word = Word::NONE;
        let dead = locals.dead;
        let of_receivers = (0..self.roles.len())
            .any(|it| is_among(dead, owner(it)) && self.role(it) == Role::Consumer);
        if of_receivers {
            Pc::S4Word
        } else {
            self.next_swept(state, me)
        }
    }

    fn next_swept(&self, state: &mut State, me: usize) -> Pc {
        let locals = &mut state.processes[me].locals;
        *locals = Locals {
            dead: locals.dead,
            dead_generations: locals.dead_generations,
            slot: locals.slot + 1,
            ..Locals::NONE
        };
        if locals.slot < self.slots {
            self.begin_slot(state, me)
        } else if self.keeps(Rule::SweepAnnounces) {
            Pc::S6Late
        } else {
            self.swept(state, me)
        }
    }

    fn swept(&self, state: &State, me: usize) -> Pc {
        match state.processes[me].locals.dead {
            own if own == 1 << me => Pc::S7Leave,
            _ => Pc::S7Bury,
        }
    }
}

fn is_among(dead: u8, named: u8) -> bool {
    named != NOBODY && dead >> (named - 1) & 1 != 0
}

fn generation(of_all: u32, place: usize) -> u8 {
    (of_all >> (GENERATION_BITS * place) & ((1 << GENERATION_BITS) - 1)) as u8
}

/// Whom a sweep is for, if two had each other's place.
pub fn exchange_places(locals: &mut Locals, one: usize, other: usize) {
    let bits = (locals.dead >> one ^ locals.dead >> other) & 1;
    locals.dead ^= bits << one | bits << other;
    let (a, b) = (GENERATION_BITS * one, GENERATION_BITS * other);
    let all = locals.dead_generations;
    let differ = (all >> a ^ all >> b) & ((1 << GENERATION_BITS) - 1);
    locals.dead_generations ^= differ << a | differ << b;
}
