//! What is measured of messages of bytes is true: every contender delivers them all as they were sent, and
//! one that does not gives no figure.
//!
//! Without libtest, whose threads would forbid forking.

use std::path::Path;
use std::time::Duration;

use benches::bytes::{HandOver, ReceiveBatch, ReceiveBytes, SendBatch, SendBytes, TakeOver};
use benches::case::{Case, Context};
use benches::channel::Channel;
use benches::failure::Failure;
use benches::measure::{Handover, Measure};
use benches::runner::{self, Settings};
use benches::workloads::{Batches, Messages, Untouched};
use benches::{contenders, cpu};
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::getppid;

fn main() {
    let tests: [(&str, fn()); 3] = [
        (
            "every_contender_delivers_everything",
            every_contender_delivers_everything,
        ),
        (
            "a_wrong_message_voids_the_figure",
            a_wrong_message_voids_the_figure,
        ),
        (
            "shared_memory_goes_with_the_measurement",
            shared_memory_goes_with_the_measurement,
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

/// Long enough for a loaded machine.
const PATIENT: Duration = Duration::from_secs(60);

fn settings() -> Settings {
    let cpus = cpu::allowed().expect("the system tells the CPUs");
    Settings {
        cpus: [cpus[0], *cpus.last().expect("there is a CPU")],
        budget: Duration::from_millis(2),
        limit: PATIENT,
    }
}

fn every_contender_delivers_everything() {
    let cases: Vec<Case> = contenders::all()
        .into_iter()
        .filter(|case| case.measure.key().starts_with("bytes"))
        .collect();
    assert!(cases.len() > 30, "there are {}", cases.len());
    for case in cases {
        let sample = runner::run(&case, &settings()).unwrap_or_else(|failure| {
            panic!("{} of {}: {failure}", case.contender, case.measure.key())
        });
        assert!(sample.figures.iter().all(|&figure| figure > 0.0));
    }
}

fn a_wrong_message_voids_the_figure() {
    let bytes = Measure::Bytes {
        length: 64,
        room: 8,
    };
    let untouched = Measure::BytesUntouched(Handover::Spsc);
    for case in [
        Case::in_threads::<Messages<Zeroes<64>, 64>>(bytes, "wrong bytes"),
        Case::in_threads::<Messages<Zeroes<56>, 64>>(bytes, "wrong length"),
        Case::in_threads::<Batches<Zeroes<64>, 64, 8>>(bytes, "wrong bytes in a batch"),
        Case::in_threads::<Untouched<Zeroes<56>, 64>>(untouched, "wrong length in place"),
    ] {
        let failure = runner::run(&case, &settings()).expect_err(case.contender);
        assert!(failure.to_string().contains("void"), "{failure}");
    }
}

/// Sends nothing, and receives zeroes of some length.
struct Zeroes<const LENGTH: usize>;

impl<const LENGTH: usize> Channel for Zeroes<LENGTH> {
    type Sender = Self;
    type Receiver = Self;

    fn how() -> String {
        String::new()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn sender(&mut self) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn receiver(&mut self) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl<const LENGTH: usize> SendBytes for Zeroes<LENGTH> {
    fn send_bytes(&mut self, _message: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

impl<const LENGTH: usize> ReceiveBytes for Zeroes<LENGTH> {
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        into.fill(0);
        Ok(LENGTH)
    }
}

impl<const LENGTH: usize> SendBatch for Zeroes<LENGTH> {
    fn send_batch(&mut self, _messages: &[&[u8]]) -> Result<(), Failure> {
        Ok(())
    }
}

impl<const LENGTH: usize> ReceiveBatch for Zeroes<LENGTH> {
    fn receive_batch(
        &mut self,
        _most: usize,
        _into: &mut [u8],
        mut see: impl FnMut(&[u8]),
    ) -> Result<usize, Failure> {
        see(&[0; LENGTH]);
        Ok(1)
    }
}

impl<const LENGTH: usize> HandOver for Zeroes<LENGTH> {
    fn hand_over(&mut self, _length: usize) -> Result<(), Failure> {
        Ok(())
    }
}

impl<const LENGTH: usize> TakeOver for Zeroes<LENGTH> {
    fn take_over(&mut self) -> Result<usize, Failure> {
        Ok(LENGTH)
    }
}

/// Also when the runner dies.
fn shared_memory_goes_with_the_measurement() {
    fn leaves_a_file(context: &Context<'_>) -> Result<benches::case::Sample, Failure> {
        let name = context.scratch.file_name().expect("it has a name");
        let name = format!("{}.{}", name.display(), getppid());
        std::fs::write(Path::new("/dev/shm").join(name), "x")
            .map_err(Failure::system("write a file"))?;
        std::process::abort()
    }
    let case = Case {
        run: leaves_a_file,
        ..Case::in_threads::<Messages<Zeroes<64>, 64>>(
            Measure::Bytes {
                length: 64,
                room: 8,
            },
            "leaves a file",
        )
    };
    let failure = runner::run(&case, &settings()).expect_err("it gives no figure");
    assert!(matches!(failure, Failure::Died { .. }), "{failure}");
    let ours = format!(".{}", std::process::id());
    let left = std::fs::read_dir("/dev/shm")
        .expect("it can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("side-by-side-") && name.ends_with(&ours));
    assert_eq!(left, None);
}
