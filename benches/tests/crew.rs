//! What a crew reports is true: whatever a queue loses, doubles or changes voids its figure, and
//! whoever of the crew fails, dies or hangs is told of, and leaves nothing behind.
//!
//! Without libtest, whose threads would forbid forking.

use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::bystander::{Bystander, Stop, stop};
use benches::case::{Case, Peers};
use benches::channel::{Channel, Many, SendItem};
use benches::contenders::crossbeam::CrossbeamArrayQueue;
use benches::contenders::ours_mpmc::OursMpmc;
use benches::failure::Failure;
use benches::measure::{Measure, Placement, Shape};
use benches::polled::Polled;
use benches::runner::{self, Settings};
use benches::shared::{ForkShared, Shared};
use benches::spin::Snooze;
use benches::tally::{END, FOREIGN, Tally};
use benches::traffic::{InSlices, Singly, Traffic};
use benches::{contenders, cpu};
use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::waitpid;

fn main() {
    let tests: [(&str, fn()); 9] = [
        (
            "every_contender_delivers_everything",
            every_contender_delivers_everything,
        ),
        ("slices_of_any_length_arrive", slices_of_any_length_arrive),
        (
            "a_wrong_item_voids_the_figure",
            a_wrong_item_voids_the_figure,
        ),
        ("a_lost_end_is_a_hang", a_lost_end_is_a_hang),
        (
            "a_failed_process_is_reported_at_once",
            a_failed_process_is_reported_at_once,
        ),
        (
            "a_failed_thread_is_reported_at_once",
            a_failed_thread_is_reported_at_once,
        ),
        (
            "a_killed_process_is_reported_at_once",
            a_killed_process_is_reported_at_once,
        ),
        (
            "a_bystander_is_stopped_while_the_crew_is_measured",
            a_bystander_is_stopped_while_the_crew_is_measured,
        ),
        (
            "a_bystander_that_cannot_be_stopped_is_reported",
            a_bystander_that_cannot_be_stopped_is_reported,
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

/// Long enough for a loaded machine, and far from what the tests below wait for.
const PATIENT: Duration = Duration::from_secs(60);

fn settings(limit: Duration) -> Settings {
    let cpus = cpu::allowed().expect("the system tells the CPUs");
    Settings {
        cpus: [cpus[0], *cpus.last().expect("there is a CPU")],
        budget: Duration::from_millis(10),
        limit,
    }
}

const MANY: Measure = Measure::Many {
    shape: Shape {
        senders: 2,
        receivers: 2,
    },
    placement: Placement::Bound,
};

type InProcesses = Polled<OursMpmc, Snooze>;
type InThreads = Polled<CrossbeamArrayQueue, Snooze>;

fn measured(case: Case) {
    let name = format!("{} {}", case.measure.key(), case.contender);
    // Nothing is sent within the budget if others keep the senders from running all the time.
    for _ in 0..20 {
        let sample = runner::run(&case, &settings(PATIENT));
        let sample = sample.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert_eq!(sample.figures.len(), case.measure.metrics().len(), "{name}");
        if sample.figures.iter().all(|&figure| figure > 0.0) {
            return;
        }
    }
    panic!("{name}: nothing was ever sent");
}

fn fails(case: Case, limit: Duration) -> Failure {
    runner::run(&case, &settings(limit)).expect_err("this case gives no figure")
}

fn every_contender_delivers_everything() {
    let here = contenders::all().into_iter().filter(|case| {
        // With more peers than CPUs, shaq's may wait for each other's turn on a CPU for each item.
        case.measure.key().starts_with("mpmc") && case.contender != "shaq"
    });
    let mut measures: Vec<String> = here
        .inspect(|&case| measured(case))
        .map(|case| case.measure.key())
        .collect();
    measures.dedup();
    let expected = [
        "mpmc_one_way_1x1",
        "mpmc_one_way_2x2",
        "mpmc_one_way_4x4",
        "mpmc_one_way_2x2_free",
        "mpmc_one_way_4x4_free",
        "mpmc_slices_64_1x1",
        "mpmc_slices_64_2x2",
        "mpmc_round_trip",
        "mpmc_stopped",
    ];
    assert_eq!(measures, expected);
}

fn slices_of_any_length_arrive() {
    measured(Case::in_process_crew::<InSlices<InProcesses, 1>, 3, 1>(
        MANY, "test",
    ));
    // Two ends in one slice, sooner or later.
    for _ in 0..8 {
        measured(Case::in_process_crew::<InSlices<InProcesses, 1000>, 1, 4>(
            MANY, "test",
        ));
    }
}

fn a_wrong_item_voids_the_figure() {
    fn voids<F: Fault>() {
        for case in [
            Case::in_process_crew::<Singly<Faulty<InProcesses, F>>, 2, 2>(MANY, "test"),
            Case::in_thread_crew::<Singly<Faulty<InThreads, F>>, 2, 2>(MANY, "test"),
        ] {
            let failure = fails(case, PATIENT);
            assert!(failure.to_string().contains("void"), "{failure}");
        }
    }
    voids::<Lost>();
    voids::<Doubled>();
    voids::<Changed>();
    voids::<Exchanged>();
}

fn a_lost_end_is_a_hang() {
    let limit = Duration::from_secs(1);
    for case in [
        Case::in_process_crew::<Singly<Faulty<InProcesses, Endless>>, 2, 2>(MANY, "test"),
        Case::in_thread_crew::<Singly<Faulty<InThreads, Endless>>, 2, 2>(MANY, "test"),
        // And with somebody stopped, who is killed all the same.
        Case::beside::<Singly<Faulty<InProcesses, Endless>>, Idle, 2, 2>(MANY, "test"),
    ] {
        let failure = fails(case, limit);
        assert!(matches!(failure, Failure::Hung { .. }), "{failure}");
    }
}

fn a_failed_process_is_reported_at_once() {
    failed(Case::in_process_crew::<
        Singly<Faulty<InProcesses, Refused>>,
        2,
        2,
    >(MANY, "test"));
}

fn a_failed_thread_is_reported_at_once() {
    failed(Case::in_thread_crew::<
        Singly<Faulty<InThreads, Refused>>,
        2,
        2,
    >(MANY, "test"));
}

/// The receivers wait for items in vain, so that only the sender's own report can tell.
fn failed(case: Case) {
    let failure = fails(case, PATIENT);
    assert!(matches!(failure, Failure::Reported { .. }), "{failure}");
    assert!(failure.to_string().contains("taken twice"), "{failure}");
}

fn a_killed_process_is_reported_at_once() {
    let case = Case::in_process_crew::<Singly<Faulty<InProcesses, Killed>>, 2, 2>(MANY, "test");
    let begin = Instant::now();
    let failure = fails(case, PATIENT);
    assert!(failure.to_string().contains("Sender(0)"), "{failure}");
    assert!(begin.elapsed() < PATIENT);
}

fn a_bystander_is_stopped_while_the_crew_is_measured() {
    for case in [
        Case::beside::<Watching, Beating, 2, 2>(MANY, "test"),
        Case::beside::<Watching, Stopping, 2, 2>(MANY, "test"),
    ] {
        assert_eq!(case.peers, Peers::Processes);
        beats().total.store(0, Ordering::Relaxed);
        measured(case);
        let (first, last) = (&beats().first, &beats().last);
        let (first, last) = (first.load(Ordering::Relaxed), last.load(Ordering::Relaxed));
        assert!(first > 0, "the bystander did nothing");
        assert_eq!(first, last, "it went on while the crew was measured");
    }
}

fn a_bystander_that_cannot_be_stopped_is_reported() {
    let ended = fails(
        Case::beside::<Singly<InProcesses>, Leaving, 1, 1>(MANY, "test"),
        PATIENT,
    );
    assert!(ended.to_string().contains("bystander"), "{ended}");
    let failed = fails(
        Case::beside::<Singly<InProcesses>, Failing, 1, 1>(MANY, "test"),
        PATIENT,
    );
    assert!(failed.to_string().contains("taken twice"), "{failed}");
}

/// What goes wrong with an item.
trait Fault {
    /// Sends an item of the phase, or something else instead.
    fn send(item: u64, send: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure>;
}

/// Items on which something goes wrong. None of them is the first of a sender.
const fn is_bad(item: u64) -> bool {
    item < FOREIGN && item % 64 == 7
}

enum Lost {}

impl Fault for Lost {
    fn send(item: u64, mut send: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        if is_bad(item) { Ok(()) } else { send(item) }
    }
}

enum Doubled {}

impl Fault for Doubled {
    fn send(item: u64, mut send: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        if is_bad(item) {
            send(item)?;
        }
        send(item)
    }
}

enum Changed {}

impl Fault for Changed {
    fn send(item: u64, mut send: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        send(item + u64::from(is_bad(item)))
    }
}

/// One is lost and the one before it doubled: the count is right.
enum Exchanged {}

impl Fault for Exchanged {
    fn send(item: u64, mut send: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        send(if is_bad(item) { item - 1 } else { item })
    }
}

/// No receiver is told the end.
enum Endless {}

impl Fault for Endless {
    fn send(item: u64, mut send: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        if item == END { Ok(()) } else { send(item) }
    }
}

enum Refused {}

impl Fault for Refused {
    fn send(_: u64, _: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        Err(Failure::EndTaken)
    }
}

/// The first sender is killed.
enum Killed {}

impl Fault for Killed {
    fn send(item: u64, mut send: impl FnMut(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        if item == 7 {
            raise(Signal::SIGKILL).map_err(Failure::errno("raise"))?;
        }
        send(item)
    }
}

/// A channel with a fault.
struct Faulty<C, F> {
    channel: C,
    fault: PhantomData<F>,
}

/// Its sending end.
struct FaultySender<S, F> {
    sender: S,
    fault: PhantomData<fn() -> F>,
}

impl<C: Channel, F> Channel for Faulty<C, F> {
    type Sender = FaultySender<C::Sender, F>;
    type Receiver = C::Receiver;

    fn how() -> String {
        C::how()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            channel: C::create(scratch)?,
            fault: PhantomData,
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        Ok(FaultySender {
            sender: self.channel.sender()?,
            fault: PhantomData,
        })
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        self.channel.receiver()
    }
}

impl<C: Many, F> Many for Faulty<C, F> {}

impl<S: SendItem, F: Fault> SendItem for FaultySender<S, F> {
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        F::send(item, |item| self.sender.send(item))
    }
}

/// What a bystander did, and what a receiver saw of it in its latest phase.
#[derive(Default)]
struct Beats {
    total: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
}

// SAFETY: three atomics, no pointers.
unsafe impl ForkShared for Beats {}

fn beats() -> &'static Beats {
    static BEATS: OnceLock<Shared<Beats>> = OnceLock::new();
    BEATS.get_or_init(|| Shared::new().expect("there is memory"))
}

/// Beats until it is stopped from outside.
enum Beating {}

impl<C> Bystander<C> for Beating {
    const STOP: Stop = Stop::AtWork;

    fn act(_: &mut C) -> Result<(), Failure> {
        loop {
            beats().total.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Beats once, stops, and would beat on.
enum Stopping {}

impl<C> Bystander<C> for Stopping {
    const STOP: Stop = Stop::BeforeTheCrew;

    fn act(channel: &mut C) -> Result<(), Failure> {
        beats().total.fetch_add(1, Ordering::Relaxed);
        stop()?;
        Beating::act(channel)
    }
}

/// Stops and does nothing else.
enum Idle {}

impl<C> Bystander<C> for Idle {
    const STOP: Stop = Stop::BeforeTheCrew;

    fn act(_: &mut C) -> Result<(), Failure> {
        stop()
    }
}

enum Leaving {}

impl<C> Bystander<C> for Leaving {
    const STOP: Stop = Stop::BeforeTheCrew;

    fn act(_: &mut C) -> Result<(), Failure> {
        Ok(())
    }
}

enum Failing {}

impl<C> Bystander<C> for Failing {
    const STOP: Stop = Stop::AtWork;

    fn act(_: &mut C) -> Result<(), Failure> {
        Err(Failure::EndTaken)
    }
}

/// One item at a time; and each receiver notes what the bystander had done at the beginning of its
/// latest phase and at the end.
struct Watching;

impl Traffic for Watching {
    type Channel = InProcesses;
    type Sender = <Singly<InProcesses> as Traffic>::Sender;
    type Receiver = <Singly<InProcesses> as Traffic>::Receiver;

    fn sender(channel: &mut InProcesses) -> Result<Self::Sender, Failure> {
        Singly::sender(channel)
    }

    fn receiver(channel: &mut InProcesses) -> Result<Self::Receiver, Failure> {
        Singly::receiver(channel)
    }

    fn send(sender: &mut Self::Sender, items: Range<u64>) -> Result<(), Failure> {
        Singly::<InProcesses>::send(sender, items)
    }

    fn send_end(sender: &mut Self::Sender) -> Result<(), Failure> {
        Singly::<InProcesses>::send_end(sender)
    }

    fn receive(receiver: &mut Self::Receiver) -> Result<Tally, Failure> {
        let beats = beats();
        let now = beats.total.load(Ordering::Relaxed);
        let received = Singly::<InProcesses>::receive(receiver)?;
        beats.first.store(now, Ordering::Relaxed);
        let now = beats.total.load(Ordering::Relaxed);
        beats.last.store(now, Ordering::Relaxed);
        Ok(received)
    }
}
