//! The account of a harness, damaged by its own workers while they run: the run comes to an end
//! and says what it found.

use hostile::{Memory, Random};
use ipc_core::Segment;
use ipc_process::ExitStatusKind;
use ipc_queue::harness::{Harness, HarnessError, Report};
use std::cell::RefCell;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::Duration;

const RUNS: u64 = 12;
const MESSAGES: u64 = 1_500;
/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(100);

/// The words of the account, in a worker of the harness.
struct Account {
    memory: Memory,
    words: Range<usize>,
    random: Random,
}

impl Account {
    fn find(seed: u64) -> Self {
        let segment = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let link = std::fs::read_link(&path).ok()?;
                let is_it = link
                    .to_string_lossy()
                    .starts_with("/memfd:ipc-queue harness");
                let mut both = std::fs::File::options();
                let both = both.read(true).write(true);
                is_it.then(|| both.open(path).ok()).flatten()
            })
            .find_map(|file| Segment::open(OwnedFd::from(file)).ok())
            .expect("a worker has the descriptor of its segment");
        let objects = segment.objects().unwrap();
        let ledger = objects.iter().find(|it| it.kind == "harness ledger");
        let ledger = ledger.expect("there is an account");
        Self {
            memory: Memory::of(&segment).unwrap(),
            words: ledger.offset as usize / 8..(ledger.offset + ledger.len) as usize / 8,
            random: Random::of_part(seed, std::process::id().into()),
        }
    }

    fn damage(&mut self) {
        let Self {
            memory,
            words,
            random,
        } = self;
        let at = words.start + random.below(words.len() as u64) as usize;
        let old = memory.get(at);
        let new = match random.below(4) {
            0 => old ^ 1 << random.below(64),
            1 => old.wrapping_add(random.below(5)).wrapping_sub(2),
            2 => random.pick(&[0, 1, u64::MAX, 1 << 63, u64::from(u32::MAX)]),
            _ => random.word(),
        };
        memory.set(at, new);
    }
}

thread_local! {
    static ACCOUNT: RefCell<Option<Account>> = const { RefCell::new(None) };
}

fn damage() {
    ACCOUNT.with_borrow_mut(|account| {
        account
            .get_or_insert_with(|| Account::find(u64::from(std::process::id())))
            .damage();
    });
}

fn harness() -> Harness<'static, u64> {
    Harness::new("damaged account")
        .producers(2, |source| {
            for number in source.skip_sent()..MESSAGES {
                source.send(number)?;
                if number % 100 == 50 {
                    damage();
                }
            }
            Ok(())
        })
        .consumers(2, |sink| {
            let mut count = 0_u64;
            while let Some(batch) = sink.batch()? {
                count += 1;
                if count.is_multiple_of(10) {
                    damage();
                }
                let effect = [batch.len() as u8; 9];
                batch.commit(&effect)?;
            }
            Ok(())
        })
        .capacity(16)
        .disturb(2, 1)
        .under_test("a_damaged_account_of_a_harness_is_an_error_or_correct_work")
}

fn nobody_crashed(report: &Report) {
    for worker in report.workers().chain(&report.replaced) {
        let kill = ExitStatusKind::Signal(libc::SIGKILL);
        let is_signal = matches!(worker.status, ExitStatusKind::Signal(_));
        assert!(worker.panic.is_none(), "{worker}");
        assert!(!is_signal || worker.status == kill, "{worker}");
    }
}

#[test]
fn a_damaged_account_of_a_harness_is_an_error_or_correct_work() {
    harness().run_if_worker();
    let mut noticed = 0;
    for _ in 0..RUNS {
        let (say, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = 0;
            let run = harness().on_effect(|effect| bytes += effect.len()).run();
            // Nobody listens any more if the test has failed.
            let _ = say.send(run);
        });
        match heard.recv_timeout(PATIENCE).expect("the run hangs") {
            Ok(report) => nobody_crashed(&report),
            Err(error) => {
                eprintln!("{error}");
                let is_mistake = matches!(error, HarnessError::OtherWorker { .. });
                assert!(!is_mistake, "{error}");
                if let Some(report) = error.report() {
                    nobody_crashed(report);
                }
                noticed += 1;
            }
        }
    }
    assert!(noticed > 0, "no damage was noticed: does it hit?");
}
