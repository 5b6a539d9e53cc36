//! Our own lane: the harness.

use crate::lane::{Error, Lane, Work};
use examples::{PIECE_LEN, WordCounter, WordCounts, pieces};
use ipc_queue::harness::{Harness, Params, Report, Sink, Source, WorkResult};

/// Messages in the queue: of one consumer two batches, one to count while the other is sent. (While
/// the consumer keeps up, the same few blocks are used again and again, whatever this is.)
const CAPACITY: usize = 512;

/// How many there are, and what happens to them.
#[derive(Clone, Copy, Debug)]
pub struct Crew {
    pub producers: usize,
    pub consumers: usize,
    pub kills: u32,
    pub stops: u32,
    /// The longest message.
    pub longest: usize,
}

impl Default for Crew {
    /// One process for each processor.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, |it| it.get());
        let half = (processors / 2).clamp(1, 256);
        Self {
            producers: half,
            consumers: half,
            kills: 0,
            stops: 0,
            longest: PIECE_LEN,
        }
    }
}

fn harness<'a>(work: Work, crew: &Crew) -> Harness<'a, [u8]> {
    let harness = match work {
        Work::CheckOnly => Harness::new("pipeline-check").consumers(crew.consumers, check),
        Work::CountWords => Harness::new("pipeline-count")
            .consumers(crew.consumers, count_words)
            .disturb(crew.kills, crew.stops),
    }
    .capacity(CAPACITY)
    .longest(crew.longest)
    .producers(crew.producers, send_text);
    blocks(crew.longest)
        .into_iter()
        .fold(harness, |harness, (size, number)| {
            harness.blocks(size, number)
        })
}

/// Sizes and numbers of blocks: one for each message; for longer lines a quarter as many of four
/// times the size, and so on up to the longest, but two of each, one to write and one to read.
fn blocks(longest: usize) -> Vec<(usize, usize)> {
    const MOST: usize = 8;
    let mut blocks = Vec::new();
    let mut size = PIECE_LEN;
    while size < longest && blocks.len() + 1 < MOST {
        blocks.push((size, (CAPACITY * PIECE_LEN / size).max(2)));
        size *= 4;
    }
    let number = (CAPACITY * PIECE_LEN / size).max(2);
    blocks.push((longest.max(PIECE_LEN), number));
    blocks
}

/// A producer's share of the text: each piece goes to the next producer.
fn share(text: &[u8], index: usize, of: usize) -> impl Iterator<Item = &[u8]> {
    pieces(text).skip(index).step_by(of)
}

/// Sends a share, and again as long as the run is to last. Leaves how often.
fn send_text(source: &mut Source<[u8]>) -> WorkResult {
    let text = source.params();
    let share: Vec<&[u8]> = share(&text, source.index(), source.count()).collect();
    let mut rounds = 0;
    if !share.is_empty() {
        let sent = source.skip_sent() as usize;
        let mut first = sent % share.len();
        rounds = (sent / share.len()) as u64;
        while rounds == 0 || first > 0 || source.is_asked_for_more() {
            for piece in &share[first..] {
                source.send_bytes(piece)?;
            }
            first = 0;
            rounds += 1;
        }
    }
    Ok(source.set_result(&rounds.to_ne_bytes())?)
}

/// The harness has checked each message, byte for byte.
fn check(sink: &mut Sink<[u8]>) -> WorkResult {
    while sink.receive_bytes()?.is_some() {}
    Ok(())
}

/// The counts of a batch are its effect: who dies before the commit has counted nothing.
fn count_words(sink: &mut Sink<[u8]>) -> WorkResult {
    while let Some(batch) = sink.batch()? {
        let mut counter = WordCounter::new();
        for piece in &batch {
            counter.feed_whole(piece);
        }
        batch.commit(&counter.finish().to_bytes())?;
    }
    Ok(())
}

/// The words of a text whose shares were sent so often.
pub fn expected(text: &[u8], rounds: &[u64]) -> WordCounts {
    let mut words = WordCounts::default();
    for (index, &times) in rounds.iter().enumerate() {
        let mut counter = WordCounter::new();
        share(text, index, rounds.len()).for_each(|piece| counter.feed_whole(piece));
        words.merge_times(&counter.finish(), times);
    }
    words
}

pub fn run_if_worker() {
    for work in [Work::CheckOnly, Work::CountWords] {
        harness(work, &Crew::default()).run_if_worker();
    }
}

pub fn run(
    work: Work,
    crew: &Crew,
    text: &Params,
    on_progress: impl Fn(u64),
) -> Result<Lane, Error> {
    let mut words = WordCounts::default();
    let mut damaged = None;
    let report = harness(work, crew)
        .params(text.clone())
        .on_progress(|progress| on_progress(progress.received))
        .on_effect(|effect| match WordCounts::from_bytes(effect) {
            Ok(more) => words.merge(&more),
            Err(error) => damaged = Some(error),
        })
        .run()?;
    if let Some(error) = damaged {
        return Err(error.into());
    }
    let rounds = rounds(&report);
    let mut bytes = 0;
    for (index, &times) in rounds.iter().enumerate() {
        let once: usize = share(text, index, rounds.len()).map(<[u8]>::len).sum();
        bytes += once as u64 * times;
    }
    Ok(Lane {
        name: "shared memory",
        work,
        messages: report.messages.received,
        bytes,
        elapsed: report.elapsed,
        lost: report.messages.lost,
        doubled: report.messages.doubled,
        torn: report.messages.torn,
        words: match work {
            Work::CheckOnly => None,
            Work::CountWords => Some(words),
        },
        rounds: match crew.kills + crew.stops {
            0 => Vec::new(),
            _ => rounds,
        },
        survived: report.survived,
        redelivered: report.messages.redelivered,
        counted_right: true,
    })
}

fn rounds(report: &Report) -> Vec<u64> {
    let of = |result: &[u8]| result.try_into().map_or(0, u64::from_ne_bytes);
    report.producers.iter().map(|it| of(&it.result)).collect()
}
