//! Ours go on when somebody is killed, and what is said of others is true. Whatever becomes of a
//! trial, it leaves nothing behind.
//!
//! Without libtest, whose threads would forbid forking.

use std::fs;
use std::time::Duration;

use benches::cpu;
use benches::deaths::subject::{Subject, Who};
use benches::deaths::{self, Moment, Outcome, Trial, Whose, scene, series};
use benches::failure::Failure;
use nix::errno::Errno;
use nix::sys::wait::waitpid;

fn main() {
    let tests: [(&str, fn()); 7] = [
        ("ours_never_hang", ours_never_hang),
        ("raw_syncs_mutex_hangs", raw_syncs_mutex_hangs),
        (
            "what_is_not_robust_hangs_while_held",
            what_is_not_robust_hangs_while_held,
        ),
        ("a_robust_mutex_goes_on", a_robust_mutex_goes_on),
        (
            "whoever_fails_is_reported_at_once",
            whoever_fails_is_reported_at_once,
        ),
        ("a_kill_that_comes_too_late", a_kill_that_comes_too_late),
        (
            "a_victim_that_is_not_woken_is_killed_all_the_same",
            a_victim_that_is_not_woken_is_killed_all_the_same,
        ),
    ];
    let shared_memory = shared_memory();
    for (name, test) in tests {
        test();
        assert_eq!(
            waitpid(None, None),
            Err(Errno::ECHILD),
            "{name} left a process behind"
        );
        println!("test {name} ... ok");
    }
    let new: Vec<_> = self::shared_memory()
        .into_iter()
        .filter(|name| !shared_memory.contains(name))
        // Others may make theirs meanwhile; these would be ours or the C library's.
        .filter(|name| name.contains("bench") || name.starts_with("sem."))
        .collect();
    assert!(new.is_empty(), "left in /dev/shm: {new:?}");
}

fn shared_memory() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/dev/shm") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// Long enough for a loaded machine, and for ours never needed.
const PATIENT: Duration = Duration::from_secs(20);

/// For those that hang: no load of the machine makes them go on.
const SHORT: Duration = Duration::from_millis(200);

fn once(trial: &Trial, limit: Duration) -> Result<Outcome, Failure> {
    let cpu = cpu::allowed().expect("the system tells the CPUs")[0];
    series::once(trial, limit, cpu)
}

fn outcome(trial: &Trial, limit: Duration) -> Outcome {
    once(trial, limit).unwrap_or_else(|failure| panic!("{}: {failure}", named(trial)))
}

fn named(trial: &Trial) -> String {
    format!("{}, {:?}", trial.subject, trial.moment)
}

fn of(subject: &str) -> Vec<Trial> {
    let mut trials = deaths::all();
    trials.retain(|trial| trial.subject == subject);
    assert_eq!(trials.len(), Moment::ALL.len(), "{subject}");
    trials
}

fn at(subject: &str, moment: Moment) -> Trial {
    let mut trials = of(subject).into_iter();
    trials
        .find(|trial| trial.moment == moment)
        .expect("each subject has each moment")
}

#[track_caller]
fn goes_on(trial: &Trial) {
    let outcome = outcome(trial, PATIENT);
    assert!(
        matches!(outcome, Outcome::WentOn { .. }),
        "{}: {outcome:?}",
        named(trial)
    );
}

#[track_caller]
fn hangs(trial: &Trial) {
    assert_eq!(outcome(trial, SHORT), Outcome::Hung, "{}", named(trial));
}

fn ours_never_hang() {
    let mut ours = deaths::all();
    ours.retain(|trial| trial.whose == Whose::Ours);
    assert_eq!(ours.len(), 8 * Moment::ALL.len());
    for _ in 0..2 {
        ours.iter().for_each(goes_on);
    }
}

fn raw_syncs_mutex_hangs() {
    hangs(&at("raw_sync Mutex", Moment::Holding));
    goes_on(&at("raw_sync Mutex", Moment::Waiting));
    hangs(&at("raw_sync Mutex", Moment::BeingWoken));
}

fn what_is_not_robust_hangs_while_held() {
    for subject in [
        "raw_sync RwLock, reader",
        "raw_sync RwLock, writer",
        "sem_t",
    ] {
        hangs(&at(subject, Moment::Holding));
    }
    let cpython = at("CPython Lock", Moment::Holding);
    let outcome = outcome(&cpython, SHORT);
    assert!(
        matches!(outcome, Outcome::Hung | Outcome::Absent),
        "{outcome:?}"
    );
}

fn a_robust_mutex_goes_on() {
    of("pthread robust mutex").iter().for_each(goes_on);
}

fn trial<S: Subject>(moment: Moment) -> Trial {
    Trial {
        subject: "test",
        whose: Whose::Theirs,
        how: S::HOW,
        moment,
        run: scene::play::<S>,
    }
}

/// The others wait in vain, so that only the report of the one that fails can tell.
fn whoever_fails_is_reported_at_once() {
    fn fails<const WHO: u8>() {
        for moment in Moment::ALL {
            let failure = once(&trial::<Faulty<WHO>>(moment), PATIENT)
                .expect_err("one of the processes fails");
            assert!(matches!(failure, Failure::Reported { .. }), "{failure}");
            assert!(failure.to_string().contains("taken twice"), "{failure}");
        }
    }
    fails::<HOLDER>();
    fails::<OTHER>();
}

const HOLDER: u8 = 0;
const OTHER: u8 = 1;
const NOBODY: u8 = 2;

/// One of the processes fails, as if it had taken an end twice; if nobody does, nobody waits.
struct Faulty<const WHO: u8>;

impl<const WHO: u8> Subject for Faulty<WHO> {
    type Handle = ();
    const HOW: &'static str = "";

    fn create(_: Moment) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handle(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn have((): &(), meanwhile: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        if WHO == HOLDER {
            return Err(Failure::EndTaken);
        }
        meanwhile()
    }

    fn go_on((): &(), who: Who) -> Result<(), Failure> {
        match (WHO, who) {
            (OTHER, Who::Other(1)) => Err(Failure::EndTaken),
            (NOBODY, _) => Ok(()),
            _ => loop {
                std::thread::park();
            },
        }
    }
}

fn a_kill_that_comes_too_late() {
    let outcome = outcome(&trial::<Faulty<NOBODY>>(Moment::BeingWoken), PATIENT);
    assert_eq!(outcome, Outcome::TooLate);
}

fn a_victim_that_is_not_woken_is_killed_all_the_same() {
    const NOT_EVEN_A_FAILURE: u8 = 3;
    hangs(&trial::<Faulty<NOT_EVEN_A_FAILURE>>(Moment::BeingWoken));
}
