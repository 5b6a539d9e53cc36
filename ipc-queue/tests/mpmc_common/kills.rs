//! Workers are killed and stopped at random moments, and replaced; the books show that every message
//! that was committed was finished exactly once, or again only after its receiver died.

use super::ledger::{Held, Ledger, Phase};
use super::worker::{Form, Kind, SCOPE, Seat};
use super::{Random, from_env, segment_for};
use ipc_core::{Segment, Wait};
use ipc_process::{ExitStatusKind, Process};
use ipc_queue::mpmc::Stats;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const MESSAGES_PER_SEAT: usize = 2_000_000;

/// How a run is set up.
pub struct Plan {
    pub capacity: usize,
    pub senders: u32,
    pub receivers: u32,
    pub kills: u64,
    /// Of so many strikes, one stops its victim for a while instead.
    pub stop_one_in: u64,
    pub forms: &'static [Form],
    pub waits: &'static [Wait],
    /// The lap in which positions start.
    pub first_lap: u64,
}

/// What is struck.
pub trait Subject: Sized {
    /// Room that it takes of a segment.
    fn bytes(plan: &Plan) -> usize;
    fn create(segment: &Segment, plan: &Plan) -> Self;
    /// Takes what is left when all workers are gone, as the receiver of a seat.
    fn take_the_rest(&self, ledger: &Ledger, seat: usize);
    /// All of the capacity is there, and the end comes.
    fn nothing_is_missing(&self, plan: &Plan);
    fn stats(&self) -> Stats;
}

pub struct Run<S> {
    plan: Plan,
    test: &'static str,
    segment: Segment,
    subject: S,
    ledger: Ledger,
    workers: Vec<(Seat, Process)>,
    stopped: Vec<usize>,
    /// Messages in doubt because their sender was killed.
    doubtful: HashSet<usize>,
    /// How often a receiver was killed that had this message; and of those, while it finished it.
    orphaned: HashMap<usize, (u64, u64)>,
    random: Random,
    kills: u64,
    stops: u64,
}

impl<S: Subject> Run<S> {
    fn new(plan: Plan, test: &'static str) -> Self {
        let size = S::bytes(&plan) + Ledger::bytes(plan.senders as usize, MESSAGES_PER_SEAT);
        // Hardly more than there are of them: whoever joins must first sweep the dead.
        let segment = segment_for(size, plan.senders + plan.receivers + 4);
        let subject = S::create(&segment, &plan);
        let ledger = Ledger::create(&segment, plan.senders as usize, MESSAGES_PER_SEAT);
        let seed = from_env("MPMC_SEED", u64::from(std::process::id()));
        println!("MPMC_SEED={seed}");
        let mut run = Self {
            workers: Vec::new(),
            stopped: Vec::new(),
            doubtful: HashSet::new(),
            orphaned: HashMap::new(),
            random: Random::new(seed),
            kills: 0,
            stops: 0,
            plan,
            test,
            segment,
            subject,
            ledger,
        };
        for number in 0..run.plan.senders {
            run.seat(Kind::Sender, number);
        }
        for number in 0..run.plan.receivers {
            run.seat(Kind::Receiver, number);
        }
        run
    }

    fn seat(&mut self, kind: Kind, number: u32) {
        let nth = number as usize;
        let seat = Seat {
            kind,
            number,
            generation: 0,
            form: self.plan.forms[nth % self.plan.forms.len()],
            wait: self.plan.waits[nth % self.plan.waits.len()],
        };
        let process = seat.start(SCOPE, self.test, &self.segment);
        self.workers.push((seat, process));
    }

    /// Kills and stops until there were enough kills.
    fn strike(&mut self) {
        while self.kills < self.plan.kills && self.ledger.faults() == 0 {
            let pause = self.random.below(3_000);
            std::thread::sleep(Duration::from_micros(pause));
            let victim = self.random.below(self.workers.len() as u64) as usize;
            if self.stopped.len() > 2 || self.random.below(4) == 0 {
                self.resume_one();
            }
            if self.random.below(self.plan.stop_one_in) == 0 && !self.stopped.contains(&victim) {
                let (seat, process) = &mut self.workers[victim];
                if let Err(error) = process.stop() {
                    panic!("{seat:?}: {error}: {:?}", process.join());
                }
                self.stopped.push(victim);
                self.stops += 1;
            } else {
                self.kill(victim);
            }
        }
        while !self.stopped.is_empty() {
            self.resume_one();
        }
    }

