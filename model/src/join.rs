//! A newcomer finds out where the others are: `Tail::join`, `Head::join`.

use crate::state::*;
use crate::world::{Outcome, Role, World};

impl World {
    pub(crate) fn join(&self, state: &mut State, me: usize) -> Outcome {
        let locals = state.processes[me].locals;
        let next = match state.processes[me].pc {
            Pc::JoinHead => {
                let (position, seen) = state.load_head(me);
                let locals = &mut state.processes[me].locals;
                locals.position = position;
                locals.late = seen;
                Pc::JoinFirst
            }
            Pc::JoinFirst => {
                let locals = &mut state.processes[me].locals;
                locals.claim = state.claims[0];
                // The search for the last slot that is not a lap behind: between these.
                locals.slot = 0;
                locals.far = self.slots;
                self.narrowed(state, me)
            }
            Pc::JoinMiddle => {
                let middle = locals.slot + (locals.far - locals.slot) / 2;
                let behind =
                    self.ahead(state.claims[usize::from(middle)].lap, locals.claim.lap) < 0;
                let locals = &mut state.processes[me].locals;
                if behind {
                    locals.far = middle;
                } else {
                    locals.slot = middle;
                }
                self.narrowed(state, me)
            }
            other => unreachable!("{other:?} is no step of joining"),
        };
        let process = &mut state.processes[me];
        process.pc = next;
        if next == Pc::Idle {
            process.rest();
        }
        Ok(())
    }

    fn narrowed(&self, state: &mut State, me: usize) -> Pc {
        let locals = &mut state.processes[me].locals;
        if locals.far - locals.slot > 1 {
            Pc::JoinMiddle
        } else {
            self.joined(state, me)
        }
    }

    fn joined(&self, state: &mut State, me: usize) -> Pc {
        let role = self.role(me);
        let process = &mut state.processes[me];
        let locals = process.locals;
        let tail = self.next(self.position(locals.claim.lap, usize::from(locals.slot)));
        if role != Role::Consumer {
            process.cursor = tail;
            return Pc::Idle;
        }
        let oldest = self.plus_laps(tail, -1);
        let hint = locals.position;
        if !self.is_after(oldest, hint) && !self.is_after(hint, tail) {
            process.cursor = locals.position;
            process.seen = locals.late;
        } else {
            process.cursor = oldest;
            process.seen = FORGOTTEN;
        }
        Pc::Idle
    }
}
