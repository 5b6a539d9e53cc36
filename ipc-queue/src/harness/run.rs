//! The harness: settings, and a run from start to report.

use super::error::HarnessError;
use super::monitor::{Ending, Member, Monitor, ReadySignal, Role};
use super::report::{Progress, Report};
use super::signals::Interrupts;
use super::sink::Sink;
use super::source::Source;
use super::stage::Stage;
use ipc_core::{Payload, Segment};
use ipc_process::{Params, ParamsSource, Process, WorkResult, Worker};
use std::fmt;

const SEGMENT_KEY: &str = "segment";
const READY_KEY: &str = "ready";
const PRODUCER: &str = Role::Producer.name();
const CONSUMER: &str = Role::Consumer.name();

type Produce<'a, T> = Box<dyn Fn(&mut Source<'_, T>) -> WorkResult + 'a>;
type Consume<'a, T> = Box<dyn Fn(&mut Sink<'_, T>) -> WorkResult + 'a>;
type Watch<'a> = Box<dyn FnMut(&Progress) + 'a>;

/// Producer and consumer processes around a ring. See the [module](super).
#[must_use = "nothing happens before `run`"]
pub struct Harness<'a, T: Payload> {
    name: String,
    capacity: usize,
    params: Option<Result<Params, ipc_process::Error>>,
    test: Option<String>,
    produce: Option<Produce<'a, T>>,
    consume: Option<Consume<'a, T>>,
    watch: Option<Watch<'a>>,
}

impl<'a, T: Payload> Harness<'a, T> {
    /// A harness of this name, which tells it apart from others of the program.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            capacity: 1024,
            params: None,
            test: None,
            produce: None,
            consume: None,
            watch: None,
        }
    }

    /// What the producer does. When it returns, the stream ends.
    pub fn producer(mut self, produce: impl Fn(&mut Source<'_, T>) -> WorkResult + 'a) -> Self {
        self.produce = Some(Box::new(produce));
        self
    }

    /// What the consumer does.
    pub fn consumer(mut self, consume: impl Fn(&mut Sink<'_, T>) -> WorkResult + 'a) -> Self {
        self.consume = Some(Box::new(consume));
        self
    }

    /// How many messages the ring holds, at least 1. Default: 1024.
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

    /// Called by `run` in the parent about ten times a second, and once at the end.
    pub fn on_progress(mut self, watch: impl FnMut(&Progress) + 'a) -> Self {
        self.watch = Some(Box::new(watch));
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
            let produce = self.function(&self.produce, PRODUCER)?;
            let segment = Segment::open(worker.take_fd(SEGMENT_KEY)?)?;
            let ready = ReadySignal::new(worker.take_fd(READY_KEY)?);
            let mut source = Source::new(worker, &segment)?;
            ready.send()?;
            Stage::<T>::pass_gate(&segment)?;
            produce(&mut source)?;
            Ok(source.finish()?)
        };
        let consume = |worker: &mut Worker| -> WorkResult {
            let consume = self.function(&self.consume, CONSUMER)?;
            let segment = Segment::open(worker.take_fd(SEGMENT_KEY)?)?;
            let ready = ReadySignal::new(worker.take_fd(READY_KEY)?);
            let mut sink = Sink::new(worker, &segment)?;
            ready.send()?;
            Stage::<T>::pass_gate(&segment)?;
            consume(&mut sink)
        };
        ipc_process::run_if_worker(&self.name, &[(PRODUCER, &produce), (CONSUMER, &consume)]);
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
        self.function(&self.produce, PRODUCER)?;
        self.function(&self.consume, CONSUMER)?;
        if let Some(own) = ipc_process::worker_scope() {
            return Err(HarnessError::OtherWorker {
                harness: self.name,
                own,
            });
        }
        let interrupts = Interrupts::watch().map_err(self.os("watching for signals"))?;
        let stage = Stage::<T>::set(self.capacity)?;
        let (ready, ready_there) = std::io::pipe().map_err(self.os("making a pipe"))?;
        let params = self.params.take().transpose()?;
        let start = |role: Role| -> Result<Member, HarnessError> {
            let mut worker = Process::builder(&self.name, role.name())
                .name(format!("{}-0", role.name()))
                .fd(SEGMENT_KEY, stage.segment.descriptor()?)
                .fd(READY_KEY, &ready_there);
            if let Some(params) = &params {
                worker = worker.params(params.clone());
            }
            if let Some(test) = &self.test {
                worker = worker.under_test(test);
            }
            Ok(Member::new(role, worker.spawn()?))
        };
        let members = vec![start(Role::Producer)?, start(Role::Consumer)?];
        drop(ready_there);

        let os = self.os("waiting for the workers");
        let mut monitor = Monitor::new(&stage, &interrupts, members, ready);
        let ending = monitor.watch_over(&os, &mut |progress| {
            if let Some(watch) = &mut self.watch {
                watch(progress);
            }
        })?;
        let (producers, consumers) = monitor.into_reports();
        let report = Report {
            name: self.name.clone(),
            messages: stage.messages()?,
            elapsed: ending.elapsed,
            producers,
            consumers,
        };
        judge(ending, report)
    }

    fn function<'f, F>(
        &self,
        function: &'f Option<F>,
        role: &'static str,
    ) -> Result<&'f F, HarnessError> {
        function.as_ref().ok_or_else(|| HarnessError::NoFunction {
            harness: self.name.clone(),
            role,
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

impl<T: Payload> fmt::Debug for Harness<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("name", &self.name)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

fn judge(ending: Ending, report: Report) -> Result<Report, HarnessError> {
    let report = Box::new(report);
    if let Some(signal) = ending.interrupted_by {
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
