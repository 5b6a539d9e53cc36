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
/// * what an operation has read and has no more use for;
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
    let mut hasher = Mixer::default();
    state.claims[..slots].hash(&mut hasher);
    state.words[..slots].hash(&mut hasher);
    hasher.write(&state.payloads[..slots]);
    (state.end, state.tail, state.head, state.head_seen).hash(&mut hasher);
    if world.asks {
        hasher.write(&state.claimed[..slots]);
        state.question.hash(&mut hasher);
    }
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
        without_what_is_over(process.pc, &mut process.locals);
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

/// Leaves out what an operation that is at `pc` reads again before it uses it.
fn without_what_is_over(pc: Pc, locals: &mut Locals) {
    use Pc::*;
    if matches!(pc, P14End | C5Previous | C5Late | E1End) {
        *locals = Locals::NONE;
    }
    if matches!(
        pc,
        P9Claim
            | P10Withdraw
            | P13Claim
            | P16End
            | P17Settle
            | P18Word
            | P19Claim
            | P20Word
            | A1End
            | A2Claim
            | A5Claim
            | A6Free
            | C6Barrier
            | C6Word
            | E5Claim
            | E6End
    ) {
        locals.claim = Claim::NONE;
    }
    if matches!(pc, C5Word | P14Confirm | V1Barrier | V2Word) {
        locals.word = Word::NONE;
    }
    if matches!(
        pc,
        P10Withdraw | P16End | P17Settle | P18Word | P19Claim | P20Word | E5Claim | E5Word | E6End
    ) {
        locals.flag = false;
    }
    if matches!(
        pc,
        P16End
            | P18Word
            | P19Claim
            | P20Word
            | P13Claim
            | P13GiveBack
            | A1End
            | A4Accept
            | A5Claim
            | A5Reject
            | A6Free
    ) {
        locals.settled = FORGOTTEN;
    }
    if matches!(pc, P14Confirm | V1Barrier | V2Word | V3Void) {
        locals.far = 0;
        locals.far_claim = Claim::NONE;
    }
}

/// Multiply and fold, eight bytes at a time: fast, and good enough on words that differ in a few bits.
#[derive(Default)]
struct Mixer {
    mixed: u64,
    waiting: u64,
    bits: u32,
}

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.mixed ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.mixed = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u8(byte));
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.waiting |= u64::from(byte) << self.bits;
        self.bits += 8;
        if self.bits == 64 {
            self.mix(self.waiting);
            (self.waiting, self.bits) = (0, 0);
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    /// The length of an array, which is small.
    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u8(word as u8);
    }

    /// Which variant of a type that has fewer than 256.
    #[inline]
    fn write_isize(&mut self, word: isize) {
        self.write_u8(word as u8);
    }

    fn finish(&self) -> u64 {
        let mut last = Self {
            mixed: self.mixed,
            ..Self::default()
        };
        last.mix(self.waiting);
        last.mixed
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
            let known = ways
                .entry(fingerprint(world, &state))
                .or_insert_with(|| way.clone());
            assert_eq!(*known, way, "{state:?}");
        }
        (met.len(), ways.len())
    }

    #[test]
    fn what_is_left_out_makes_no_difference() {
        let worlds = [
            World {
                closes: true,
                ..World::new(1, &[1], 1).kills(2, 1)
            },
            World {
                releases_back: 1,
                forgets: 1,
                leaves: 1,
                newcomers: 1,
                ..World::new(1, &[1], 1).kills(1, 1)
            },
            World::new(2, &[1, 1], 1),
            World::new(1, &[1], 2).kills(1, 0),
        ];
        let larger = World {
            closes: true,
            ..World::new(1, &[1], 2)
        };
        let is_full = std::env::var_os("MODEL_FULL").is_some();
        for world in worlds.into_iter().chain(is_full.then_some(larger)) {
            let (states, fingerprints) = agree(&world);
            println!("{states} states, {fingerprints} fingerprints");
            assert!(fingerprints < states);
        }
    }
}
