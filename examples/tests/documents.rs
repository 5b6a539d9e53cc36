//! What the documents say of the code, as far as it can be looked up: files, links, kinds of objects
//! and their sizes. (Their programs run as doc tests.)

use ipc_core::{Place, Segment};
use ipc_queue::{channel::Channel, mpmc, spsc};
use ipc_sync::{
    Array, Barrier, Condvar, CountingSemaphore, Event, Latch, Mutex, Once, Reset, RwLock,
    Semaphore, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All documents, by their paths from the root.
fn documents() -> Vec<PathBuf> {
    let in_directory = |directory: &str| {
        let entries = std::fs::read_dir(root().join(directory)).unwrap();
        let names = entries.map(|entry| Path::new(directory).join(entry.unwrap().file_name()));
        let documents = names.filter(|path| path.extension().is_some_and(|it| it == "md"));
        documents.collect::<Vec<_>>()
    };
    let found: Vec<_> = ["", "docs"].into_iter().flat_map(in_directory).collect();
    assert!(found.len() >= 7, "{found:?}");
    found
}

/// A heading as hosts of repositories turn it into an anchor.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    for document in documents() {
        let text = read(&document);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (link, _) in links.filter(|(link, _)| !link.starts_with("http")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            let shown = document.display();
            assert!(
                root().join(&target).exists(),
                "{shown}: {link} is not there"
            );
            let leads = fragment.is_empty() || anchors(&read(&target)).contains(fragment);
            assert!(leads, "{shown}: {link}: no such heading");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

/// All files below the crates' sources and tests.
fn source_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            source_files(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// Paths may be shortened: `mpmc/word.rs` is any file that ends so.
#[test]
fn every_file_that_is_named_is_there() {
    let mut files = Vec::new();
    source_files(&root(), &mut files);
    let mut checked = 0;
    for document in documents() {
        let text = read(&document);
        for name in text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|it| it.ends_with(".rs"))
        {
            let is_there = files.iter().any(|file| file.ends_with(name));
            assert!(is_there, "{}: no file {name}", document.display());
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

/// The rows of "Objects, byte by byte": kinds, example, bytes.
fn rows() -> Vec<(Vec<String>, String, String)> {
    let text = read("ARCHITECTURE.md");
    let (_, table) = text
        .split_once("| kind | config | example | bytes |")
        .unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let kinds = cells[0].split('`').skip(1).step_by(2).map(str::to_owned);
        (kinds.collect(), cells[2].to_owned(), cells[3].to_owned())
    })
    .collect()
}

#[test]
fn every_kind_of_object_is_described() {
    let mut files = Vec::new();
    for layer in ["ipc-sync/src", "ipc-queue/src"] {
        source_files(&root().join(layer), &mut files);
    }
    let mut kinds = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for declaration in text.split("static KIND: Kind = Kind {").skip(1) {
            kinds.insert(declaration.split('"').nth(1).unwrap().to_owned());
        }
    }
    let described: BTreeSet<_> = rows().into_iter().flat_map(|(kinds, ..)| kinds).collect();
    assert_eq!(described, kinds);
    assert!(kinds.len() > 15, "{kinds:?}");
}

/// One of each, as the table's examples have it.
fn examples_in(segment: &Segment) -> ipc_core::Result<()> {
    spsc::Ring::<u64>::create_in(segment, "spsc ring", 1000)?;
    spsc::bytes::ByteRing::create_in(segment, "spsc byte ring", 4096, 100)?;
    Channel::create_in(segment, "channel", 4096, 100)?;
    mpmc::Queue::<u64>::create_in(segment, "mpmc queue", 1000)?;
    mpmc::bytes::Queue::create_in(segment, "mpmc byte queue", 16, 1000)?;
    Mutex::create_in(segment, "mutex", 0u64)?;
    Once::create_in(segment, "once")?;
    RwLock::create_in(segment, "rwlock", 0u64)?;
    Condvar::create_in(segment, "condvar")?;
    Semaphore::create_in(segment, "semaphore", 4)?;
    CountingSemaphore::create_in(segment, "counting semaphore", 0)?;
    Latch::create_in(segment, "latch", 1)?;
    Event::create_in(segment, "event", Reset::Manual)?;
    Barrier::create_in(segment, "barrier", 3)?;
    Array::create_in(segment, "10 of `u64`", 10, |_| 0u64)?;
    Array::create_in(segment, "10 of `[u64; 3]`", 10, |_| [0u64; 3])?;
    Value::create_in(segment, "value", 0u64)?;
    Ok(())
}

#[test]
fn objects_are_as_long_as_the_table_says() {
    let segment = Segment::builder(Place::memfd("sizes"))
        .handles(64)
        .create()
        .unwrap();
    examples_in(&segment).unwrap();
    let objects = segment.objects().unwrap();
    let lengths: BTreeMap<_, _> = objects
        .iter()
        .map(|it| (it.name.as_str(), it.len))
        .collect();
    let kinds: BTreeMap<_, _> = objects
        .iter()
        .map(|it| (it.name.as_str(), &it.kind))
        .collect();
    let mut wrong = Vec::new();
    for (described, example, bytes) in rows().into_iter().filter(|(.., bytes)| !bytes.is_empty()) {
        // Those of elements go by their example, the others by their kind.
        let names = match described.iter().any(|kind| kind == "array") {
            true => vec![example.clone()],
            false => described.clone(),
        };
        for name in names {
            assert!(described.contains(kinds[name.as_str()]), "{name}");
            if lengths[name.as_str()].to_string() != bytes {
                wrong.push(format!(
                    "{name}: {bytes}, but it is {}",
                    lengths[name.as_str()]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where a part of the directory's entry lies, as the table says.
fn entry_at(part: &str) -> usize {
    let text = read("ARCHITECTURE.md");
    let (_, table) = text.split_once("| entry at | length | what |").unwrap();
    let mut end = 0;
    let mut found = None;
    for row in table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
    {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let number = |at: usize| cells[at].parse::<usize>().unwrap();
        assert_eq!(number(0), end, "{row}");
        end += number(1);
        if cells[2].split([':', ' ']).next() == Some(part) || cells[2] == part {
            found = Some(number(0));
        }
    }
    assert_eq!(end, 256);
    found.unwrap_or_else(|| panic!("no {part}"))
}

#[test]
fn the_directory_lies_as_the_tables_say() {
    const PARTICIPANTS: u32 = 3;
    const HANDLES: u32 = 5;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    let segment = Segment::builder(&path)
        .participants(PARTICIPANTS)
        .handles(HANDLES)
        .create()
        .unwrap();
    Mutex::create_in(&segment, "the name", 0x0102_0304_u32).unwrap();
    let info = segment.objects().unwrap().remove(0);
    let bytes = std::fs::read(&path).unwrap();
    let entry_begins =
        (512 + 64 * PARTICIPANTS as usize + 8 * HANDLES as usize).next_multiple_of(128);
    let entry = &bytes[entry_begins..];
    let number = |part| {
        let at = entry_at(part);
        u64::from_ne_bytes(entry[at..at + 8].try_into().unwrap())
    };
    let text = |part, expected: &str| entry[entry_at(part)..].starts_with(expected.as_bytes());
    assert_eq!(number("offset"), info.offset);
    assert_eq!(number("space"), info.len.next_multiple_of(128));
    assert_eq!(number("length"), info.len);
    assert_eq!(number("element size"), 4);
    assert_eq!(number("element alignment"), 4);
    assert_eq!(number("config"), info.config[0]);
    assert!(text("kind", "mutex\0") && text("name", "the name\0") && text("element type", "u32\0"));
    assert!(number("checksum of 8 to 232") != 0);
    // The value follows the mutex's word, which is 8 bytes long.
    let value = info.offset as usize + 8;
    assert_eq!(bytes[value..value + 4], 0x0102_0304_u32.to_ne_bytes());
    // The heap follows the directory, of 64 entries.
    assert_eq!(info.offset as usize, entry_begins + 64 * 256);
}
