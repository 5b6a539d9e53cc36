//! The harness: settings, and a run from start to report.

use super::carrier::{Message, SettingsOf};
use super::crew::Role;
use super::disturb::Disturber;
use super::error::HarnessError;
use super::journal::Journal;
use super::ledger::Census;
use super::monitor::{Calls, Monitor, ReadySignal};
use super::report::{Progress, Report};
use super::signals::Interrupts;
use super::sink::Sink;
use super::source::Source;
use super::stage::{Seat, Stage};
use ipc_core::Segment;
use ipc_process::{Params, ParamsSource, Process, WorkResult, Worker};
use std::fmt;
use std::fs::File;

const SEGMENT_KEY: &str = "segment";
const READY_KEY: &str = "ready";
const JOURNAL_KEY: &str = "journal";
const PRODUCER: &str = Role::Producer.name();
const CONSUMER: &str = Role::Consumer.name();
/// The most workers of a role: the queue's places, those of the dead among them.
const MOST_WORKERS: usize = 256;
/// The most kills that a run survives: each leaves a record of some kilobytes.
const MOST_REPLACEMENTS: usize = 1_000_000;

type Produce<'a, T> = Box<dyn Fn(&mut Source<'_, T>) -> WorkResult + 'a>;
type Consume<'a, T> = Box<dyn Fn(&mut Sink<'_, T>) -> WorkResult + 'a>;
type OnProgress<'a> = Box<dyn FnMut(&Progress) + 'a>;
type OnEffect<'a> = Box<dyn FnMut(&[u8]) + 'a>;

/// Producer and consumer processes around a queue. See the [module](super). `T` is what they send:
/// a [`Payload`](ipc_core::Payload), or `[u8]`.
#[must_use = "nothing happens before `run`"]
pub struct Harness<'a, T: Message + ?Sized> {
    name: String,
    capacity: usize,
    pub(super) settings: SettingsOf<T>,
    params: Option<Result<Params, ipc_process::Error>>,
    test: Option<String>,
    producers: usize,
    produce: Option<Produce<'a, T>>,
    consumers: usize,
    consume: Option<Consume<'a, T>>,
    replacements: usize,
    kills: u32,
    stops: u32,
    on_progress: OnProgress<'a>,
    on_effect: OnEffect<'a>,
}

