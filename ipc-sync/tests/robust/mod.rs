//! What the tests of several primitives need. Each test program uses a part of it.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod instants;
pub mod peer;

#[allow(unused_imports, reason = "each test program uses some of it")]
pub use peer::{Line, Peer};
#[allow(unused_imports, reason = "each test program uses some of it")]
pub use test_kit::{
    forked::Forked,
    patience::{PATIENCE, is_prompt, until},
    random::Random,
    scratch::Scratch,
};

use ipc_core::{Place, SLICE, Segment, Wait};
use std::time::Duration;

/// A time-out that is to pass.
pub const SHORT: Duration = Duration::from_millis(20);
/// In which what a death left is found, with time for the kill itself.
pub const TWO_SLICES: Duration = SLICE
    .saturating_mul(2)
    .saturating_add(Duration::from_millis(5));
pub const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

pub fn segment() -> Segment {
    Segment::builder(Place::memfd("test"))
        .handles(64)
        .size(256 << 10)
        .create()
        .unwrap()
}

/// How often a soak repeats: `SYNC_ROUNDS`, or a few.
pub fn rounds(few: u64) -> u64 {
    test_kit::random::from_env("SYNC_ROUNDS", few)
}

/// Kills and replaces four workers at random moments for some rounds. `body` is told the worker's
/// number. After each death, `check` looks at what is left; the other three go on meanwhile.
pub fn kill_at_random(
    kills: u64,
    segment: &Segment,
    body: impl Fn(&Segment, u64),
    mut check: impl FnMut(),
) {
    let mut random = Random::seeded("SYNC_SEED");
    let start = |number| {
        Peer::start(segment, |segment, line| {
            line.say(0);
            body(segment, number);
        })
    };
    let mut peers: Vec<Peer> = (0..4).map(start).collect();
    peers
        .iter()
        .for_each(|peer| assert_eq!(peer.line.hear(), 0));
    for _ in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(2_000)));
        let victim = random.below(4);
        let peer = &mut peers[victim as usize];
        std::mem::replace(peer, start(victim)).kill();
        assert_eq!(peer.line.hear(), 0);
        check();
    }
    peers.into_iter().for_each(Peer::kill);
    segment.recover().unwrap();
}
