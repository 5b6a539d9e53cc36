//! What must be possible from every state, whoever stands still for ever there.

use crate::state::*;
use crate::world::{Action, Choice, Outcome, Role, Violation, World};

/// No operation of one process takes more accesses than this once the others stand still.
const MOST_STEPS: u32 = 150;

pub fn check(world: &World, state: &State) -> Outcome {
    // Stores that have left their processor reach memory, whoever stands still.
    let mut settled = *state;
    (0..PROCESSES).for_each(|process| settled.drain(process));
    claims_go_round_in_order(world, &settled)?;
    everybody_finishes_alone(world, &settled)?;
    everybody_gets_what_was_pushed(world, &settled)?;
    full_is_full(world, &settled)?;
    one_may_stand_still(world, &settled)?;
    all_may_die(world, &settled)
}

/// Newcomers search for the border between two laps.
fn claims_go_round_in_order(world: &World, state: &State) -> Outcome {
    let claims = &state.claims[..usize::from(world.slots)];
    let falls = claims.is_sorted_by(|one, next| world.ahead(one.lap, next.lap) >= 0);
    let (first, last) = (claims[0].lap, claims[claims.len() - 1].lap);
    if falls && world.ahead(first, last) <= 1 {
        Ok(())
    } else {
        Err("claims are not in the order of positions".to_owned())
    }
}

fn alive(world: &World, state: &State) -> Vec<usize> {
    (0..world.roles.len())
        .filter(|&index| state.processes[index].life == Life::Alive)
        .collect()
}

/// Ends the operation that a process is in the middle of.
fn finish(world: &World, state: &mut State, process: usize) -> Outcome {
    for _ in 0..MOST_STEPS {
        if state.processes[process].pc == Pc::Idle {
            state.drain(process);
            return Ok(());
        }
        step(world, state, process, Choice::Only)?;
    }
    let pc = state.processes[process].pc;
    Err(format!("P{process} alone does not finish: {pc:?}"))
}

fn step(world: &World, state: &mut State, process: usize, choice: Choice) -> Outcome {
    let process = process as u8;
    world.apply(state, Action::Step { process, choice })
}

/// A whole operation.
fn operate(world: &World, state: &mut State, process: usize, choice: Choice) -> Outcome {
    step(world, state, process, choice)?;
    finish(world, state, process)
}

fn everybody_finishes_alone(world: &World, settled: &State) -> Outcome {
    for process in alive(world, settled) {
        finish(world, &mut settled.clone(), process)?;
    }
    Ok(())
}

/// Each receiver alone, and a newcomer, gets every message whose push has returned, except those
/// that others hold, and then the end, if the stream is closed.
fn everybody_gets_what_was_pushed(world: &World, settled: &State) -> Outcome {
    let consumers = alive(world, settled)
        .into_iter()
        .filter(|&process| world.role(process) == Role::Consumer);
    for consumer in consumers.chain([World::FRESH_CONSUMER]) {
        let mut state = *settled;
        if consumer == World::FRESH_CONSUMER {
            world.come(&mut state, consumer);
        }
        finish(world, &mut state, consumer)?;
        if state.processes[consumer].is_done {
            continue;
        }
        sweep_all(world, &mut state, consumer)?;
        pop_all(world, &mut state, consumer)?;
        // Who gave something back may stand still before it has said so: a receiver looks at all
        // slots again now and then.
        let unsaid = settled
            .processes
            .iter()
            .any(|it| it.pc == Pc::C10Late || it.life == Life::Alive && it.is_sweeping());
        if unsaid && !state.processes[consumer].is_done {
            operate(world, &mut state, consumer, Choice::Afresh)?;
            pop_all(world, &mut state, consumer)?;
        }
        let mut held = 0;
        for (slot, word) in state.words[..usize::from(world.slots)].iter().enumerate() {
            if word.kind == Kind::Reading {
                held |= bit(state.payloads[slot]);
            }
        }
        let missed = state.ledger.returned & !state.ledger.finished & !held;
        if missed != 0 {
            let message = missed.trailing_zeros();
            return Err(crate::trace::after(
                format!("C{consumer} alone finds nothing more, without message {message}"),
                world,
                &state,
            ));
        }
        if state.end != End::Open && held == 0 && !state.processes[consumer].is_done {
            return Err(format!("C{consumer} alone does not come to the end"));
        }
    }
    Ok(())
}

fn pop_all(world: &World, state: &mut State, consumer: usize) -> Outcome {
    loop {
        let before = state.ledger.finished;
        operate(world, state, consumer, Choice::Only)?;
        if state.ledger.finished == before || state.processes[consumer].is_done {
            return Ok(());
        }
    }
}

