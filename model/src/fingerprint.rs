//! Which states have been met.

use crate::memory::owner;
use crate::state::*;
use crate::sweep::exchange_places;
use crate::world::{Role, World};
use std::hash::{Hash, Hasher};

/// Of all that a world has, but for what makes no difference to what can follow:
///
/// * of the counters `late` and `settled`, which only grow, how far they have come. What somebody
///   remembers of one equals it or never will;
/// * what a receiver was given and when, of a sender whose messages up to there are finished;
/// * where somebody stands who has nothing more to do;
/// * which of the last two receivers is which.
pub fn fingerprint(world: &World, state: &State) -> u64 {
    let state = in_common_terms(world, state);
    let one = of_all(world, &state);
    match world.roles[..] {
        [.., Role::Consumer, Role::Consumer] => one.min(of_all(world, &exchanged(world, state))),
        _ => one,
    }
}

fn of_all(world: &World, state: &State) -> u64 {
    let (slots, processes) = (usize::from(world.slots), world.roles.len());
    let mut hasher = Mixer(0);
    state.claims[..slots].hash(&mut hasher);
    state.words[..slots].hash(&mut hasher);
    hasher.write(&state.payloads[..slots]);
    (state.end, state.tail, state.head, state.head_seen).hash(&mut hasher);
    state.processes[..processes].hash(&mut hasher);
    state.ledger.hash(&mut hasher, processes);
    hasher.finish()
}

/// The last two receivers in each other's place, wherever they are named.
fn exchanged(world: &World, mut state: State) -> State {
    let (one, other) = (world.roles.len() - 2, world.roles.len() - 1);
    state.processes.swap(one, other);
    state.ledger.last.swap(one, other);
    let rename = |word: &mut Word| {
        if word.owner == owner(one) {
            word.owner = owner(other);
        } else if word.owner == owner(other) {
            word.owner = owner(one);
        }
    };
    state.words.iter_mut().for_each(rename);
    for process in &mut state.processes[..world.roles.len()] {
        let locals = &mut process.locals;
        rename(&mut locals.word);
        if let Some((_, word)) = &mut locals.found {
            rename(word);
        }
        exchange_places(locals, one, other);
    }
    state
}

fn in_common_terms(world: &World, state: &State) -> State {
    let mut common = *state;
    let remembered = |seen: &mut u8| {
        if *seen != FORGOTTEN {
            *seen = u8::from(*seen != state.late);
        }
    };
    remembered(&mut common.head_seen);
    let settled_now = match &mut common.end {
        End::Closed(settled) => Some(std::mem::take(settled)),
        _ => None,
    };
    let ledger = &mut common.ledger;
    ledger.held_before &= !ledger.finished;
    for last in ledger.last.as_flattened_mut().iter_mut().enumerate() {
        let (at, last) = last;
        let producer = at % PROCESSES;
        let up_to = bit(message(producer, 0)).wrapping_mul(bit(*last) - 1);
        if up_to & !ledger.finished == 0 {
            *last = 0;
        }
    }
    for (process, role) in common.processes.iter_mut().zip(&world.roles) {
        let has_done_all = match *role {
            Role::Producer { messages } => process.sent >= messages,
            Role::Consumer => false,
        };
        let rests = process.pc == Pc::Idle || process.is_sweeping();
        if rests && (process.is_done || has_done_all) {
            process.cursor = 0;
            process.seen = FORGOTTEN;
        }
        remembered(&mut process.seen);
        remembered(&mut process.locals.late);
        process.slice_late.iter_mut().for_each(remembered);
        process.buffer.each_seen(remembered);
        let settled = &mut process.locals.settled;
        if *settled != FORGOTTEN {
            *settled = u8::from(Some(*settled) != settled_now);
        }
    }
    common
}

/// Multiply and fold: fast, and good enough on words that differ in a few bits.
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Fingerprints of the states met, numbered as they came, each with the number of the state it was
/// first reached from.
pub struct Fingerprints {
    keys: Vec<u64>,
    parents: Vec<u32>,
    /// Numbers, by their keys: an open table.
    table: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Fingerprints {
    pub fn new(start: u64) -> Self {
        let mut one = Self {
            keys: Vec::new(),
            parents: Vec::new(),
            table: vec![NONE; 1 << 16],
        };
        one.insert(start, NONE);
        one
    }

    /// Whether it is new.
    pub fn insert(&mut self, key: u64, parent: u32) -> bool {
        let mut at = self.place(key);
        if self.table[at] != NONE {
            return false;
        }
        if self.keys.len() * 4 > self.table.len() * 3 {
            self.table = vec![NONE; self.table.len() * 2];
            for number in 0..self.keys.len() {
                let at = self.place(self.keys[number]);
                self.table[at] = number as u32;
            }
            at = self.place(key);
        }
        self.table[at] = u32::try_from(self.keys.len()).expect("memory is full before this");
        self.keys.push(key);
        self.parents.push(parent);
        true
    }

    fn place(&self, key: u64) -> usize {
        let mask = self.table.len() - 1;
        let mut at = key as usize & mask;
        while self.table[at] != NONE && self.keys[self.table[at] as usize] != key {
            at = (at + 1) & mask;
        }
        at
    }

    pub fn key(&self, number: u32) -> u64 {
        self.keys[number as usize]
    }

    /// The fingerprints on the way from the start to this state, without the start's own.
    pub fn way_to(&self, mut number: u32) -> Vec<u64> {
        let mut way = Vec::new();
        while self.parents[number as usize] != NONE {
            way.push(self.key(number));
            number = self.parents[number as usize];
        }
        way.reverse();
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap, HashSet};

    /// All that a world has.
    fn exactly(world: &World, state: &State) -> (u64, u8) {
        (of_all(world, state), state.late)
    }

    /// States with one fingerprint lead to states with the same ones: leaving out what is left out
    /// hides nothing. Returns how many states there are, and how many fingerprints.
    fn agree(world: &World) -> (usize, usize) {
        let mut met = HashSet::new();
        let mut ways: HashMap<u64, BTreeSet<u64>> = HashMap::new();
        let mut rep: HashMap<u64, State> = HashMap::new();
        let mut left = vec![world.start()];
        met.insert(exactly(world, &left[0]));
        while let Some(state) = left.pop() {
            let mut way = BTreeSet::new();
            world.actions(&state, |action| {
                let mut next = state;
                world.apply(&mut next, action).expect("the protocol holds");
                way.insert(fingerprint(world, &next));
                if met.insert(exactly(world, &next)) {
                    left.push(next);
                }
            });
            rep.entry(fingerprint(world, &state)).or_insert(state);
            let known = ways
                .entry(fingerprint(world, &state))
                .or_insert_with(|| way.clone());
            if *known != way {
                println!("{:?}\n{:?}", rep[&fingerprint(world, &state)], state);
                panic!();
            }
        }
        (met.len(), ways.len())
    }

    #[test]
    fn what_is_left_out_makes_no_difference() {
        let worlds = [
            World {
                releases_back: 2,
                refreshes: true,
                ..World::new(1, &[1], 2)
            },
            World {
                closes: true,
                ..World::new(1, &[1], 1).kills(2, 1)
            },
            World {
                forgets: 1,
                leaves: 1,
                newcomers: 1,
                ..World::new(1, &[2], 1).kills(1, 1)
            },
            World::new(2, &[1, 1], 1),
            World::new(1, &[1], 2).kills(1, 0),
        ];
        for world in worlds {
            let (states, fingerprints) = agree(&world);
            println!("{states} states, {fingerprints} fingerprints");
            assert!(fingerprints < states);
        }
    }
}