impl<'a, T: Message + ?Sized> Harness<'a, T> {
    /// A harness of this name, which tells it apart from others of the program.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            capacity: 1024,
            settings: SettingsOf::<T>::default(),
            params: None,
            test: None,
            producers: 0,
            produce: None,
            consumers: 0,
            consume: None,
            replacements: 0,
            kills: 0,
            stops: 0,
            on_progress: Box::new(|_| {}),
            on_effect: Box::new(|_| {}),
        }
    }

    /// How many producers there are, 1 to 256, and what each of them does. When all have returned,
    /// the stream ends. [`Source::index`] tells them apart.
    pub fn producers(
        mut self,
        count: usize,
        produce: impl Fn(&mut Source<'_, T>) -> WorkResult + 'a,
    ) -> Self {
        self.producers = count;
        self.produce = Some(Box::new(produce));
        self
    }

    /// How many consumers there are, 1 to 256, and what each of them does. Each message goes to
    /// one of them.
    pub fn consumers(
        mut self,
        count: usize,
        consume: impl Fn(&mut Sink<'_, T>) -> WorkResult + 'a,
    ) -> Self {
        self.consumers = count;
        self.consume = Some(Box::new(consume));
        self
    }

    /// How many messages the queue holds, at least 1. Default: 1024.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// What the workers are to know: bytes, copied once, or [`Params`], shared. They read it with
    /// `params()`. Default: nothing. In a worker this call's bytes are not used, but what the
    /// parent gave.
    pub fn params(mut self, params: impl Into<ParamsSource>) -> Self {
        if ipc_process::worker_scope().is_none() {
            self.params = Some(params.into().into_params());
        }
        self
    }

    /// Replaces so many workers, in all, if they are killed (by SIGKILL: from outside, or for want
    /// of memory), up to a million. Default: none; a killed worker is a failure then, as is one
    /// that crashes, panics or returns an error in any case.
    ///
    /// Another process goes on in its place: a consumer with the messages that are not settled, a
    /// producer behind those that were sent ([`Source::send`]). Nothing is lost or doubled but what
    /// the killed one had in its own memory; what is not to be lost is
    /// [committed](super::Batch::commit).
    pub fn replace_killed(mut self, most: usize) -> Self {
        self.replacements = most;
        self
    }

    /// Kills and stops so many workers while they run, at random moments, to see that the run
    /// survives it. The killed ones are replaced, beyond
    /// [`replace_killed`](Self::replace_killed); the stopped ones are continued after some
    /// milliseconds. Default: none.
    ///
    /// The run ends when its producers do. For it to last until all this has happened, they send
    /// while they are [asked for more](Source::is_asked_for_more); [`Report::survived`] tells.
    pub fn disturb(mut self, kills: u32, stops: u32) -> Self {
        (self.kills, self.stops) = (kills, stops);
        self
    }

    /// Called by `run` in the parent about ten times a second, and once at the end.
    pub fn on_progress(mut self, watch: impl FnMut(&Progress) + 'a) -> Self {
        self.on_progress = Box::new(watch);
        self
    }

    /// Called by `run` in the parent with each effect that a consumer has
    /// [committed](super::Batch::commit), once, whoever was killed; soon after it was committed, in
    /// no particular order.
    pub fn on_effect(mut self, merge: impl FnMut(&[u8]) + 'a) -> Self {
        self.on_effect = Box::new(merge);
        self
    }

    /// Within a `#[test]`: its name, [`test_name!()`](super::test_name), so that the workers run
    /// this test and no other.
    pub fn under_test(mut self, test_name: &str) -> Self {
        self.test = Some(test_name.to_owned());
        self
    }

    /// In a worker of this harness: does its work and exits the process. Otherwise returns at
    /// once. [`run`](Self::run) begins with it; a program with several harnesses calls it on all
    /// of them first.
    pub fn run_if_worker(&self) {
        let produce = |worker: &mut Worker| -> WorkResult {
            let produce = self.function(&self.produce, Role::Producer)?;
            let (segment, seat) = Self::enter(worker)?;
            let mut source = Source::new(worker, &segment, seat)?;
            Self::wait_for_the_others(source.worker(), &segment)?;
            produce(&mut source)
        };
        let consume = |worker: &mut Worker| -> WorkResult {
            let consume = self.function(&self.consume, Role::Consumer)?;
            let (segment, seat) = Self::enter(worker)?;
            let journal = Journal::new(worker.take_fd(JOURNAL_KEY)?);
            let mut sink = Sink::new(worker, &segment, journal, seat)?;
            Self::wait_for_the_others(sink.worker(), &segment)?;
            consume(&mut sink)?;
            sink.finish();
            Ok(())
        };
        ipc_process::run_if_worker(&self.name, &[(PRODUCER, &produce), (CONSUMER, &consume)]);
    }

    fn enter(worker: &mut Worker) -> Result<(Segment, Seat), HarnessError> {
        let segment = Segment::open(worker.take_fd(SEGMENT_KEY)?)?;
        let seat = Seat::of_this_process().ok_or_else(|| HarnessError::NoSeat {
            worker: worker.name().to_owned(),
        })?;
        Ok((segment, seat))
    }

    fn wait_for_the_others(worker: &mut Worker, segment: &Segment) -> WorkResult {
        ReadySignal::new(worker.take_fd(READY_KEY)?).send()?;
        Stage::<T>::pass_gate(segment)
    }

    /// Starts the workers, lets them begin together, and waits until all have ended.
    ///
    /// In a worker this does not return.
    ///
    /// # Errors
    /// [`HarnessError::WorkersFailed`], [`HarnessError::NotExact`] and
    /// [`HarnessError::Interrupted`] carry the report; the others mean that the run did not start.
    /// In all cases no worker is left.
    pub fn run(mut self) -> Result<Report, HarnessError> {
        self.run_if_worker();
        self.function(&self.produce, Role::Producer)?;
        self.function(&self.consume, Role::Consumer)?;
        self.check_count(Role::Producer, self.producers)?;
        self.check_count(Role::Consumer, self.consumers)?;
        if let Some(own) = ipc_process::worker_scope() {
            return Err(HarnessError::OtherWorker {
                harness: self.name,
                own,
            });
        }
        let replacements = self.replacements.min(MOST_REPLACEMENTS) + self.kills as usize;
        let census = Census {
            producers: self.producers,
            lives: self.consumers + replacements,
        };
        let interrupts = Interrupts::watch().map_err(self.os("watching for signals"))?;
        let stage = Stage::<T>::set(
            self.capacity,
            &self.settings,
            self.producers + self.consumers,
            census,
        )?;
        let (ready, ready_there) = std::io::pipe().map_err(self.os("making a pipe"))?;
        let params = self.params.take().transpose()?;
        let (name, test) = (&self.name, &self.test);
        let hire = |role: Role, seat: Seat, journal: Option<&File>| {
            let (variable, value) = seat.to_variable();
            let mut worker = Process::builder(name, role.name())
                .name(format!("{}-{}", role.name(), seat.index))
                .env(variable, value)
                .fd(SEGMENT_KEY, stage.segment.descriptor()?)
                .fd(READY_KEY, &ready_there);
            if let Some(journal) = journal {
                worker = worker.fd(JOURNAL_KEY, journal);
            }
            if let Some(params) = &params {
                worker = worker.params(params.clone());
            }
            if let Some(test) = test {
                worker = worker.under_test(test);
            }
            Ok(worker.spawn()?)
        };
        let os = self.os("waiting for the workers");
        let calls = Calls {
            hire: &hire,
            progress: &mut self.on_progress,
            effect: &mut self.on_effect,
            os: &os,
        };
        let disturber = Disturber::new(self.kills, self.stops);
        let mut monitor = Monitor::new(&stage, &interrupts, calls, disturber, replacements);
        monitor.hire(Role::Producer, self.producers)?;
        monitor.hire(Role::Consumer, self.consumers)?;
        let ending = monitor.watch_over(ready)?;
        judge(
            Report {
                name: self.name.clone(),
                messages: stage.messages(),
                elapsed: ending.elapsed,
                survived: ending.survived,
                producers: ending.producers,
                consumers: ending.consumers,
                replaced: ending.replaced,
            },
            ending.interrupted_by,
        )
    }

    fn function<'f, F>(&self, function: &'f Option<F>, role: Role) -> Result<&'f F, HarnessError> {
        function.as_ref().ok_or_else(|| HarnessError::NoFunction {
            harness: self.name.clone(),
            role: role.name(),
        })
    }

    fn check_count(&self, role: Role, count: usize) -> Result<(), HarnessError> {
        if (1..=MOST_WORKERS).contains(&count) {
            return Ok(());
        }
        Err(HarnessError::WorkerCount {
            harness: self.name.clone(),
            role: role.name(),
            count,
            most: MOST_WORKERS,
        })
    }

    fn os(&self, action: &'static str) -> impl Fn(std::io::Error) -> HarnessError + use<T> {
        let harness = self.name.clone();
        move |source| HarnessError::Os {
            harness: harness.clone(),
            action,
            source,
        }
    }
}

impl<T: Message + ?Sized> fmt::Debug for Harness<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("name", &self.name)
            .field("producers", &self.producers)
            .field("consumers", &self.consumers)
            .field("capacity", &self.capacity)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn judge(report: Report, interrupted_by: Option<i32>) -> Result<Report, HarnessError> {
    let report = Box::new(report);
    if let Some(signal) = interrupted_by {
        return Err(HarnessError::Interrupted { signal, report });
    }
    if report.workers().any(|worker| !worker.is_success()) {
        return Err(HarnessError::WorkersFailed { report });
    }
    if !report.messages.is_exact() {
        return Err(HarnessError::NotExact { report });
    }
    Ok(*report)
}
