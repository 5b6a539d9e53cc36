//! The other ways: a pipe, and the two file queues, between the same two kinds of processes and
//! with the same account.

use crate::lane::{Error, Lane, Work};
use baseline::append_file::{self, AppendReceiver, AppendSender};
use baseline::json_file::{self, JsonReceiver, JsonSender};
use baseline::pipe::{PipeReceiver, PipeSender};
use baseline::{Ledger, Polling, Received, Receiver, Report, Sender, Stamped};
use examples::{WordCounter, WordCounts, pieces};
use ipc_process::{Params, Process, WorkResult, Worker, join_any};
use ipc_queue::harness::Survived;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SCOPE: &str = "pipeline-rivals";
const SEND: &str = "send";
const RECEIVE: &str = "receive";
/// Messages that the JSON file holds at most: it is written whole for each one, so a small number
/// is what makes it fast.
const JSON_CAPACITY: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// How often the parent looks at its workers.
const TICK: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    Pipe,
    AppendFile,
    JsonFile,
}

impl Rival {
    pub const ALL: [Rival; 3] = [Rival::Pipe, Rival::AppendFile, Rival::JsonFile];

    pub fn name(self) -> &'static str {
        match self {
            Rival::Pipe => "pipe",
            Rival::AppendFile => "append-only file",
            Rival::JsonFile => "JSON file",
        }
    }

    /// How many of all messages it gets: as many as take it about a second.
    pub fn part_of(self, all: u64) -> u64 {
        all.min(match self {
            Rival::Pipe => u64::MAX,
            Rival::AppendFile => 20_000,
            Rival::JsonFile => 2_000,
        })
    }

    /// Sends the first `part` messages of the text through this transport, from one process to
    /// another.
    pub fn run(
        self,
        work: Work,
        text: &Params,
        part: u64,
        interrupted: &AtomicBool,
        on_progress: impl Fn(u64),
    ) -> Result<Lane, Error> {
        let failed = |action| move |source| Error::Os { action, source };
        let directory = tempfile::tempdir().map_err(failed("making a temporary directory"))?;
        let path = directory.path().join("queue");
        let (news, news_there) = io::pipe().map_err(failed("making a pipe"))?;
        let (go_there, go) = io::pipe().map_err(failed("making a pipe"))?;
        fcntl(&news, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|error| failed("setting up a pipe")(error.into()))?;

        let worker = |role: &str, name: String, end: Option<OwnedFd>| {
            let order = Order {
                rival: self,
                work,
                part,
                path: path.clone(),
            };
            let mut worker = Process::builder(SCOPE, role)
                .name(name)
                .params(text.clone())
                .args(order.to_args())
                .fd("news", &news_there)
                .fd("go", &go_there);
            if let Some(end) = end {
                worker = worker.fd("end", end);
            }
            worker.spawn()
        };
        let (writing, reading) = self.prepare(&path)?;
        let mut workers = [
            worker(SEND, format!("{} producer", self.name()), writing)?,
            worker(RECEIVE, format!("{} consumer", self.name()), reading)?,
        ];
        drop((news_there, go_there));

        let mut news = News {
            pipe: news,
            bytes: 0,
        };
        news.wait_for(2, &mut workers, interrupted)?;
        let started = Instant::now();
        drop(go);
        while let Some(index) = next_end(&mut workers, interrupted, || {
            on_progress(news.ticks() * part / TICKS);
        })? {
            workers[index].join()?.into_result()?;
        }
        let elapsed = started.elapsed();
        let account = Account::from_bytes(&workers[1].join()?.into_result()?)?;
        Ok(Lane {
            name: self.name(),
            work,
            messages: account.report.received,
            bytes: pieces(text)
                .take(part as usize)
                .map(<[u8]>::len)
                .sum::<usize>() as u64,
            elapsed,
            lost: account.report.lost,
            doubled: account.report.doubled,
            torn: account.report.torn,
            words: account.words,
            rounds: Vec::new(),
            survived: Survived::default(),
            redelivered: 0,
            counted_right: true,
        })
    }

    fn prepare(self, path: &Path) -> Result<(Option<OwnedFd>, Option<OwnedFd>), Error> {
        match self {
            Rival::Pipe => {
                let (reading, writing) = io::pipe().map_err(|source| Error::Os {
                    action: "making a pipe",
                    source,
                })?;
                return Ok((Some(writing.into()), Some(reading.into())));
            }
            Rival::AppendFile => append_file::create(path)?,
            Rival::JsonFile => json_file::create(path)?,
        }
        Ok((None, None))
    }
}

/// What a worker is to do, as its command line.
struct Order {
    rival: Rival,
    work: Work,
    part: u64,
    path: PathBuf,
}

impl Order {
    fn to_args(&self) -> [String; 4] {
        [
            self.rival.name().to_owned(),
            self.work.to_string(),
            self.part.to_string(),
            self.path.display().to_string(),
        ]
    }

    fn from_args() -> Option<Self> {
        let [rival, work, part, path] = std::env::args()
            .skip(1)
            .collect::<Vec<_>>()
            .try_into()
            .ok()?;
        Some(Self {
            rival: Rival::ALL.into_iter().find(|it| it.name() == rival)?,
            work: [Work::CheckOnly, Work::CountWords]
                .into_iter()
                .find(|it| it.to_string() == work)?,
            part: part.parse().ok()?,
            path: path.into(),
        })
    }
}

pub fn run_if_worker() {
    ipc_process::run_if_worker(SCOPE, &[(SEND, &send), (RECEIVE, &receive)]);
}

