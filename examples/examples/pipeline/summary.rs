//! What there is to say at the end: a table for people, an object for programs.

use crate::lane::{Lane, Work};
use examples::WordCounts;
use serde_json::json;
use std::fmt;
use std::time::Duration;

#[derive(Debug)]
pub struct Summary {
    pub corpus: examples::Summary,
    /// Time taken to read the text into memory.
    pub reading: Duration,
    /// Time taken to count it in one process, without any transport.
    pub sequential: Duration,
    pub expected: WordCounts,
    /// Processes of the shared-memory lanes.
    pub producers: usize,
    pub consumers: usize,
    /// Shared memory first, for each kind of work.
    pub lanes: Vec<Lane>,
}

const TOP: usize = 10;

impl Summary {
    pub fn is_correct(&self) -> bool {
        self.lanes.iter().all(Lane::is_exact)
    }

    fn ours(&self, work: Work) -> &Lane {
        self.lane("shared memory", work)
    }

    fn lane(&self, name: &str, work: Work) -> &Lane {
        self.lanes
            .iter()
            .find(|lane| lane.name == name && lane.work == work)
            .expect("every lane is run with every work")
    }

    /// How many times as many messages a second as the named lane.
    fn ratio(&self, name: &str, work: Work) -> f64 {
        self.ours(work).messages_per_second() / self.lane(name, work).messages_per_second()
    }

    pub fn to_json(&self) -> serde_json::Value {
        let job = self.ours(Work::CountWords);
        let sum = |of: fn(&Lane) -> u64| self.lanes.iter().map(of).sum::<u64>();
        let top: Vec<_> = (self.expected.top(TOP).into_iter())
            .map(|(word, count)| json!({ "word": String::from_utf8_lossy(word), "count": count }))
            .collect();
        let lanes: Vec<_> = self.lanes.iter().map(lane_json).collect();
        json!({
            "files": self.corpus.files,
            "binaries_skipped": self.corpus.binaries_skipped,
            "unreadable_skipped": self.corpus.unreadable_skipped,
            "messages": job.messages,
            "bytes": job.bytes,
            "words": self.expected.total(),
            "distinct_words": self.expected.distinct(),
            "top": top,
            "lost": sum(|lane| lane.lost),
            "doubled": sum(|lane| lane.doubled),
            "torn": sum(|lane| lane.torn),
            "producers": self.producers,
            "consumers": self.consumers,
            "survived_kills": job.survived.kills,
            "survived_stops": job.survived.stops,
            "redelivered": job.redelivered,
            "seconds": job.elapsed.as_secs_f64(),
            "seconds_sequential": self.sequential.as_secs_f64(),
            "ratio_pipe": self.ratio("pipe", Work::CheckOnly),
            "ratio_file_append": self.ratio("append-only file", Work::CheckOnly),
            "ratio_file_json": self.ratio("JSON file", Work::CheckOnly),
            "job_ratio_pipe": self.ratio("pipe", Work::CountWords),
            "job_ratio_file_append": self.ratio("append-only file", Work::CountWords),
            "job_ratio_file_json": self.ratio("JSON file", Work::CountWords),
            "lanes": lanes,
            "correct": self.is_correct(),
        })
    }
}

fn lane_json(lane: &Lane) -> serde_json::Value {
    json!({
        "name": lane.name,
        "work": lane.work.to_string(),
        "messages": lane.messages,
        "bytes": lane.bytes,
        "seconds": lane.elapsed.as_secs_f64(),
        "messages_per_second": lane.messages_per_second(),
        "megabytes_per_second": lane.megabytes_per_second(),
        "lost": lane.lost,
        "doubled": lane.doubled,
        "torn": lane.torn,
        "correct": lane.is_exact(),
    })
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let corpus = &self.corpus;
        writeln!(
            f,
            "{} files, {:.1} MB of text, read in {:.2} s ({} binary and {} unreadable ones skipped)",
            grouped(corpus.files),
            corpus.bytes as f64 / 1e6,
            self.reading.as_secs_f64(),
            corpus.binaries_skipped,
            corpus.unreadable_skipped,
        )?;
        for work in [Work::CheckOnly, Work::CountWords] {
            writeln!(f)?;
            writeln!(
                f,
                "{:18}{:>10}{:>14}{:>11}{:>6}{:>9}{:>6}{:>22}",
                work.to_string(),
                "messages",
                "messages/s",
                "MB/s",
                "lost",
                "doubled",
                "torn",
                "shared memory is"
            )?;
            for lane in self.lanes.iter().filter(|lane| lane.work == work) {
                let ratio = if lane.name == self.ours(work).name {
                    String::new()
                } else {
                    format!("{:.1} times as fast", self.ratio(lane.name, work))
                };
                writeln!(
                    f,
                    "{:18}{:>10}{:>14}{:>11.1}{:>6}{:>9}{:>6}{:>22}",
                    lane.name,
                    grouped(lane.messages),
                    grouped(lane.messages_per_second() as u64),
                    lane.megabytes_per_second(),
                    lane.lost,
                    lane.doubled,
                    lane.torn,
                    ratio
                )?;
            }
        }
        writeln!(f)?;
        writeln!(
            f,
            "{} words, {} different ones; the ten most frequent:",
            grouped(self.expected.total()),
            grouped(self.expected.distinct() as u64)
        )?;
        for (word, count) in self.expected.top(TOP) {
            writeln!(
                f,
                "{:>14}  {}",
                grouped(count),
                String::from_utf8_lossy(word)
            )?;
        }
        writeln!(f)?;
        let job = self.ours(Work::CountWords);
        writeln!(
            f,
            "shared memory: {} producer and {} consumer processes; survived {} kills and {} stops, \
             {} messages delivered again, lost {} doubled {}",
            self.producers,
            self.consumers,
            job.survived.kills,
            job.survived.stops,
            grouped(job.redelivered),
            job.lost,
            job.doubled,
        )?;
        let verdict = if self.is_correct() {
            "correct: every message arrived once and whole, and all counts equal the sequential one"
        } else {
            "WRONG: messages or counts differ from what was sent"
        };
        writeln!(f, "{verdict}")
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
