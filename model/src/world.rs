//! What may happen in the modelled world: a process makes its next access, a store drains, a
//! process is killed, a newcomer takes its place.

use crate::over::Question;
use crate::rules::Rule;
use crate::state::*;

/// What one process of a world does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It pushes.
    Producer {
        /// How many messages there are of it, and of who takes its place.
        messages: u8,
    },
    /// It pops, without end.
    Consumer,
}

/// How large a world is, what can happen in it, and which rule of the protocol it lacks, if any.
#[derive(Clone, Debug)]
pub struct World {
    /// How many slots the queue has.
    pub slots: u8,
    /// Who takes part: producers, then consumers.
    pub roles: Vec<Role>,
    /// How many may be killed.
    pub kills: u8,
    /// How many newcomers may take the places of the dead.
    pub newcomers: u8,
    /// Whether producers may give up what they have claimed.
    pub drops: bool,
    /// How many may leave in order: their places go to newcomers as those of the dead do.
    pub leaves: u8,
    /// How often somebody may forget what it has in its hands, and go on.
    pub forgets: u8,
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
    /// Whether somebody may ask at any time if a lap of a slot is over.
    pub asks: bool,
    /// Whether both sides of a store-load race pay for a fence, in place of `membarrier`.
    pub symmetric: bool,
    /// The rule that it lacks.
    pub without: Option<Rule>,
    /// The first lap: 255 is the last one that there is, for any number of slots.
    pub first_lap: u8,
    /// What has happened already: who made how many steps. Their stores have drained.
    pub opening: Vec<(u8, u8)>,
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
    /// Somebody asks whether the last lap of a slot that was claimed is over: makes the next of two
    /// accesses for it.
    Ask {
        slot: u8,
    },
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
    /// To forget what one has in one's hands.
    Forget,
    /// To leave, and before that to give back what was forgotten.
    Leave,
    Sweep {
        /// One bit for each.
        dead: u8,
    },
}

/// What must never happen, and did.
pub type Violation = String;
pub type Outcome = Result<(), Violation>;

