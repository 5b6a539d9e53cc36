//! What is reported of locks is true: one that lets two in at a time voids its figure.
//!
//! Without libtest, whose threads would forbid forking.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use benches::case::Case;
use benches::counter::Counter;
use benches::failure::Failure;
use benches::lock::{Count, Lock, Pass};
use benches::measure::{Measure, Placement, Taken};
use benches::runner::{self, Settings};
use benches::shared::{ForkShared, Shared};
use benches::{contenders, cpu};
use nix::errno::Errno;
use nix::sys::wait::waitpid;

fn main() {
    let tests: [(&str, fn()); 4] = [
        ("every_contender_counts_right", every_contender_counts_right),
        (
            "a_lock_that_keeps_nobody_out_voids_the_figure",
            a_lock_that_keeps_nobody_out_voids_the_figure,
        ),
        (
            "a_lock_that_fails_is_reported",
            a_lock_that_fails_is_reported,
        ),
        (
            "a_pass_takes_as_long_as_it_takes",
            a_pass_takes_as_long_as_it_takes,
        ),
    ];
    for (name, test) in tests {
        test();
        assert_eq!(
            waitpid(None, None),
            Err(Errno::ECHILD),
            "{name} left a process behind"
        );
        println!("test {name} ... ok");
    }
}

fn settings() -> Settings {
    let cpus = cpu::allowed().expect("the system tells the CPUs");
    Settings {
        cpus: [cpus[0], *cpus.last().expect("there is a CPU")],
        budget: Duration::from_millis(10),
        // Long enough for a loaded machine.
        limit: Duration::from_secs(60),
    }
}

const COUNTER: Measure = Measure::Counter {
    contenders: 4,
    placement: Placement::Bound,
};

fn every_contender_counts_right() {
    let mut cases = contenders::all();
    cases.retain(|case| case.measure.key().starts_with("sync"));
    assert_eq!(cases.len(), 33);
    for case in cases {
        let name = format!("{} {}", case.measure.key(), case.contender);
        let sample = runner::run(&case, &settings());
        let sample = sample.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert_eq!(sample.figures.len(), case.measure.metrics().len(), "{name}");
        assert!(sample.figures.iter().all(|&figure| figure > 0.0), "{name}");
    }
}

fn a_lock_that_keeps_nobody_out_voids_the_figure() {
    for case in [
        Case::in_process_crew::<Counter<Open>, 4, 1>(COUNTER, "test"),
        Case::in_thread_crew::<Counter<Open>, 4, 1>(COUNTER, "test"),
    ] {
        let failure = runner::run(&case, &settings()).expect_err("additions are lost");
        assert!(failure.to_string().contains("void"), "{failure}");
    }
}

/// A number, and nothing that protects it.
struct Open(Arc<Shared<Number>>);

#[derive(Default)]
struct Number(AtomicU64);

// SAFETY: an atomic, no pointers.
unsafe impl ForkShared for Number {}

impl Lock for Open {
    type Handle = Self;

    fn how() -> String {
        String::new()
    }

    fn create() -> Result<Self, Failure> {
        Ok(Self(Arc::new(Shared::new()?)))
    }

    fn handle(&self) -> Result<Self, Failure> {
        Ok(Self(Arc::clone(&self.0)))
    }
}

impl Pass for Open {
    fn pass(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Count for Open {
    fn add_one(&mut self) -> Result<(), Failure> {
        let number = self.0.0.load(Ordering::Relaxed);
        self.0.0.store(black_box(number) + 1, Ordering::Relaxed);
        Ok(())
    }

    fn count(&mut self) -> Result<u64, Failure> {
        Ok(self.0.0.load(Ordering::Relaxed))
    }
}

fn a_lock_that_fails_is_reported() {
    for case in [
        Case::alone::<Failing>(Measure::Uncontended(Taken::Mutex), "test"),
        Case::in_process_crew::<Counter<Failing>, 4, 1>(COUNTER, "test"),
    ] {
        let failure = runner::run(&case, &settings()).expect_err("it fails");
        assert!(failure.to_string().contains("taken twice"), "{failure}");
    }
}

struct Failing;

impl Lock for Failing {
    type Handle = Self;

    fn how() -> String {
        String::new()
    }

    fn create() -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handle(&self) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl Pass for Failing {
    fn pass(&mut self) -> Result<(), Failure> {
        Err(Failure::EndTaken)
    }
}

impl Count for Failing {
    fn add_one(&mut self) -> Result<(), Failure> {
        self.pass()
    }

    fn count(&mut self) -> Result<u64, Failure> {
        Ok(0)
    }
}

fn a_pass_takes_as_long_as_it_takes() {
    let case = Case::alone::<Slow>(Measure::Uncontended(Taken::Mutex), "test");
    let sample = runner::run(&case, &settings()).expect("it gives a figure");
    let least = SLOW.as_nanos() as f64;
    assert!(
        sample.figures[0] >= least,
        "{} ns is less than {least}",
        sample.figures[0]
    );
    // Of the stretches, most are interrupted by nobody, or at least not for longer than they take.
    assert!(
        sample.figures[0] < 100.0 * least,
        "{} ns",
        sample.figures[0]
    );
}

const SLOW: Duration = Duration::from_micros(5);

struct Slow;

impl Lock for Slow {
    type Handle = Self;

    fn how() -> String {
        String::new()
    }

    fn create() -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handle(&self) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl Pass for Slow {
    fn pass(&mut self) -> Result<(), Failure> {
        let start = std::time::Instant::now();
        while start.elapsed() < SLOW {}
        Ok(())
    }
}
