//! All interleavings of the bell's handshake, weak memory included: no wake is lost.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test -p ipc-core --test loom_bell --release
//! ```
//!
//! Sleeps have no time-out here, so a lost wake is a deadlock, which loom reports.
//! Values are published and looked for with relaxed orderings, so that the bell's own fences are
//! all that orders them.

#![cfg(loom)]

use ipc_core::{Bell, Deadline, Fences, Wait};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use loom::thread;

struct Post {
    bell: Bell,
    value: AtomicU32,
}

impl Post {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            bell: Bell::new(),
            value: AtomicU32::new(0),
        })
    }

    fn publish(&self) {
        self.value.fetch_add(1, Relaxed);
        self.bell.ring(Fences::Symmetric);
    }

    fn publish_by_store(&self, value: u32) {
        self.value.store(value, Relaxed);
        self.bell.ring(Fences::Symmetric);
    }

    fn wait_for(&self, value: u32) {
        let ready = || (self.value.load(Relaxed) >= value).then_some(());
        let slice = || Ok::<(), ()>(());
        let waited = self
            .bell
            .wait(Wait::Park, Fences::Symmetric, Deadline::NEVER, ready, slice);
        assert_eq!(waited, Ok(Some(())));
    }
}

fn publisher(post: &Arc<Post>) -> thread::JoinHandle<()> {
    let post = post.clone();
    thread::spawn(move || post.publish())
}

#[test]
fn one_waiter_and_one_publisher() {
    loom::model(|| {
        let post = Post::new();
        let other = post.clone();
        let publisher = thread::spawn(move || other.publish_by_store(1));
        post.wait_for(1);
        publisher.join().unwrap();
    });
}

#[test]
fn one_waiter_and_two_publishers() {
    loom::model(|| {
        let post = Post::new();
        let publishers = [publisher(&post), publisher(&post)];
        post.wait_for(2);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn two_waiters_and_one_publisher() {
    loom::model(|| {
        let post = Post::new();
        let other = post.clone();
        let waiter = thread::spawn(move || other.wait_for(1));
        let publisher = publisher(&post);
        post.wait_for(1);
        waiter.join().unwrap();
        publisher.join().unwrap();
    });
}

#[test]
fn two_waiters_for_different_values() {
    loom::model(|| {
        let post = Post::new();
        let other = post.clone();
        let waiter = thread::spawn(move || other.wait_for(2));
        let other = post.clone();
        let publisher = thread::spawn(move || {
            other.publish_by_store(1);
            other.publish_by_store(2);
        });
        post.wait_for(1);
        waiter.join().unwrap();
        publisher.join().unwrap();
    });
}

#[test]
fn each_waits_for_the_other_in_turn() {
    loom::model(|| {
        let there = Post::new();
        let back = Post::new();
        let (question, answer) = (there.clone(), back.clone());
        let answerer = thread::spawn(move || {
            question.wait_for(1);
            answer.publish_by_store(1);
        });
        there.publish_by_store(1);
        back.wait_for(1);
        answerer.join().unwrap();
    });
}
