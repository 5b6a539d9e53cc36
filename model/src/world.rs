//! What may happen in the modelled world: a process makes its next access, a store drains, a
//! process is killed, a newcomer takes its place.

use crate::rules::Rule;
use crate::state::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Producer { messages: u8 },
    Consumer,
}

/// How large a world is, what can happen in it, and which rule of the protocol it lacks, if any.
#[derive(Clone, Debug)]
pub struct World {
    pub slots: u8,
    pub roles: Vec<Role>,
    pub kills: u8,
    /// How many newcomers may take the places of the dead.
    pub newcomers: u8,
    /// Whether producers may give up what they have claimed.
    pub drops: bool,
    /// How often consumers may give a message back.
    pub releases_back: u8,
    /// Whether receivers work in place: they say how far they are before they read, not after.
    pub guards: bool,
    /// Whether receivers may take several messages before they say how far they are.
    pub slices: bool,
    /// Whether receivers may look at all slots again at any time.
    pub refreshes: bool,
    /// Whether somebody may close the stream.
    pub closes: bool,
    /// Whether both sides of a store-load race pay for a fence, in place of `membarrier`.
    pub symmetric: bool,
    pub without: Option<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process makes its next access; where it has a choice, this one.
    Step {
        process: u8,
        choice: Choice,
    },
    Drain {
        process: u8,
    },
    Kill {
        process: u8,
    },
    Join {
        process: u8,
    },
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Only,
    /// To give up a claim, or to give a message back.
    GiveUp,
    /// To go on with a slice.
    More,
    /// To look at all slots again, as a receiver does now and then.
    Afresh,
    Sweep {
        dead: u8,
    },
}

/// What must never happen, and did.
pub type Violation = String;
pub type Outcome = Result<(), Violation>;

impl World {
    pub fn new(slots: u8, producers: &[u8], consumers: usize) -> Self {
        let mut roles: Vec<Role> = producers
            .iter()
            .map(|&messages| Role::Producer { messages })
            .collect();
        roles.extend(std::iter::repeat_n(Role::Consumer, consumers));
        assert!(usize::from(slots) <= SLOTS && roles.len() <= PROCESSES - 2);
        Self {
            slots,
            roles,
            kills: 0,
            newcomers: 0,
            drops: false,
            releases_back: 0,
            guards: false,
            slices: false,
            refreshes: false,
            closes: false,
            symmetric: false,
            without: None,
        }
    }

    pub fn kills(self, kills: u8, newcomers: u8) -> Self {
        Self {
            kills,
            newcomers,
            ..self
        }
    }

    pub fn without(self, rule: Rule) -> Self {
        Self {
            without: Some(rule),
            ..self
        }
    }

    pub fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    pub fn start(&self) -> State {
        let slots = usize::from(self.slots);
        let mut words = [Word::default(); SLOTS];
        words[..slots].fill(Word::free(1));
        let mut processes = [Process::ABSENT; PROCESSES];
        for process in &mut processes[..self.roles.len()] {
            *process = Process {
                life: Life::Alive,
                cursor: self.slots,
                ..Process::ABSENT
            };
        }
        State {
            claims: [Claim::default(); SLOTS],
            words,
            payloads: [NOTHING; SLOTS],
            late: 0,
            end: End::Open,
            tail: self.slots,
            head: self.slots,
            head_seen: 0,
            processes,
            ledger: Ledger::default(),
        }
    }

    pub fn slot(&self, position: u8) -> usize {
        usize::from(position % self.slots)
    }

    pub fn lap(&self, position: u8) -> u8 {
        position / self.slots
    }

    pub fn position(&self, lap: u8, slot: usize) -> u8 {
        lap * self.slots + slot as u8
    }

    /// Calls `each` with everything that can happen next.
    pub fn actions(&self, state: &State, mut each: impl FnMut(Action)) {
        for (index, process) in state.processes[..self.roles.len()].iter().enumerate() {
            let index_u8 = index as u8;
            match process.life {
                Life::Alive => {}
                Life::Absent if process.generation > 0 => {
                    if state.ledger.newcomers < self.newcomers {
                        each(Action::Join { process: index_u8 });
                    }
                    continue;
                }
                _ => continue,
            }
            self.choices(state, index, |choice| {
                each(Action::Step {
                    process: index_u8,
                    choice,
                })
            });
            if !process.buffer.is_empty() {
                each(Action::Drain { process: index_u8 });
            } else if state.ledger.kills < self.kills {
                // Only with an empty buffer: what a killed process has stored becomes visible
                // before its lock is gone, and until then it is as if it were stopped.
                each(Action::Kill { process: index_u8 });
            }
        }
        if self.closes && state.end == End::Open {
            each(Action::Close);
        }
    }

