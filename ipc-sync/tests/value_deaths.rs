//! Writers of values and arrays are killed and stopped.

mod robust;

use ipc_core::Segment;
use ipc_sync::{Array, Value, WriteError};
use robust::instants::at_every_instant;
use robust::{PATIENCE, Peer, SHORT, kill_at_random, rounds, segment, until};
use std::time::Instant;

type Wide = [u64; 20];

fn open(segment: &Segment) -> Value<Wide> {
    Value::open_in(segment, "value").unwrap()
}

#[test]
fn a_death_at_any_instant_of_a_change_leaves_the_old_value_or_the_new() {
    let mut seen = std::collections::BTreeSet::new();
    let states = at_every_instant(
        |segment| {
            let array =
                Array::<Wide>::create_in(segment, "array", 3, |at| [at as u64; 20]).unwrap();
            (
                Value::<Wide>::create_in(segment, "value", [1; 20]).unwrap(),
                array,
            )
        },
        |segment| {
            (
                open(segment),
                Array::<Wide>::open_in(segment, "array").unwrap(),
            )
        },
        |(value, array)| {
            value.set([2; 20]).unwrap();
            value.update(|old| old.map(|it| it + 1)).unwrap();
            array.set(1, [7; 20]).unwrap();
        },
        |segment| {
            let value = open(segment);
            let whole = |value: Wide| {
                assert!(value.iter().all(|it| *it == value[0]), "torn: {value:?}");
                value[0]
            };
            let array = Array::<Wide>::open_in(segment, "array").unwrap();
            let found = whole(value.get().unwrap());
            let middle = whole(array.get(1).unwrap());
            seen.insert((found, middle));
            segment.recover().unwrap();
            assert_eq!(
                (whole(value.get().unwrap()), whole(array.get(1).unwrap())),
                (found, middle)
            );
            assert_eq!(
                (whole(array.get(0).unwrap()), whole(array.get(2).unwrap())),
                (0, 2)
            );
            // All cells are there for writers: nobody is Busy with a full row of them.
            for round in 10..40 {
                value.try_set([round; 20]).unwrap();
                array
                    .try_set(2, [round; 20])
                    .map_or_else(|error| panic!("{error}"), drop);
                assert_eq!(whole(value.get().unwrap()), round);
            }
            // None of them had another's value.
            let others = [0, 1].map(|at| whole(array.get(at).unwrap()));
            assert_eq!(others, [0, middle]);
        },
    );
    match states {
        None => eprintln!("skipped: this process may not trace"),
        Some(states) => {
            println!("{states} states, {seen:?}");
            let expected = [(1, 1), (2, 1), (3, 1), (3, 7)];
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
        }
    }
}

/// A word of the value in memory.
fn word(segment: &Segment, at: u64) -> u64 {
    use std::os::unix::fs::FileExt;
    let offset = segment.objects().unwrap()[0].offset;
    let mut word = [0; 8];
    std::fs::File::from(segment.descriptor().unwrap())
        .read_exact_at(&mut word, offset + at)
        .unwrap();
    u64::from_ne_bytes(word)
}

/// Whether a writer has the cell.
fn is_held(segment: &Segment, cell: u64) -> bool {
    word(segment, 256 + cell * 168) & 0xFFFF != 0xFFFF
}

/// Whether the value is in a cell that its writer still has.
fn is_between_two_steps(segment: &Segment) -> bool {
    is_held(segment, word(segment, 128) & 0xFF_FFFF)
}

/// Stops a peer that writes for ever, in the middle of writing: it has a cell.
fn stopped_in_the_middle(segment: &Segment) -> Peer {
    let cells_held = || (0..8).filter(|&cell| is_held(segment, cell)).count();
    let before = cells_held();
    let peer = Peer::ready(segment, |segment, line| {
        let value = open(segment);
        line.say(1);
        for round in 10.. {
            value.set([round; 20]).unwrap();
        }
    });
    until("it is stopped in the middle", || {
        peer.stop();
        let in_the_middle = cells_held() > before;
        if !in_the_middle {
            peer.resume();
        }
        in_the_middle
    });
    peer
}

#[test]
fn writers_stopped_in_the_middle_keep_no_reader_and_few_writers_waiting() {
    let segment = segment();
    let value = Value::<Wide>::create_in(&segment, "value", [1; 20]).unwrap();
    let mut stopped = Vec::new();
    for _ in 0..6 {
        stopped.push(stopped_in_the_middle(&segment));
        let seen = value.get().unwrap();
        assert_eq!(seen, [seen[0]; 20]);
        value.try_set([2; 20]).unwrap();
        assert_eq!(value.get().unwrap(), [2; 20]);
    }
    // The last spare cell.
    stopped.push(stopped_in_the_middle(&segment));
    if is_between_two_steps(&segment) {
        // Then the old value's cell is free.
        value.try_set([2; 20]).unwrap();
    }
    let seen = value.get().unwrap();
    assert_eq!(seen, [seen[0]; 20]);
    assert!(matches!(value.try_set([3; 20]), Err(WriteError::Busy)));
    let start = Instant::now();
    let late = value.set_timeout([3; 20], SHORT);
    assert!(matches!(late, Err(WriteError::TimedOut)));
    assert!(start.elapsed() >= SHORT);
    assert_eq!(value.get().unwrap(), seen, "nothing was written");
    // One dies: its cell is another's.
    stopped.pop().unwrap().kill();
    value.set_timeout([3; 20], PATIENCE).unwrap();
    assert_eq!(value.get().unwrap(), [3; 20]);
    // They go on where they were stopped, each with its old value in hand or a new one.
    stopped.iter().for_each(Peer::resume);
    until("somebody goes on", || value.get().unwrap()[0] > 10);
    stopped.into_iter().for_each(Peer::kill);
    segment.recover().unwrap();
    let seen = value.get().unwrap();
    assert_eq!(seen, [seen[0]; 20]);
}

#[test]
fn four_go_on_while_they_are_killed_at_random_again_and_again() {
    let segment = segment();
    let value = Value::<Wide>::create_in(&segment, "value", [0; 20]).unwrap();
    let array = Array::<Wide>::create_in(&segment, "array", 4, |_| [0; 20]).unwrap();
    let body = |segment: &Segment, number: u64| {
        let value = open(segment);
        let array = Array::<Wide>::open_in(segment, "array").unwrap();
        let mut last = 0;
        loop {
            let seen = value.get().unwrap();
            assert_eq!(seen, [seen[0]; 20]);
            assert!(seen[0] >= last);
            last = seen[0];
            value.update(|old| old.map(|it| it + 1)).unwrap();
            array
                .update(number as usize, |old| old.map(|it| it + 1))
                .unwrap();
        }
    };
    kill_at_random(rounds(150), &segment, body, || {
        let before = value.get().unwrap();
        assert_eq!(before, [before[0]; 20]);
        until("somebody goes on", || value.get().unwrap()[0] > before[0]);
    });
    // Each counted once for itself after it had counted once for all, but for its last time.
    let counts: Vec<Wide> = array.to_vec().unwrap();
    let own: u64 = counts.iter().map(|it| it[0]).sum();
    let all = value.get().unwrap()[0];
    assert!(own <= all && all <= own + rounds(150) + 4, "{own} of {all}");
    for _ in 0..20 {
        value.try_set([1; 20]).unwrap();
        array.try_set(3, [1; 20]).unwrap();
    }
    assert_eq!(segment.participants().unwrap().len(), 1);
}