fn send(worker: &mut Worker) -> WorkResult {
    let order = Order::from_args().ok_or("started with other arguments than a parent gives")?;
    let text = worker.shared_params().ok_or("started without a text")?;
    let mut sender: Box<dyn Sender> = match order.rival {
        Rival::Pipe => Box::new(PipeSender::from(worker.take_fd("end")?)),
        Rival::AppendFile => Box::new(AppendSender::open(&order.path)?),
        Rival::JsonFile => Box::new(JsonSender::open(
            &order.path,
            JSON_CAPACITY,
            Polling::default(),
        )?),
    };
    let mut starter = Starter::ready(worker)?;
    starter.wait()?;
    let mut message = Vec::new();
    for (sequence, payload) in (0..order.part).zip(pieces(&text)) {
        let producer = 0;
        Stamped {
            producer,
            sequence,
            payload,
        }
        .encode(&mut message);
        sender.send(&message)?;
    }
    Ok(sender.finish()?)
}

fn receive(worker: &mut Worker) -> WorkResult {
    let order = Order::from_args().ok_or("started with other arguments than a parent gives")?;
    let mut receiver: Box<dyn Receiver> = match order.rival {
        Rival::Pipe => Box::new(PipeReceiver::from(worker.take_fd("end")?)),
        Rival::AppendFile => Box::new(AppendReceiver::open(&order.path, Polling::default())?),
        Rival::JsonFile => Box::new(JsonReceiver::open(&order.path, Polling::default())?),
    };
    let mut starter = Starter::ready(worker)?;
    starter.wait()?;
    let mut ledger = Ledger::new(0);
    let mut counter = (order.work == Work::CountWords).then(WordCounter::new);
    let mut message = Vec::new();
    let (mut received, mut told) = (0, 0);
    while let Received::Message = receiver.receive(&mut message)? {
        ledger.record(&message);
        if let Some(counter) = &mut counter {
            counter.feed_whole(Stamped::decode(&message)?.payload);
        }
        received += 1;
        if received * TICKS / order.part.max(1) > told {
            told += 1;
            starter.tick()?;
        }
    }
    let account = Account {
        report: ledger.report(order.part),
        words: counter.map(WordCounter::finish),
    };
    Ok(worker.set_result(&account.to_bytes()?)?)
}

/// Ticks that a consumer gives on its whole way.
const TICKS: u64 = 50;

/// A worker's side of the start: says that it is ready, waits for the word, tells its progress.
struct Starter {
    news: File,
    go: File,
}

impl Starter {
    fn ready(worker: &mut Worker) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut starter = Self {
            news: worker.take_fd("news")?.into(),
            go: worker.take_fd("go")?.into(),
        };
        starter.tick()?;
        Ok(starter)
    }

    /// The parent closes its end.
    fn wait(&mut self) -> io::Result<()> {
        self.go.read(&mut [0]).map(drop)
    }

    fn tick(&mut self) -> io::Result<()> {
        self.news.write_all(b".")
    }
}

/// The parent's side: bytes from both workers.
struct News {
    pipe: io::PipeReader,
    bytes: u64,
}

impl News {
    fn look(&mut self) -> u64 {
        let mut some = [0; 64];
        // An error is "nothing yet".
        while let Ok(more @ 1..) = self.pipe.read(&mut some) {
            self.bytes += more as u64;
        }
        self.bytes
    }

    /// Progress: what came after the two who were ready.
    fn ticks(&mut self) -> u64 {
        self.look().saturating_sub(2).min(TICKS)
    }

    fn wait_for(
        &mut self,
        bytes: u64,
        workers: &mut [Process],
        interrupted: &AtomicBool,
    ) -> Result<(), Error> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        while self.look() < bytes {
            check(interrupted)?;
            if let Some(ended) = workers
                .iter_mut()
                .find_map(|it| (!it.is_alive()).then_some(it))
            {
                ended.join()?.into_result()?;
            }
            let mut watched = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            // An error is an interruption; the loop looks again.
            let _ = poll(&mut watched, PollTimeout::from(100u8));
        }
        Ok(())
    }
}

/// The next worker that ends; `None` when none is left.
fn next_end(
    workers: &mut [Process],
    interrupted: &AtomicBool,
    mut meanwhile: impl FnMut(),
) -> Result<Option<usize>, Error> {
    loop {
        check(interrupted)?;
        meanwhile();
        if let Some(index) = join_any(workers, Some(TICK))? {
            return Ok(Some(index));
        }
        if workers.iter_mut().all(|worker| !worker.is_alive()) {
            return Ok(None);
        }
    }
}

fn check(interrupted: &AtomicBool) -> Result<(), Error> {
    if interrupted.load(Ordering::Relaxed) {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}

/// SIGINT and SIGTERM are to end the run in order: workers killed, files removed.
pub fn watch_for_signals() -> Result<Arc<AtomicBool>, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone()).map_err(|source| Error::Os {
            action: "watching for signals",
            source,
        })?;
    }
    Ok(interrupted)
}

/// A consumer's result.
struct Account {
    report: Report,
    words: Option<WordCounts>,
}

impl Account {
    fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(&self.report)?;
        if let Some(words) = &self.words {
            bytes.push(b'\n');
            bytes.extend(words.to_bytes());
        }
        Ok(bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (report, words) = match bytes.iter().position(|&byte| byte == b'\n') {
            Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
            None => (bytes, None),
        };
        Ok(Self {
            report: serde_json::from_slice(report)?,
            words: words.map(WordCounts::from_bytes).transpose()?,
        })
    }
}
