//! What the tests of several primitives need. Each test program uses a part of it.
#![allow(dead_code, reason = "each test program uses some of it")]

#[path = "../common/forked.rs"]
mod forked;
pub mod instants;
pub mod peer;
#[path = "../common/stepped.rs"]
mod stepped;

pub use forked::Forked;
#[allow(unused_imports, reason = "each test program uses some of it")]
pub use peer::{Line, Peer};

use ipc_core::{Place, Segment, Wait};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// A time-out that is to pass.
pub const SHORT: Duration = Duration::from_millis(20);
pub const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

pub fn segment() -> Segment {
    Segment::builder(Place::memfd("test"))
        .handles(64)
        .size(256 << 10)
        .create()
        .unwrap()
}

/// Polls for what another process does without telling anybody.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// A quarter of these took no longer. On a busy machine the others may have waited for a core as
/// well.
pub fn undisturbed(what: &str, mut delays: Vec<Duration>) -> Duration {
    delays.sort();
    println!("{what}: {delays:?}");
    delays[delays.len() / 4]
}

/// A fresh random number each time.
pub struct Random(u64);

impl Random {
    pub fn new(what: &str) -> Self {
        let seed = match std::env::var("SYNC_SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => u64::from(std::process::id()),
        };
        println!("{what}: SYNC_SEED={seed}");
        Self(seed | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// How often a soak repeats: `SYNC_ROUNDS`, or a few.
pub fn rounds(few: u64) -> u64 {
    std::env::var("SYNC_ROUNDS").map_or(few, |rounds| rounds.parse().unwrap())
}

/// A directory in `/dev/shm`, removed with all its contents when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ipc-sync-test-{}-{count}", std::process::id());
        let path = Path::new("/dev/shm").join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Kills and replaces four workers at random moments for some rounds. `body` is told the worker's
/// number. After each death, `check` looks at what is left; the other three go on meanwhile.
pub fn kill_at_random(
    what: &str,
    kills: u64,
    segment: &Segment,
    body: impl Fn(&Segment, u64),
    mut check: impl FnMut(),
) {
    let mut random = Random::new(what);
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