impl World {
    /// A world of producers with so many messages each, and of consumers, in which nothing happens
    /// to anybody.
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
            leaves: 0,
            forgets: 0,
            drops: false,
            releases_back: 0,
            guards: false,
            slices: false,
            refreshes: false,
            closes: false,
            asks: false,
            symmetric: false,
            without: None,
            first_lap: 1,
            opening: Vec::new(),
        }
    }

    /// With so many kills, and newcomers who take their places.
    #[must_use]
    pub fn kills(self, kills: u8, newcomers: u8) -> Self {
        Self {
            kills,
            newcomers,
            ..self
        }
    }

    /// In which something has happened already: who made how many steps.
    #[must_use]
    pub fn after(self, opening: &[(u8, u8)]) -> Self {
        Self {
            opening: opening.to_vec(),
            ..self
        }
    }

    /// That lacks a rule.
    #[must_use]
    pub fn without(self, rule: Rule) -> Self {
        Self {
            without: Some(rule),
            ..self
        }
    }

    pub(crate) fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    pub(crate) fn start(&self) -> State {
        let slots = usize::from(self.slots);
        let mut words = [Word::NONE; SLOTS];
        let first_lap = self.lap_plus(self.first_lap, 0);
        words[..slots].fill(Word::free(first_lap));
        let mut claims = [Claim::NONE; SLOTS];
        claims[..slots].fill(Claim {
            lap: self.lap_plus(first_lap, -1),
            ..Claim::NONE
        });
        let first = self.position(first_lap, 0);
        let mut processes = [Process::ABSENT; PROCESSES];
        for (process, role) in processes.iter_mut().zip(&self.roles) {
            *process = Process {
                life: Life::Alive,
                cursor: first,
                // Senders have no use for it.
                seen: match role {
                    Role::Producer { .. } => FORGOTTEN,
                    Role::Consumer => 0,
                },
                ..Process::ABSENT
            };
        }
        let mut state = State {
            claims,
            words,
            payloads: [NOTHING; SLOTS],
            late: 0,
            end: End::Open,
            tail: first,
            head: first,
            head_seen: 0,
            claimed: [self.lap_plus(first_lap, -1); SLOTS],
            question: Question::None,
            processes,
            ledger: Ledger::default(),
        };
        for &(process, steps) in &self.opening {
            let process = usize::from(process);
            for _ in 0..steps {
                self.step(&mut state, process, Choice::Only)
                    .expect("an opening is harmless");
            }
            state.drain(process);
        }
        state
    }

    /// Calls `each` with everything that can happen next.
    pub(crate) fn actions(&self, state: &State, mut each: impl FnMut(Action)) {
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
        if self.asks {
            match state.question {
                Question::None => (0..self.slots).for_each(|slot| each(Action::Ask { slot })),
                Question::Asked { slot, .. } => each(Action::Ask { slot }),
                Question::Over { .. } => {}
            }
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
                if state.ledger.left < self.leaves {
                    each(Choice::Leave);
                }
                let dead = self.dead(state);
                for dead in (1..=dead).filter(|some| some & dead == *some) {
                    each(Choice::Sweep { dead });
                }
            }
            Pc::Write | Pc::P6Commit => {
                each(Choice::Only);
                if self.drops {
                    each(Choice::GiveUp);
                }
                if state.ledger.forgotten < self.forgets {
                    each(Choice::Forget);
                }
            }
            Pc::Reading => {
                each(Choice::Only);
                if state.ledger.forgotten < self.forgets {
                    each(Choice::Forget);
                }
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

    /// Those of whom nobody has finished the sweep, one bit for each.
    pub(crate) fn dead(&self, state: &State) -> u8 {
        (0..self.roles.len())
            .filter(|&it| state.processes[it].life == Life::Dead)
            .fold(0, |dead, it| dead | 1 << it)
    }

    /// Whether all messages that there will be have been dealt with.
    pub(crate) fn is_over(&self, state: &State) -> bool {
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

    pub(crate) fn apply(&self, state: &mut State, action: Action) -> Outcome {
        match action {
            Action::Step { process, choice } => self.step(state, usize::from(process), choice)?,
            Action::Drain { process } => {
                state.drain_one(usize::from(process));
            }
            Action::Kill { process } => {
                state.ledger.kills += 1;
                state.kill(usize::from(process));
            }
            Action::Join { process } => {
                state.ledger.newcomers += 1;
                self.come(state, usize::from(process));
            }
            Action::Close => state.end = End::Closed(0),
            Action::Ask { slot } => self.ask(state, slot),
        }
        self.over_is_over(state)
    }

    fn step(&self, state: &mut State, me: usize, choice: Choice) -> Outcome {
        use Pc::*;
        if choice == Choice::Forget {
            state.ledger.forgotten += 1;
            state.processes[me].forgot += 1;
            state.processes[me].slice_late = None;
            state.processes[me].rest();
            return Ok(());
        }
        match state.processes[me].pc {
            Idle => {
                // Beginning is not an access: the first one follows at once.
                match (choice, self.role(me)) {
                    (Choice::Sweep { dead }, _) => self.begin_sweep(state, me, dead),
                    (Choice::Leave, _) => self.begin_to_leave(state, me),
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
            | P10Withdraw | P16End | P17Settle | P18Word | P19Claim | P20Word | P11Late
            | P12Unname | P13Claim | P13GiveBack | P14Confirm | P14End | P15Claim | P15Word
            | V1Barrier | V2Word | V3Void => self.push(state, me, choice),
            E1End | E2Claim | E2Word | E3Revoke | E4Barrier | E5Claim | E5Word | E6End => {
                self.judge(state, me)
            }
            S1Claim | S1Named | S2Word | S3Claim | S4Word | S4Named | S5Word | S6Late | S7Bury
            | S7Leave => self.sweep(state, me),
            C1Hint | C2Word | C3Late | C3Claim | C3Previous | C4Take | A1End | A2Claim
            | A3Settle | A4Accept | A5Claim | A5Reject | A6Free | C5Claim | C5Word | C5Previous
            | C5Late | C6Mark | C6Barrier | C6Word | C8Hint | C9Scan | C9Take | Reading
            | C10Late => self.pop(state, me, choice),
        }
    }

    /// Somebody attaches at a place that nobody has.
    pub(crate) fn come(&self, state: &mut State, place: usize) {
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
    pub(crate) const FRESH_PRODUCER: usize = PROCESSES - 2;
    pub(crate) const FRESH_CONSUMER: usize = PROCESSES - 1;

    pub(crate) fn role(&self, index: usize) -> Role {
        match index {
            Self::FRESH_PRODUCER => Role::Producer {
                messages: PER_PRODUCER,
            },
            Self::FRESH_CONSUMER => Role::Consumer,
            _ => self.roles[index],
        }
    }
}
