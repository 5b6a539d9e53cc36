//! Searches: every schedule of a small world, or random schedules of a larger one.

use crate::fingerprint::{Fingerprints, fingerprint};
use crate::invariants::check;
use crate::progress::Progress;
use crate::schedule::Schedule;
use crate::state::State;
use crate::trace::Trace;
use crate::world::{Action, Violation, World};

/// How a search ended.
#[derive(Debug)]
pub struct Found {
    /// Different states that were reached; 0 of random schedules, which do not count them.
    pub states: u64,
    /// Actions that were taken.
    pub transitions: u64,
    /// States from which all that must be possible was tried.
    pub checked: u64,
    /// The first thing that went wrong, if any did.
    pub violation: Option<Trace>,
}

/// Visits every state that can be reached, shortest way first, and tries from one in `sample` of
/// them all that must be possible from all.
///
/// States are known by fingerprints of 64 bits: at ten million states the chance that any two share
/// one, and a state is missed, is below one in 300,000.
pub fn everything(world: &World, sample: u64) -> Found {
    let mut progress = Progress::of("states");
    let start = world.start();
    let mut visited = Fingerprints::new(fingerprint(world, &start));
    let mut found = Found {
        states: 1,
        transitions: 0,
        checked: 0,
        violation: None,
    };
    let mut layer = vec![start];
    let mut next_layer = Vec::new();
    while !layer.is_empty() {
        let first = found.states - layer.len() as u64;
        for (number, state) in (first as u32..).zip(&layer) {
            progress.show(number.into());
            let mut failed: Option<(Option<Action>, Violation)> = None;
            if visited.key(number).is_multiple_of(sample) {
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
                } else if visited.insert(fingerprint(world, &next), number) {
                    next_layer.push(next);
                }
            });
            if let Some((action, violation)) = failed {
                let mut steps = retrace(world, &visited.way_to(number));
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

/// Walks again from the start along states with these fingerprints.
fn retrace(world: &World, way: &[u64]) -> Vec<(Action, State)> {
    let mut state = world.start();
    let mut steps = Vec::new();
    for &goal in way {
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
    let mut progress = Progress::of("steps");
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
                    Action::Ask { .. } => 16,
                };
                actions.push((action, total));
            });
            if actions.is_empty() || world.is_over(&state) && random.below(16) == 0 {
                break;
            }
            let drawn = random.below(total);
            let (action, _) = actions[actions.partition_point(|&(_, upto)| upto <= drawn)];
            found.transitions += 1;
            progress.show(found.transitions);
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

/// Goes a way that is known, and tries from each state on it what must be possible. What cannot
/// happen there is left out: the way is that of another world, which has other rules.
pub fn replay(world: &World, schedule: &Schedule) -> Option<Trace> {
    let mut state = world.start();
    let mut steps = Vec::new();
    for &action in &schedule.0 {
        let mut is_possible = false;
        world.actions(&state, |possible| is_possible |= possible == action);
        if !is_possible {
            continue;
        }
        let before = state;
        let applied = world.apply(&mut state, action);
        steps.push((action, if applied.is_ok() { state } else { before }));
        if let Err(violation) = applied.and_then(|()| check(world, &state)) {
            return Some(Trace {
                violation,
                steps,
                slots: world.slots,
            });
        }
    }
    None
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
