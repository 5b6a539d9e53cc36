//! Runs traffic between several senders and several receivers, spread over the two CPUs.
//!
//! The runner opens the gate and sleeps; the time of a phase goes from there to the moment at which
//! the last receiver has got its [`END`](crate::tally::END).

use std::hash::{BuildHasher, RandomState};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::thread;
use std::time::Duration;

use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::bystander::{Bystander, Process, Stop};
use crate::case::{Context, Sample};
use crate::channel::Channel;
use crate::companion::Companion;
use crate::cpu;
use crate::failure::Failure;
use crate::fork;
use crate::gate::{Gate, Sent};
use crate::line::{line, now, ready};
use crate::measure::Placement;
use crate::pair::{guarded, report, report_failure};
use crate::shared::Shared;
use crate::tally::{self, Tally};
use crate::traffic::Traffic;
use crate::workloads::millions_per_second;

/// Items that a sender sends between two looks whether it is enough: so many that the looks cost
/// nothing, and as many as the longest slice in use has.
const ITEMS_PER_LOOK: u64 = 64;

/// Measures between `SENDERS` and `RECEIVERS` processes that it forks, and the bystander `B`, if
/// there is one. The caller has one thread.
///
/// # Errors
/// Those of the contender, [`Failure::Threads`], [`Failure::WrongItems`], [`Failure::Left`]; one of
/// the crew that fails reports for itself.
pub fn in_processes<T, B, const SENDERS: usize, const RECEIVERS: usize>(
    context: &Context<'_>,
) -> Result<Sample, Failure>
where
    T: Traffic,
    B: Bystander<T::Channel>,
{
    let companion = Companion::fork(context.cpus[0])?;
    cpu::pin(context.cpus[1])?;
    let before = companion.look()?;

    let gate = Shared::<Gate>::new()?;
    let mut channel = T::Channel::create(context.scratch)?;
    let bystander = bystander::<T, B>(&mut channel, context)?;
    let mut crew = Vec::new();
    let words = seats(SENDERS, RECEIVERS, context)
        .map(|seat| {
            let (words, mut writer) = line()?;
            crew.push(fork::spawn(|| {
                let done = guarded(|| {
                    let end = seat.take_end::<T>(&mut channel)?;
                    take_part::<T>(end, &seat, &gate, RECEIVERS, &mut writer)
                });
                report_failure(done, context.report)
            })?);
            Ok((seat, words))
        })
        .collect::<Result<_, Failure>>()?;
    let at_work = match B::STOP {
        Stop::AtWork => bystander.as_ref(),
        Stop::Never | Stop::BeforeTheCrew => None,
    };
    let gate = &gate;
    let lead = Lead {
        gate,
        words,
        agree: T::agree,
    };
    let rate = lead.measure(context.budget, at_work)?;
    for process in crew {
        wait_for(process)?;
    }
    drop(bystander);

    Ok(Sample {
        figures: vec![rate],
        distances: [before, companion.look()?],
    })
}

/// Measures between `SENDERS` and `RECEIVERS` threads that it starts. The caller has one thread.
///
/// # Errors
/// As [`in_processes`].
pub fn in_threads<T, const SENDERS: usize, const RECEIVERS: usize>(
    context: &Context<'_>,
) -> Result<Sample, Failure>
where
    T: Traffic<Sender: Send, Receiver: Send>,
{
    let companion = Companion::fork(context.cpus[0])?;
    cpu::pin(context.cpus[1])?;
    let before = companion.look()?;

    let gate = &Gate::default();
    let mut channel = T::Channel::create(context.scratch)?;
    let rate = thread::scope(|scope| {
        let outcome = guarded(|| {
            let words = seats(SENDERS, RECEIVERS, context)
                .map(|seat| {
                    let (words, mut writer) = line()?;
                    let end = seat.take_end::<T>(&mut channel)?;
                    let theirs = seat.clone();
                    scope.spawn(move || {
                        let done =
                            guarded(|| take_part::<T>(end, &theirs, gate, RECEIVERS, &mut writer));
                        report_failure(done, context.report)
                    });
                    Ok((seat, words))
                })
                .collect::<Result<_, Failure>>()?;
            let lead = Lead {
                gate,
                words,
                agree: T::agree,
            };
            lead.measure(context.budget, None)
        });
        // At once, because the scope ends only with the crew, which may wait in vain for more.
        if outcome.is_err() {
            report(&outcome, context.report);
        }
        outcome
    })?;

    Ok(Sample {
        figures: vec![rate],
        distances: [before, companion.look()?],
    })
}

