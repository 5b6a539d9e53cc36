//! Memory that a broken or hostile peer has written to: every call comes back, with an error or a
//! wrong value, and touches nothing outside the queue.

mod common;
mod mpmc_common;

use ipc_queue::mpmc::Queue;
use mpmc_common::peer::Peer;
use mpmc_common::raw::Raw;
use mpmc_common::{Random, from_env, unnamed};
use std::time::{Duration, Instant};

/// Words as they might be, and as they might not.
fn some_word(random: &mut Random) -> u64 {
    let lap = match random.below(4) {
        0 => random.below(4),
        1 => (1 << 44) - random.below(4),
        2 => random.below(1 << 44),
        _ => 1,
    };
    match random.below(5) {
        0 => random.below(8),
        1 => random.below(u64::MAX),
        2 => 0,
        _ => lap << 20 | random.below(3) << 6 | random.below(8),
    }
}

fn use_it(queue: &Queue<u64>) {
    let start = Instant::now();
    let (tx, rx) = (queue.sender(), queue.receiver());
    if let Ok(mut tx) = tx {
        for number in 0..6 {
            let _ = tx.try_push(number);
            let _ = tx.push_timeout(number, Duration::from_micros(50));
            let _ = tx.try_push_slice(&[number; 3]);
            drop(tx.try_reserve());
            if number == 3 {
                std::mem::forget(tx.try_reserve());
            }
        }
    }
    if let Ok(mut rx) = rx {
        for number in 0..6 {
            let _ = rx.try_pop();
            let _ = rx.pop_timeout(Duration::from_micros(50));
            let _ = rx.try_pop_slice(&mut [0; 3]);
            if let Ok(Some(message)) = rx.try_take() {
                if number == 3 {
                    message.release_back();
                } else if number == 4 {
                    std::mem::forget(message);
                }
            }
        }
    }
    if let Ok(mut rx) = queue.receiver() {
        for number in 0..4 {
            if let Ok(Some(messages)) = rx.try_take_slice(3) {
                let _ = messages.iter().map(|it| *it.get()).max();
                match number {
                    2 => messages.release_back(),
                    3 => std::mem::forget(messages),
                    _ => {}
                }
            }
            let _ = rx.take_slice_timeout(3, Duration::from_micros(50));
        }
    }
    let _ = queue.len();
    let _ = queue.is_empty();
    let _ = queue.is_full();
    let _ = queue.is_closed();
    let _ = queue.stats();
    let _ = queue.segment().recover();
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// Damages some words.
fn scribble(random: &mut Random, raw: &Raw, capacity: u64) {
    for _ in 0..1 + random.below(6) {
        let word = match random.below(6) {
            0 => random.below(5) * 128,
            1 => 256 + random.below(8) * 8,
            2 | 3 => raw.claim(random.below(capacity)),
            4 => raw.slot(random.below(capacity)),
            _ => random.below(raw.len / 8) * 8,
        };
        raw.set(word, some_word(random));
    }
}

#[test]
fn every_call_comes_back_from_damaged_words() {
    for seed in 0..from_env("MPMC_FUZZ", 40) {
        let mut random = Random::new(seed);
        let capacity = 1 + random.below(5);
        let queue = unnamed::<u64>(capacity as usize);
        let raw = Raw::of(&queue);
        use_it(&queue);
        for _ in 0..3 {
            scribble(&mut random, &raw, capacity);
            use_it(&queue);
        }
    }
}

/// Between any two steps, at any time: what was looked at is not what is there.
#[cfg(target_arch = "x86_64")]
#[test]
fn every_call_comes_back_from_words_damaged_meanwhile() {
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use test_kit::forked::Forked;
    use test_kit::stepper::run_to;

    let mut stopped = 0;
    let rounds = from_env("MPMC_FUZZ", 40);
    for seed in 0..rounds {
        let mut random = Random::new(1000 + seed);
        let capacity = 1 + random.below(5);
        let queue = unnamed::<u64>(capacity as usize);
        let raw = Raw::of(&queue);
        let segment = queue.segment().descriptor().unwrap();
        let at = random.below(1500);
        let victim = Forked::run(|| {
            let queue = Queue::open(segment).unwrap();
            run_to("memfd:test", at, Signal::SIGSTOP, || use_it(&queue));
            0
        });
        let pid = victim.pid();
        match waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap() {
            WaitStatus::Stopped(..) => stopped += 1,
            end => panic!("step {at} of seed {seed}: {end:?}"),
        }
        scribble(&mut random, &raw, capacity);
        kill(pid, Signal::SIGCONT).unwrap();
        assert_eq!(victim.join(), Ok(0), "step {at} of seed {seed}");
        use_it(&queue);
    }
    assert_eq!(stopped, rounds);
}

#[test]
fn every_call_comes_back_while_somebody_scribbles() {
    let queue = unnamed::<u64>(3);
    let scribbler = Peer::start(&queue, |queue, line| {
        let raw = Raw::of(queue);
        let mut random = Random::new(7);
        line.say([0, 0]);
        loop {
            let word = match random.below(3) {
                0 => raw.claim(random.below(3)),
                1 => raw.slot(random.below(3)),
                _ => random.below(36) * 8,
            };
            raw.set(word, some_word(&mut random));
        }
    });
    scribbler.hear();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        use_it(&queue);
    }
    scribbler.kill();
}

/// What is outside the queue is untouched by its users, whatever its words say.
#[test]
fn a_neighbour_is_never_touched() {
    let segment = mpmc_common::segment(1 << 20);
    let queue = Queue::<u64>::create_in(&segment, "queue", 2).unwrap();
    let neighbour = Queue::<u64>::create_in(&segment, "neighbour", 2).unwrap();
    neighbour.sender().unwrap().push(77).unwrap();
    let object = &segment.objects().unwrap()[0];
    assert_eq!(object.name, "queue");
    let raw = Raw::of(&queue);
    let mut random = Random::new(3);
    for _ in 0..30 {
        for word in 0..40 {
            raw.set(word * 8, some_word(&mut random));
        }
        for index in 0..2 {
            raw.set(raw.claim(index), some_word(&mut random));
            raw.set(raw.slot(index), some_word(&mut random));
        }
        use_it(&queue);
    }
    assert_eq!(neighbour.receiver().unwrap().try_pop().unwrap(), Some(77));
}