fn sweep_all(world: &World, state: &mut State, sweeper: usize) -> Outcome {
    match world.dead(state) {
        0 => Ok(()),
        dead => operate(world, state, sweeper, Choice::Sweep { dead }),
    }
}

/// One operation that stands still for ever costs at most one slot.
fn one_may_stand_still(world: &World, settled: &State) -> Outcome {
    if settled.end != End::Open {
        return Ok(());
    }
    for stopped in alive(world, settled) {
        let Process { pc, forgot, .. } = settled.processes[stopped];
        let costs = forgot + u8::from(pc != Pc::Idle);
        if costs == 0 {
            continue;
        }
        let mut state = *settled;
        for other in alive(world, settled) {
            if other != stopped {
                come_to_rest(world, &mut state, other)?;
            }
        }
        fill_and_empty(world, &mut state, world.slots.saturating_sub(costs))?;
    }
    Ok(())
}

/// Ends the operation under way, and gives back what was forgotten.
fn come_to_rest(world: &World, state: &mut State, process: usize) -> Outcome {
    finish(world, state, process)?;
    match state.processes[process].forgot {
        0 => Ok(()),
        _ => operate(world, state, process, Choice::Leave),
    }
}

/// Where nobody is in the middle of anything, full means that no slot is free, but for those whose
/// last lap was made void.
fn full_is_full(world: &World, settled: &State) -> Outcome {
    if settled.end != End::Open {
        return Ok(());
    }
    let mut state = *settled;
    for process in alive(world, settled) {
        come_to_rest(world, &mut state, process)?;
    }
    let producer = World::FRESH_PRODUCER;
    world.come(&mut state, producer);
    finish(world, &mut state, producer)?;
    sweep_all(world, &mut state, producer)?;
    world.no_block_is_lost(&state)?;
    push_all(world, &mut state, producer)?;
    let mut slots = 0..usize::from(world.slots);
    if slots.any(|slot| state.words[slot].is_free() && !state.claims[slot].void) {
        let what = "full, and a slot is free".to_owned();
        return Err(crate::trace::after(what, world, &state));
    }
    Ok(())
}

/// Pushes until the queue is full. How many that were.
fn push_all(world: &World, state: &mut State, producer: usize) -> Result<u8, Violation> {
    for pushed in 0..=world.slots {
        let before = state.ledger.returned;
        operate(world, state, producer, Choice::Only)?;
        if state.ledger.returned == before {
            return Ok(pushed);
        }
    }
    Err(format!("more messages than {} slots", world.slots))
}

/// If all die here, the next to come lose nothing that was committed and have all slots.
fn all_may_die(world: &World, settled: &State) -> Outcome {
    let mut state = *settled;
    for process in alive(world, settled) {
        state.kill(process);
    }
    no_block_is_lost(world, state)?;
    let owed = match state.end {
        End::Open => state.ledger.committed,
        // A commit that finds the stream ended does not return.
        _ => state.ledger.returned,
    };
    if state.end == End::Open {
        fill_and_empty(world, &mut state, world.slots)?;
    } else {
        let consumer = World::FRESH_CONSUMER;
        world.come(&mut state, consumer);
        finish(world, &mut state, consumer)?;
        sweep_all(world, &mut state, consumer)?;
        pop_all(world, &mut state, consumer)?;
    }
    let lost = owed & !state.ledger.finished;
    if lost != 0 {
        let message = lost.trailing_zeros();
        return Err(format!("message {message} is lost when all die"));
    }
    Ok(())
}

fn no_block_is_lost(world: &World, mut state: State) -> Outcome {
    let producer = World::FRESH_PRODUCER;
    world.come(&mut state, producer);
    finish(world, &mut state, producer)?;
    sweep_all(world, &mut state, producer)?;
    world.no_block_is_lost(&state)
}

/// Newcomers sweep, pop all there is, push until full and pop all of it.
fn fill_and_empty(world: &World, state: &mut State, least: u8) -> Outcome {
    let (producer, consumer) = (World::FRESH_PRODUCER, World::FRESH_CONSUMER);
    world.come(state, consumer);
    finish(world, state, consumer)?;
    sweep_all(world, state, consumer)?;
    pop_all(world, state, consumer)?;
    world.come(state, producer);
    finish(world, state, producer)?;
    let pushed = push_all(world, state, producer)?;
    let failed = |what: String| crate::trace::after(what, world, state);
    if pushed < least {
        return Err(failed(format!(
            "full with {pushed} messages in {} slots",
            world.slots
        )));
    }
    pop_all(world, state, consumer)?;
    // Others may come through as well: of one that stands still between its commit and saying so.
    let last = message(producer, pushed);
    let sent = bit(last) - bit(message(producer, 0));
    if sent & !state.ledger.finished != 0 {
        let what = format!("not all of {pushed} messages came through");
        return Err(crate::trace::after(what, world, state));
    }
    Ok(())
}