    fn choices(&self, state: &State, index: usize, mut each: impl FnMut(Choice)) {
        let process = &state.processes[index];
        match process.pc {
            Pc::Idle => {
                let has_work = match self.roles[index] {
                    Role::Producer { messages } => process.sent < messages,
                    Role::Consumer => true,
                } && !process.is_done;
                if has_work {
                    each(Choice::Only);
                    if self.refreshes
                        && process.seen != FORGOTTEN
                        && self.roles[index] == Role::Consumer
                    {
                        each(Choice::Afresh);
                    }
                }
                for dead in 0..self.roles.len() {
                    if state.processes[dead].life == Life::Dead {
                        each(Choice::Sweep { dead: dead as u8 });
                    }
                }
            }
            Pc::Write | Pc::P6Commit if self.drops => {
                each(Choice::Only);
                each(Choice::GiveUp);
            }
            Pc::Reading => {
                each(Choice::Only);
                if state.ledger.released_back < self.releases_back {
                    each(Choice::GiveUp);
                }
                if self.slices {
                    each(Choice::More);
                }
            }
            _ => each(Choice::Only),
        }
    }

    /// Whether all messages that there will be have been dealt with.
    pub fn is_over(&self, state: &State) -> bool {
        let ledger = &state.ledger;
        ledger.committed == ledger.finished
            && self
                .roles
                .iter()
                .zip(&state.processes)
                .all(|(role, process)| match role {
                    Role::Producer { messages } => {
                        process.sent == *messages && process.pc == Pc::Idle
                    }
                    Role::Consumer => true,
                })
    }

    pub fn apply(&self, state: &mut State, action: Action) -> Outcome {
        match action {
            Action::Step { process, choice } => self.step(state, usize::from(process), choice),
            Action::Drain { process } => {
                state.drain_one(usize::from(process));
                Ok(())
            }
            Action::Kill { process } => {
                state.ledger.kills += 1;
                state.kill(usize::from(process));
                Ok(())
            }
            Action::Join { process } => {
                state.ledger.newcomers += 1;
                self.come(state, usize::from(process));
                Ok(())
            }
            Action::Close => {
                state.end = End::Closed(0);
                Ok(())
            }
        }
    }

    fn step(&self, state: &mut State, me: usize, choice: Choice) -> Outcome {
        use Pc::*;
        match state.processes[me].pc {
            Idle => {
                // Beginning is not an access: the first one follows at once.
                match (choice, self.role(me)) {
                    (Choice::Sweep { dead }, _) => self.begin_sweep(state, me, usize::from(dead)),
                    (_, Role::Producer { .. }) => state.processes[me].pc = P1Hint,
                    (_, Role::Consumer) => {
                        state.processes[me].pc = C1Hint;
                        if choice == Choice::Afresh {
                            state.processes[me].seen = FORGOTTEN;
                        }
                    }
                }
                self.step(state, me, Choice::Only)
            }
            JoinHead | JoinFirst | JoinMiddle => self.join(state, me),
            P1Hint | P2Claim | P3Word | P4Take | P5End | Write | P6Commit | P7Look | P9Claim
            | P10Withdraw | P16End | P17Settle | P18Word | P19Claim | P11Late | P12Unname
            | P13Claim | P13GiveBack | P14Confirm | P14End | P15Claim | P15Word | V1Barrier
            | V2Word | V3Void => self.push(state, me, choice),
            E1End | E2Claim | E2Word | E3Revoke | E4Barrier | E5Claim | E5Word | E6End => {
                self.judge(state, me)
            }
            S1Claim | S1Named | S2Word | S3Claim | S4Word | S4Named | S5Word | S6Late | S7Bury => {
                self.sweep(state, me)
            }
            C1Hint | C2Word | C3Late | C3Claim | C3Previous | C4Take | A1End | A2Claim
            | A3Settle | A4Accept | A5Claim | A5Reject | A6Free | C5Claim | C5Word | C5Previous
            | C5Late | C6Mark | C6Barrier | C6Word | C8Hint | C9Scan | C9Take | Reading
            | C10Late => self.pop(state, me, choice),
        }
    }

    /// Somebody attaches at a place that nobody has.
    pub fn come(&self, state: &mut State, place: usize) {
        let before = &state.processes[place];
        state.processes[place] = Process {
            life: Life::Alive,
            generation: before.generation,
            sent: before.sent,
            pc: match self.role(place) {
                Role::Consumer => Pc::JoinHead,
                Role::Producer { .. } => Pc::JoinFirst,
            },
            ..Process::ABSENT
        };
    }

    /// Those whom the checks add: a producer, then a consumer.
    pub const FRESH_PRODUCER: usize = PROCESSES - 2;
    pub const FRESH_CONSUMER: usize = PROCESSES - 1;

    pub fn role(&self, index: usize) -> Role {
        match index {
            Self::FRESH_PRODUCER => Role::Producer {
                messages: PER_PRODUCER,
            },
            Self::FRESH_CONSUMER => Role::Consumer,
            _ => self.roles[index],
        }
    }
}