    fn resume_one(&mut self) {
        if self.stopped.is_empty() {
            return;
        }
        let which = self.random.below(self.stopped.len() as u64) as usize;
        let index = self.stopped.swap_remove(which);
        self.workers[index].1.resume().unwrap();
    }

    fn kill(&mut self, victim: usize) {
        let (seat, process) = &mut self.workers[victim];
        process.kill().unwrap();
        let exit = process.join().unwrap();
        // None ends by itself as long as there are some to kill.
        assert_eq!(exit.status, ExitStatusKind::Signal(9), "{seat:?}: {exit:?}");
        self.stopped.retain(|&it| it != victim);
        self.kills += 1;
        match seat.kind {
            Kind::Sender => {
                if let Some(number) = self.ledger.in_doubt(seat.number) {
                    let index = self.ledger.index_of(seat.number, number);
                    self.doubtful.insert(index);
                    // The next one goes on behind it.
                    self.ledger.done(seat.number, number);
                }
            }
            Kind::Receiver => match self.ledger.take_held(seat.number as usize) {
                Held::Nothing => {}
                Held::Working(index) => self.orphaned.entry(index).or_default().0 += 1,
                Held::Finishing(index) => {
                    let orphan = self.orphaned.entry(index).or_default();
                    orphan.0 += 1;
                    orphan.1 += 1;
                }
            },
        }
        seat.generation += 1;
        *process = seat.start(SCOPE, self.test, &self.segment);
    }

    /// Lets the workers come to an end.
    fn drain(&mut self) {
        self.ledger.set_phase(Phase::Drain);
        for (seat, process) in &mut self.workers {
            let exit = process
                .join_timeout(super::PATIENCE)
                .unwrap()
                .unwrap_or_else(|| panic!("{seat:?} does not come to an end"));
            assert!(exit.success(), "{seat:?}: {exit:?}");
        }
    }

    fn audit(&self) {
        let (mut committed, mut again, mut vanished) = (0, 0, 0);
        for seat in 0..self.plan.senders {
            for number in 0..self.ledger.intended(seat) {
                let index = self.ledger.index_of(seat, number);
                let (got, finished) = self.ledger.counts(index);
                let (orphaned, finishing) = self.orphaned.get(&index).copied().unwrap_or_default();
                let name = format!(
                    "number {number} of seat {seat}: got {got}, finished {finished}, \
                     orphaned {orphaned}, {finishing} of these while finishing"
                );
                if got == 0 && orphaned == 0 && self.doubtful.contains(&index) {
                    vanished += 1;
                    continue;
                }
                committed += 1;
                again += u64::from(orphaned > 0);
                // A killed receiver may have finished it, if it was about to.
                assert!(finished + finishing >= 1, "lost: {name}");
                assert!(finished <= 1, "doubled: {name}");
                // Each time but one it was got by one that died with it.
                assert!(got <= orphaned + 1, "doubled: {name}");
            }
        }
        let stats = self.subject.stats();
        println!(
            "{} kills, {} stops: {committed} messages, {again} orphaned, {vanished} of {} in \
             doubt vanished; {stats:?}",
            self.kills,
            self.stops,
            self.doubtful.len()
        );
        assert!(committed > 0);
        assert_eq!(self.ledger.faults(), 0);
    }
}

/// The same plan again and again in a soak.
pub fn run<S: Subject>(test: &'static str, plan: impl Fn() -> Plan) {
    for _ in 0..from_env("MPMC_ROUNDS", 1) {
        let mut run = Run::<S>::new(plan(), test);
        run.strike();
        run.drain();
        run.segment.recover().unwrap();
        run.subject.take_the_rest(&run.ledger, 63);
        run.subject.nothing_is_missing(&run.plan);
        run.audit();
    }
}
