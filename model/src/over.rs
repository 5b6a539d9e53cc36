//! Whether a lap of a slot is over: what a block of byte messages that was taken for it depends on
//! (`ipc_queue::mpmc::bytes`, B2). Senders, receivers and sweepers do nothing more for blocks than
//! for their slots, so blocks are not modelled; what is, is somebody who asks at any time, reading
//! the claim and then the slot's word, with anything in between. Whoever finds a lap over may use
//! its block from then on.

use crate::rules::Rule;
use crate::state::*;
use crate::world::{Outcome, World};

/// How far one has come who asks about the last lap of a slot that a sender claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Question {
    #[default]
    None,
    Asked {
        slot: u8,
        lap: u8,
        /// The first of the two words that were read.
        claim: Claim,
        word: Word,
    },
    Over {
        slot: u8,
        lap: u8,
    },
}

impl World {
    /// B2, in two steps.
    pub(crate) fn ask(&self, state: &mut State, slot: u8) {
        let at = usize::from(slot);
        state.question = match state.question {
            Question::None => Question::Asked {
                slot,
                lap: state.claimed[at],
                claim: state.claims[at],
                word: state.words[at],
            },
            Question::Asked {
                lap, claim, word, ..
            } => {
                let (claim, word) = if self.keeps(Rule::OverReadsTheWordLast) {
                    (claim, state.words[at])
                } else {
                    (state.claims[at], word)
                };
                if self.is_lap_over(lap, claim, word) {
                    Question::Over { slot, lap }
                } else {
                    Question::None
                }
            }
            over => over,
        };
    }

    /// `Geometry::is_over`.
    pub(crate) fn is_lap_over(&self, lap: u8, claim: Claim, word: Word) -> bool {
        if self.ahead(word.lap, lap) > 0 {
            return true;
        }
        word.is_free()
            && match self.ahead(claim.lap, lap) {
                ..0 => false,
                0 => claim.void || !self.keeps(Rule::OverSparesWriters),
                _ => {
                    let overtaken = claim.void && claim.owner != NOBODY;
                    !(overtaken && self.keeps(Rule::OverSparesTheOvertaken))
                }
            }
    }

    /// Nobody has what was found over.
    pub(crate) fn over_is_over(&self, state: &State) -> Outcome {
        let Question::Over { slot, lap } = state.question else {
            return Ok(());
        };
        let at = usize::from(slot);
        let is_message = |word: Word| word.lap == lap && !word.is_free();
        let failed = |who: String| Err(format!("lap {lap} of slot {slot} was over, and {who}"));
        if is_message(state.words[at]) {
            return failed("there is a message".to_owned());
        }
        for (index, process) in state.processes.iter().enumerate() {
            let writes = matches!(process.pc, Pc::P5End | Pc::Write | Pc::P6Commit);
            if writes && process.locals.position == self.position(lap, at) {
                return failed(format!("P{index} writes"));
            }
            let commits = |store| match store {
                Store::Word { slot: there, word } => there == slot && is_message(word),
                _ => false,
            };
            if process.buffer.newest_first().any(commits) {
                return failed(format!("P{index} has committed"));
            }
        }
        Ok(())
    }

    /// Where everybody has come to rest and the dead are swept, a lap is over or a message.
    pub(crate) fn no_block_is_lost(&self, state: &State) -> Outcome {
        for slot in 0..usize::from(self.slots) {
            let (claim, word) = (state.claims[slot], state.words[slot]);
            let lap = state.claimed[slot];
            let is_message = word.lap == lap && !word.is_free();
            if !is_message && !self.is_lap_over(lap, claim, word) {
                let what = format!("lap {lap} of slot {slot} is not over, and nobody has it");
                return Err(crate::trace::after(what, self, state));
            }
        }
        Ok(())
    }
}
