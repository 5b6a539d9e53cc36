//! Searches: every schedule of a small world, or random schedules of a larger one.

use crate::invariants::check;
use crate::state::State;
use crate::trace::Trace;
use crate::world::{Action, Violation, World};
use std::hash::{Hash, Hasher};

/// How a search ended.
pub struct Found {
    pub states: u64,
    pub transitions: u64,
    /// States from which all that must be possible was tried.
    pub checked: u64,
    pub violation: Option<Trace>,
}

/// Visits every state that can be reached, shortest way first, and tries from one in `sample` of
/// them all that must be possible from all.
///
/// States are known by fingerprints of 64 bits: at ten million states the chance that any two share
/// one, and a state is missed, is below one in 300,000.
pub fn everything(world: &World, sample: u64) -> Found {
    let start = world.start();
    let mut visited = Fingerprints::new();
    let mut found = Found {
        states: 1,
        transitions: 0,
        checked: 0,
        violation: None,
    };
    visited.insert(fingerprint(world, &start), 0);
    let mut layer = vec![start];
    let mut next_layer = Vec::new();
    while !layer.is_empty() {
        for state in &layer {
            let here = fingerprint(world, state);
            let mut failed: Option<(Option<Action>, Violation)> = None;
            if here.is_multiple_of(sample) {
                found.checked += 1;
                failed = check(world, state).err().map(|violation| (None, violation));
            }
            world.actions(state, |action| {
                if failed.is_some() {
                    return;
                }
                let mut next = *state;
                found.transitions += 1;
                if let Err(violation) = world.apply(&mut next, action) {
                    failed = Some((Some(action), violation));
                } else if visited.insert(fingerprint(world, &next), here) {
                    next_layer.push(next);
                }
            });
            if let Some((action, violation)) = failed {
                let mut steps = retrace(world, &visited, here);
                steps.extend(action.map(|action| (action, *state)));
                found.violation = Some(Trace {
                    violation,
                    steps,
                    slots: world.slots,
                });
                return found;
            }
        }
        found.states += next_layer.len() as u64;
        layer.clear();
        std::mem::swap(&mut layer, &mut next_layer);
    }
    found
}

/// Walks again from the start to the state with this fingerprint.
fn retrace(world: &World, visited: &Fingerprints, goal: u64) -> Vec<(Action, State)> {
    let mut way = vec![goal];
    while let Some(&last) = way.last()
        && visited.parent(last) != 0
    {
        way.push(visited.parent(last));
    }
    let mut state = world.start();
    let mut steps = Vec::new();
    for &goal in way.iter().rev().skip(1) {
        let mut taken = None;
        world.actions(&state, |action| {
            let mut next = state;
            let is_it = world.apply(&mut next, action).is_ok() && fingerprint(world, &next) == goal;
            if is_it && taken.is_none() {
                taken = Some((action, next));
            }
        });
        let (action, next) = taken.expect("the way was found before");
        steps.push((action, next));
        state = next;
    }
    steps
}

/// Plays random schedules from the start, `steps` steps in all, and tries what must be possible
/// once in `sample` steps. In each schedule some processes are much slower than others: protocols
/// like this one break by somebody who stands still for long.
pub fn at_random(world: &World, steps: u64, sample: u64, seed: u64) -> Found {
    let mut random = Random(seed | 1);
    let mut found = Found {
        states: 0,
        transitions: 0,
        checked: 0,
        violation: None,
    };
    while found.transitions < steps {
        let mut state = world.start();
        let mut trace = Vec::new();
        let mut weights = [0; crate::state::PROCESSES];
        weights.fill_with(|| [1, 1, 16, 64, 256][random.below(5) as usize]);
        let drain_weight = [1, 8, 64][random.below(3) as usize];
        let kill_weight = [1, 1, 8][random.below(3) as usize];
        // Consumers never run out of work: a schedule ends when it has been long enough.
        for _ in 0..400 {
            if random.below(64) == 0 {
                let slow = random.below(world.roles.len() as u64) as usize;
                weights[slow] = [1, 16, 256][random.below(3) as usize];
            }
            let mut actions = Vec::new();
            let mut total = 0;
            world.actions(&state, |action| {
                total += match action {
                    Action::Step { process, .. } => 4 * weights[usize::from(process)],
                    Action::Drain { .. } => drain_weight,
                    Action::Kill { .. } => kill_weight,
                    Action::Join { .. } => 64,
                    Action::Close => 1,
                };
                actions.push((action, total));
            });
            if actions.is_empty() || world.is_over(&state) && random.below(16) == 0 {
                break;
            }
            let drawn = random.below(total);
            let (action, _) = actions[actions.partition_point(|&(_, upto)| upto <= drawn)];
            found.transitions += 1;
            let before = state;
            let outcome = world.apply(&mut state, action);
            trace.push((action, if outcome.is_ok() { state } else { before }));
            let outcome = outcome.and_then(|()| {
                if random.below(sample) == 0 {
                    found.checked += 1;
                    check(world, &state)
                } else {
                    Ok(())
                }
            });
            if let Err(violation) = outcome {
                let steps = trace;
                found.violation = Some(Trace {
                    violation,
                    steps,
                    slots: world.slots,
                });
                return found;
            }
        }
    }
    found
}

fn fingerprint(world: &World, state: &State) -> u64 {
    let (slots, processes) = (usize::from(world.slots), world.roles.len());
    let mut hasher = Mixer(0);
    state.claims[..slots].hash(&mut hasher);
    state.words[..slots].hash(&mut hasher);
    hasher.write(&state.payloads[..slots]);
    (
        state.late,
        state.end,
        state.tail,
        state.head,
        state.head_seen,
    )
        .hash(&mut hasher);
    state.processes[..processes].hash(&mut hasher);
    state.ledger.hash(&mut hasher, processes);
    hasher.finish().max(1)
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

/// Fingerprints of the states met, each with that of the state it was first reached from: an open
/// table of pairs.
struct Fingerprints {
    pairs: Vec<(u64, u64)>,
    used: usize,
}

impl Fingerprints {
    fn new() -> Self {
        Self {
            pairs: vec![(0, 0); 1 << 16],
            used: 0,
        }
    }

    fn insert(&mut self, key: u64, parent: u64) -> bool {
        if self.used * 3 > self.pairs.len() * 2 {
            let old = std::mem::take(&mut self.pairs);
            self.pairs = vec![(0, 0); old.len() * 2];
            self.used = 0;
            for (key, parent) in old.into_iter().filter(|&(key, _)| key != 0) {
                self.insert(key, parent);
            }
        }
        let at = self.place(key);
        let is_new = self.pairs[at].0 == 0;
        if is_new {
            self.pairs[at] = (key, parent);
            self.used += 1;
        }
        is_new
    }

    fn place(&self, key: u64) -> usize {
        let mask = self.pairs.len() - 1;
        let mut at = key as usize & mask;
        while self.pairs[at].0 != 0 && self.pairs[at].0 != key {
            at = (at + 1) & mask;
        }
        at
    }

    fn parent(&self, key: u64) -> u64 {
        self.pairs[self.place(key)].1
    }
}

/// xorshift64*: schedules that can be repeated from their seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