/// The bystander, stopped if that comes before the crew.
fn bystander<T: Traffic, B: Bystander<T::Channel>>(
    channel: &mut T::Channel,
    context: &Context<'_>,
) -> Result<Option<Process>, Failure> {
    if B::STOP == Stop::Never {
        return Ok(None);
    }
    let process = Process(fork::spawn(|| {
        let done = guarded(|| {
            cpu::pin(context.cpus[0])?;
            B::act(channel)
        });
        report_failure(done, context.report)
    })?);
    if B::STOP == Stop::BeforeTheCrew {
        process.wait_until_stopped()?;
    }
    Ok(Some(process))
}

/// What one of a crew does, and where.
#[derive(Clone, Debug)]
struct Seat {
    role: Role,
    cpus: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The sender of this number.
    Sender(usize),
    Receiver,
}

/// The end that somebody holds.
enum End<T: Traffic> {
    /// It, and the next item.
    Sender(T::Sender, u64),
    Receiver(T::Receiver),
}

/// The senders from the first CPU on and the receivers from the second on, in turn: one to one, they
/// are on two, and of more, each CPU has half of either.
fn seats(senders: usize, receivers: usize, context: &Context<'_>) -> impl Iterator<Item = Seat> {
    let (cpus, placement) = (context.cpus, context.placement);
    let at = move |number: usize| match placement {
        Placement::Bound => vec![cpus[number % 2]],
        Placement::Free => cpus.to_vec(),
    };
    let senders = (0..senders).map(move |number| Seat {
        role: Role::Sender(number),
        cpus: at(number),
    });
    let receivers = (0..receivers).map(move |number| Seat {
        role: Role::Receiver,
        cpus: at(number + 1),
    });
    senders.chain(receivers)
}

impl Seat {
    fn take_end<T: Traffic>(&self, channel: &mut T::Channel) -> Result<End<T>, Failure> {
        Ok(match self.role {
            Role::Sender(number) => End::Sender(T::sender(channel)?, tally::first_of(number)),
            Role::Receiver => End::Receiver(T::receiver(channel)?),
        })
    }
}

/// One of a crew: phase after phase, as announced. Gives its word when it is ready, and after each.
fn take_part<T: Traffic>(
    mut end: End<T>,
    seat: &Seat,
    gate: &Gate,
    receivers: usize,
    words: &mut PipeWriter,
) -> Result<(), Failure> {
    cpu::confine(&seat.cpus)?;
    let mut give = |tally| {
        words
            .write_all(&Word { tally, at: now()? }.to_bytes())
            .map_err(Failure::system("give the runner word"))
    };
    give(Tally::default())?;
    let mut seen = 0;
    while let Some(phase) = gate.next(seen) {
        seen = phase;
        give(match &mut end {
            End::Sender(sender, next) => {
                let first = *next;
                while gate.goes_on(phase) {
                    T::send(sender, *next..*next + ITEMS_PER_LOOK)?;
                    *next += ITEMS_PER_LOOK;
                }
                if gate.sent() == Sent::All {
                    for _ in 0..receivers {
                        T::send_end(sender)?;
                    }
                }
                Tally::of(first..*next)
            }
            End::Receiver(receiver) => T::receive(receiver)?,
        })?;
    }
    Ok(())
}

/// What the runner is told after a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    /// Of the items sent, or received.
    tally: Tally,
    /// When the phase was over for this one, in ns.
    at: u64,
}

impl Word {
    const LENGTH: usize = 4 * size_of::<u64>();

    fn to_bytes(self) -> [u8; Self::LENGTH] {
        let Tally { count, sum, xor } = self.tally;
        let mut bytes = [0; Self::LENGTH];
        for (part, number) in bytes.chunks_mut(8).zip([count, sum, xor, self.at]) {
            part.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let (numbers, _) = bytes.as_chunks();
        let number = |index: usize| u64::from_ne_bytes(numbers[index]);
        Self {
            tally: Tally {
                count: number(0),
                sum: number(1),
                xor: number(2),
            },
            at: number(3),
        }
    }
}

fn wait_for(process: Pid) -> Result<(), Failure> {
    waitpid(process, None)
        .map(drop)
        .map_err(Failure::errno("wait for the crew"))
}

/// The runner's side.
struct Lead<'a> {
    gate: &'a Gate,
    words: Vec<(Seat, PipeReader)>,
    agree: fn(Tally, Tally) -> bool,
}

