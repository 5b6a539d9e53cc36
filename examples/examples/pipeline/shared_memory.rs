//! Our own lane: the harness.

use crate::lane::{Error, Lane, Work};
use examples::{TextBlock, WordCounter, WordCounts, blocks};
use ipc_queue::harness::{Harness, Params, Sink, Source, WorkResult};

/// Messages in the ring: 1 MiB of text, which fits a second-level cache.
const CAPACITY: usize = 256;

fn harness(work: Work) -> Harness<'static, TextBlock> {
    let harness = Harness::new(match work {
        Work::CheckOnly => "pipeline-check",
        Work::CountWords => "pipeline-count",
    });
    harness
        .capacity(CAPACITY)
        .producer(send_text)
        .consumer(move |sink| match work {
            Work::CheckOnly => check(sink),
            Work::CountWords => count_words(sink),
        })
}

fn send_text(source: &mut Source<TextBlock>) -> WorkResult {
    let text = source.params();
    for block in blocks(&text) {
        source.send(block)?;
    }
    Ok(())
}

/// The harness has checked each message; what is left is to look at it.
fn check(sink: &mut Sink<TextBlock>) -> WorkResult {
    while let Some(block) = sink.receive()? {
        block.as_text()?;
    }
    Ok(())
}

fn count_words(sink: &mut Sink<TextBlock>) -> WorkResult {
    let mut counter = WordCounter::new();
    while let Some(block) = sink.receive()? {
        counter.feed(block.as_text()?);
    }
    Ok(sink.set_result(&counter.finish().to_bytes())?)
}

pub fn run_if_worker() {
    for work in [Work::CheckOnly, Work::CountWords] {
        harness(work).run_if_worker();
    }
}

pub fn run(work: Work, text: &Params, on_progress: impl Fn(u64)) -> Result<Lane, Error> {
    let report = harness(work)
        .params(text.clone())
        .on_progress(|progress| on_progress(progress.received))
        .run()?;
    let words = match work {
        Work::CheckOnly => None,
        Work::CountWords => Some(WordCounts::from_bytes(&report.consumers[0].result)?),
    };
    Ok(Lane {
        name: "shared memory",
        work,
        messages: report.messages.received,
        bytes: text.as_slice().len() as u64,
        elapsed: report.elapsed,
        lost: report.messages.lost,
        doubled: report.messages.doubled,
        torn: report.messages.torn,
        words,
        counted_right: true,
    })
}
