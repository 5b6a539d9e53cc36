//! A runner that hangs, dies, panics or has a failed peer is reported, and leaves nothing behind.
//!
//! Without libtest, whose threads would forbid forking.

use std::fs;
use std::time::{Duration, Instant};

use benches::case::{Case, Context, Peers, Sample};
use benches::channel::{Channel, ReceiveItem, SendItem};
use benches::failure::Failure;
use benches::measure::Measure;
use benches::runner::{self, Settings};
use benches::workloads::OneWay;
use benches::{cpu, fork};
use nix::errno::Errno;
use nix::sys::wait::waitpid;

fn main() {
    let tests: [(&str, fn()); 8] = [
        ("a_sample_comes_back", a_sample_comes_back),
        (
            "a_hung_runner_and_its_peer_are_killed",
            a_hung_runner_and_its_peer_are_killed,
        ),
        ("a_panic_is_reported", a_panic_is_reported),
        (
            "a_runner_killed_by_a_signal_is_reported",
            a_runner_killed_by_a_signal_is_reported,
        ),
        (
            "a_failed_process_peer_is_reported_at_once",
            a_failed_process_peer_is_reported_at_once,
        ),
        (
            "a_failed_thread_peer_is_reported_at_once",
            a_failed_thread_peer_is_reported_at_once,
        ),
        ("a_lost_item_voids_the_figure", a_lost_item_voids_the_figure),
        (
            "forking_with_threads_is_refused",
            forking_with_threads_is_refused,
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

fn settings(limit: Duration) -> Settings {
    let cpus = cpu::allowed().expect("the system tells the CPUs");
    Settings {
        cpus: [cpus[0], *cpus.last().expect("there is a CPU")],
        budget: Duration::from_millis(5),
        limit,
    }
}

/// Long enough for a loaded machine, and far from what the tests below wait for.
const PATIENT: Duration = Duration::from_secs(60);

fn case(run: fn(&Context<'_>) -> Result<Sample, Failure>) -> Case {
    Case {
        measure: Measure::OneWay,
        contender: "test",
        peers: Peers::Processes,
        how: String::new,
        target: None,
        run,
    }
}

fn fails(case: Case, limit: Duration) -> Failure {
    runner::run(&case, &settings(limit)).expect_err("this case gives no figure")
}

fn a_sample_comes_back() {
    let case = case(|context| {
        fs::write(context.scratch.join("file"), "x").map_err(Failure::system("write"))?;
        Ok(Sample {
            figures: vec![1.5, 2.5],
            distances: [100.0, 101.0],
        })
    });
    let before = scratch_directories();
    let sample = runner::run(&case, &settings(PATIENT)).expect("the case gives figures");
    assert_eq!(sample.figures, [1.5, 2.5]);
    assert_eq!(scratch_directories(), before);
}

fn a_hung_runner_and_its_peer_are_killed() {
    let case = case(|context| {
        fork::spawn(|| {
            loop {
                std::thread::park();
            }
        })?;
        fs::write(context.scratch.join("file"), "x").map_err(Failure::system("write"))?;
        loop {
            std::thread::park();
        }
    });
    let before = scratch_directories();
    let limit = Duration::from_millis(200);
    let start = Instant::now();
    let failure = fails(case, limit);
    assert!(matches!(failure, Failure::Hung { .. }), "{failure}");
    assert!(start.elapsed() >= limit);
    assert_eq!(scratch_directories(), before);
}

fn a_panic_is_reported() {
    let failure = fails(case(|_| panic!("out of order")), PATIENT);
    assert!(failure.to_string().contains("out of order"), "{failure}");
}

fn a_runner_killed_by_a_signal_is_reported() {
    let case = case(|_| {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)
            .map_err(Failure::errno("raise"))?;
        Err(Failure::EndedEarly)
    });
    let failure = fails(case, PATIENT);
    assert!(matches!(failure, Failure::Died { .. }), "{failure}");
    assert!(failure.to_string().contains("SIGKILL"), "{failure}");
}

fn a_failed_process_peer_is_reported_at_once() {
    failed_peer(Case::in_processes::<OneWay<Faulty<true>>>(
        Measure::OneWay,
        "test",
    ));
}

fn a_failed_thread_peer_is_reported_at_once() {
    failed_peer(Case::in_threads::<OneWay<Faulty<true>>>(
        Measure::OneWay,
        "test",
    ));
}

/// The runner waits for items in vain, so that only the peer's own report can tell.
fn failed_peer(case: Case) {
    let failure = fails(case, PATIENT);
    assert!(matches!(failure, Failure::Reported { .. }), "{failure}");
    assert!(failure.to_string().contains("taken twice"), "{failure}");
}

fn a_lost_item_voids_the_figure() {
    let case = Case::in_threads::<OneWay<Faulty<false>>>(Measure::OneWay, "test");
    let failure = fails(case, PATIENT);
    assert!(failure.to_string().contains("void"), "{failure}");
}

fn forking_with_threads_is_refused() {
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || stopped.recv());
        let refused = fork::spawn(|| 0);
        assert!(matches!(refused, Err(Failure::Threads { threads: 2 })));
        drop(stop);
    });
}

fn scratch_directories() -> Vec<String> {
    let prefix = "side-by-side-";
    let mut names: Vec<String> = fs::read_dir(std::env::temp_dir())
        .expect("the directory for temporary files can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

/// Sends nothing and fails, or receives something else than was sent.
struct Faulty<const SENDER_FAILS: bool>;

/// Its ends.
struct End<const SENDER_FAILS: bool>;

impl<const SENDER_FAILS: bool> Channel for Faulty<SENDER_FAILS> {
    type Sender = End<SENDER_FAILS>;
    type Receiver = End<SENDER_FAILS>;

    fn how() -> String {
        String::new()
    }

    fn create(_scratch: &std::path::Path) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        Ok(End)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        Ok(End)
    }
}

impl<const SENDER_FAILS: bool> SendItem for End<SENDER_FAILS> {
    fn send(&mut self, _item: u64) -> Result<(), Failure> {
        if SENDER_FAILS {
            return Err(Failure::EndTaken);
        }
        Ok(())
    }
}

impl<const SENDER_FAILS: bool> ReceiveItem for End<SENDER_FAILS> {
    fn receive(&mut self) -> Result<u64, Failure> {
        if SENDER_FAILS {
            loop {
                std::hint::spin_loop();
            }
        }
        Ok(7)
    }
}