impl Lead<'_> {
    /// A phase to warm up, in which `at_work` is stopped, and then the one that counts, which lasts
    /// `budget`: in millions of items a second.
    fn measure(&self, budget: Duration, at_work: Option<&Process>) -> Result<f64, Failure> {
        self.gather()?;
        self.phase(budget / 2, at_work)?;
        let rate = self.phase(budget, None)?;
        self.gate.close();
        Ok(rate)
    }

    /// A phase in which items are sent for so long, and `to_stop` is stopped at a random moment.
    fn phase(&self, length: Duration, to_stop: Option<&Process>) -> Result<f64, Failure> {
        let senders = self
            .words
            .iter()
            .filter(|(seat, _)| seat.role != Role::Receiver);
        let begin = now()?;
        self.gate.open(senders.count() as u64);
        let first_part = to_stop.map_or(Duration::ZERO, |_| at_random_in(length));
        if let Some(bystander) = to_stop {
            self.wait_for_words(first_part)?;
            bystander.stop()?;
        }
        self.wait_for_words(length - first_part)?;
        self.gate.enough();

        let (mut sent, mut received) = (Tally::default(), Tally::default());
        let mut end = begin;
        for (role, word) in self.gather()? {
            match role {
                Role::Sender(_) => sent = sent.and(word.tally),
                Role::Receiver => {
                    received = received.and(word.tally);
                    end = end.max(word.at);
                }
            }
        }
        if !(self.agree)(sent, received) {
            return Err(Failure::WrongItems {
                expected: received.count,
            });
        }
        let elapsed = Duration::from_nanos(end - begin);
        Ok(millions_per_second(received.count, elapsed))
    }

    /// The next word of each of the crew; blocks, without a limit, until all are there.
    fn gather(&self) -> Result<Vec<(Role, Word)>, Failure> {
        let mut waited_for: Vec<&(Seat, PipeReader)> = self.words.iter().collect();
        let mut gathered = Vec::with_capacity(waited_for.len());
        // In whatever order they come: one that ends without a word must not be waited for behind
        // another, which may wait for it.
        while !waited_for.is_empty() {
            let there = ready(waited_for.iter().map(|(_, words)| words), None)?;
            for index in there.into_iter().rev() {
                let (seat, words) = waited_for.swap_remove(index);
                let mut words = words;
                let mut bytes = [0; Word::LENGTH];
                words.read_exact(&mut bytes).map_err(|_| Failure::Left {
                    who: format!("one of the crew, {seat:?},"),
                })?;
                gathered.push((seat.role, Word::from_bytes(bytes)));
            }
        }
        Ok(gathered)
    }

    /// Waits until somebody gives a word or ends, which none does as long as all is well, or until
    /// `limit` has passed.
    fn wait_for_words(&self, limit: Duration) -> Result<(), Failure> {
        ready(self.words.iter().map(|(_, words)| words), Some(limit)).map(drop)
    }
}

/// A random time less than `limit`.
pub(crate) fn at_random_in(limit: Duration) -> Duration {
    // Each RandomState has keys of its own.
    let part = RandomState::new().hash_one(()) >> 32;
    limit.mul_f64(part as f64 / 2f64.powi(32))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn crew(senders: usize, receivers: usize, placement: Placement) -> Vec<Seat> {
        let (_, report) = std::io::pipe().expect("there is a pipe");
        let context = Context {
            cpus: [3, 5],
            placement,
            budget: Duration::ZERO,
            scratch: Path::new(""),
            report: &report,
        };
        seats(senders, receivers, &context).collect()
    }

    #[test]
    fn a_crew_is_spread_evenly() {
        let on = |of_each, cpu| {
            let mut here = crew(of_each, of_each, Placement::Bound);
            here.retain(|seat| seat.cpus == [cpu]);
            let senders = here.iter().filter(|seat| seat.role != Role::Receiver);
            (senders.count(), here.len())
        };
        assert_eq!((on(1, 3), on(1, 5)), ((1, 1), (0, 1)));
        assert_eq!((on(2, 3), on(2, 5)), ((1, 2), (1, 2)));
        assert_eq!((on(4, 3), on(4, 5)), ((2, 4), (2, 4)));
    }

    #[test]
    fn a_free_crew_may_use_both_cpus() {
        let seats = crew(2, 2, Placement::Free);
        assert_eq!(seats.len(), 4);
        assert!(seats.iter().all(|seat| seat.cpus == [3, 5]));
    }

    #[test]
    fn a_word_arrives_as_it_was_given() {
        let word = Word {
            tally: Tally {
                count: 1,
                sum: u64::MAX,
                xor: 3,
            },
            at: 1 << 40,
        };
        assert_eq!(Word::from_bytes(word.to_bytes()), word);
    }

    #[test]
    fn a_random_moment_is_within_the_limit() {
        let limit = Duration::from_millis(3);
        let moments: Vec<Duration> = (0..8).map(|_| at_random_in(limit)).collect();
        assert!(moments.iter().all(|&moment| moment < limit));
        assert!(moments.iter().any(|&moment| moment != moments[0]));
    }
}
