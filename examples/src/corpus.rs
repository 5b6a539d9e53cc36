//! A corpus: the text of many files as one.

use std::{
    env, fs,
    fs::{File, Metadata},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

/// How much of a file's start is searched for a NUL byte, as git does to know binary files.
const BINARY_PROBE_LEN: u64 = 8 << 10;

/// The text of many files in one buffer, read once.
///
/// Files below a directory are taken in the order of their names, so that the same files give the
/// same corpus. Left out below a directory: hidden files and directories (`.git`), directories
/// marked as caches by a `CACHEDIR.TAG` (as cargo's `target`), symbolic links, and anything that
/// is neither a file nor a directory. A file with a NUL byte in its first 8 KiB is binary and left
/// out; other files are taken as they are, in whatever encoding. Between two files there is a
/// newline at least.
#[derive(Clone, Debug)]
pub struct Corpus {
    text: Vec<u8>,
    summary: Summary,
}

impl Corpus {
    /// A reasonable limit for a corpus: 256 MiB.
    pub const DEFAULT_LIMIT: u64 = 256 << 20;

    /// The current directory and, if there is one, the directory of the sources that cargo has
    /// unpacked (`registry/src` in `$CARGO_HOME` or `~/.cargo`).
    pub fn default_paths() -> Vec<PathBuf> {
        let cargo_home = match env::var_os("CARGO_HOME") {
            Some(home) if !home.is_empty() => Some(PathBuf::from(home)),
            _ => env::home_dir().map(|home| home.join(".cargo")),
        };
        let sources = cargo_home.map(|home| home.join("registry/src"));
        let mut paths = vec![PathBuf::from(".")];
        paths.extend(sources.filter(|path| path.is_dir()));
        paths
    }

    /// Gathers the text files at and below `paths`, in this order, into memory.
    ///
    /// Stops at the first file with which the corpus would be longer than `limit` bytes. A file
    /// that is reached from two of the paths is taken twice.
    ///
    /// # Errors
    ///
    /// When one of `paths` is missing, may not be read or is not a file or directory, and when
    /// there is no text in the end.
    pub fn gather(paths: &[PathBuf], limit: u64) -> Result<Self, CorpusError> {
        let mut text = Vec::new();
        let summary = Self::gather_into(paths, limit, &mut text)?;
        Ok(Self { text, summary })
    }

    /// As [`gather`](Self::gather), but writes the text into `out`, file by file.
    ///
    /// # Errors
    ///
    /// As [`gather`](Self::gather), and when `out` fails; some text may then have been written.
    pub fn gather_into(
        paths: &[PathBuf],
        limit: u64,
        out: &mut impl Write,
    ) -> Result<Summary, CorpusError> {
        let mut gathering = Gathering::new(limit, out);
        for path in paths {
            if gathering.add_root(path)? == Progress::LimitReached {
                break;
            }
        }
        gathering.finish()
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What the text was made of.
    pub fn summary(&self) -> Summary {
        self.summary
    }
}

/// What a corpus was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Files taken, the empty ones among them.
    pub files: u64,
    /// The length of the text, in bytes, with the newlines added.
    pub bytes: u64,
    /// Files left out because they are binary.
    pub binaries_skipped: u64,
    /// Files and directories below the given ones that could not be read.
    pub unreadable_skipped: u64,
}

/// Why there is no corpus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A given path does not exist.
    #[error("there is no file or directory {}: check its spelling", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A given path may not be read.
    #[error("cannot read {}: check its permissions or leave it out", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A given path is a device, a pipe or a socket.
    #[error("{} is neither a file nor a directory: give one of these", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The first text file alone is longer than the limit.
    #[error(
        "{} has {length} bytes, more than the limit of {limit}: raise the limit or leave it out",
        path.display()
    )]
    LimitTooSmall {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes.
        length: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// There are files, but all with text in them are binary.
    #[error("there is no text: all {binaries} non-empty files are binary, give other paths")]
    OnlyBinaries {
        /// How many there are.
        binaries: u64,
    },
    /// There is no file with anything in it.
    #[error(
        "there is no text: {files} empty files, {unreadable} unreadable ones, give other paths"
    )]
    Empty {
        /// How many files are there, all empty.
        files: u64,
        /// How many files and directories could not be read.
        unreadable: u64,
    },
    /// The text could not be written to where it was to go.
    #[error("cannot write the text of the corpus: check the space left where it goes")]
    Write {
        /// What the writer said.
        #[source]
        source: io::Error,
    },
}

/// Whether there may be more to gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    GoOn,
    LimitReached,
}

struct Gathering<'a, W> {
    limit: u64,
    out: &'a mut W,
    summary: Summary,
    /// The text does not end in a newline.
    line_open: bool,
    /// The first file left out for the limit, and its length.
    over_limit: Option<(PathBuf, u64)>,
    buffer: Vec<u8>,
}

impl<'a, W: Write> Gathering<'a, W> {
    fn new(limit: u64, out: &'a mut W) -> Self {
        let summary = Summary::default();
        Self {
            limit,
            out,
            summary,
            line_open: false,
            over_limit: None,
            buffer: Vec::new(),
        }
    }

    /// Adds a path that somebody named: what is wrong with it is an error.
    fn add_root(&mut self, path: &Path) -> Result<Progress, CorpusError> {
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                CorpusError::Missing { path: path.into() }
            }
            _ => CorpusError::Unreadable {
                path: path.into(),
                source,
            },
        };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            let entries = sorted_entries(path).map_err(unreadable)?;
            self.add_entries(entries)
        } else if metadata.is_file() {
            let content = self.read(path).map_err(unreadable)?;
            self.add_content(path, content)
        } else {
            Err(CorpusError::NotAFile { path: path.into() })
        }
    }

    /// Adds what was found in a directory: what cannot be read is left out.
    fn add_entries(&mut self, entries: Vec<Entry>) -> Result<Progress, CorpusError> {
        for Entry { path, kind } in entries {
            let progress = match kind {
                Kind::Directory => match sorted_entries(&path) {
                    Ok(below) => self.add_entries(below)?,
                    Err(_) => self.skip_unreadable(),
                },
                Kind::File => match self.read(&path) {
                    Ok(content) => self.add_content(&path, content)?,
                    Err(_) => self.skip_unreadable(),
                },
            };
            if progress == Progress::LimitReached {
                return Ok(progress);
            }
        }
        Ok(Progress::GoOn)
    }

    fn skip_unreadable(&mut self) -> Progress {
        self.summary.unreadable_skipped += 1;
        Progress::GoOn
    }

    /// Reads a file into the buffer, as far as it is of use.
    fn read(&mut self, path: &Path) -> io::Result<Content> {
        let room = self.room();
        let mut file = File::open(path)?;
        self.buffer.clear();
        (&mut file)
            .take(BINARY_PROBE_LEN)
            .read_to_end(&mut self.buffer)?;
        if self.buffer.contains(&0) {
            return Ok(Content::Binary);
        }
        // One byte more than there is room for tells a file that is too long, also one that has
        // grown since.
        let probed = self.buffer.len() as u64;
        file.take(room.saturating_add(1).saturating_sub(probed))
            .read_to_end(&mut self.buffer)?;
        Ok(Content::Text)
    }

    /// How long the next file may be, in bytes.
    fn room(&self) -> u64 {
        (self.limit - self.summary.bytes).saturating_sub(u64::from(self.line_open))
    }

    /// Adds what [`read`](Self::read) left in the buffer.
    fn add_content(&mut self, path: &Path, content: Content) -> Result<Progress, CorpusError> {
        let length = self.buffer.len() as u64;
        match content {
            Content::Binary => self.summary.binaries_skipped += 1,
            Content::Text if length > self.room() => {
                let whole = fs::metadata(path).as_ref().map_or(length, Metadata::len);
                self.over_limit = Some((path.into(), whole));
                return Ok(Progress::LimitReached);
            }
            Content::Text => self
                .write_buffer()
                .map_err(|source| CorpusError::Write { source })?,
        }
        Ok(Progress::GoOn)
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.summary.files += 1;
        let Some(last) = self.buffer.last() else {
            return Ok(());
        };
        if self.line_open {
            self.out.write_all(b"\n")?;
            self.summary.bytes += 1;
        }
        self.line_open = *last != b'\n';
        self.out.write_all(&self.buffer)?;
        self.summary.bytes += self.buffer.len() as u64;
        Ok(())
    }

    fn finish(self) -> Result<Summary, CorpusError> {
        self.out
            .flush()
            .map_err(|source| CorpusError::Write { source })?;
        let summary = self.summary;
        match self.over_limit {
            _ if summary.bytes > 0 => Ok(summary),
            Some((path, length)) => Err(CorpusError::LimitTooSmall {
                path,
                length,
                limit: self.limit,
            }),
            None if summary.binaries_skipped > 0 => Err(CorpusError::OnlyBinaries {
                binaries: summary.binaries_skipped,
            }),
            None => Err(CorpusError::Empty {
                files: summary.files,
                unreadable: summary.unreadable_skipped,
            }),
        }
    }
}

/// What a file turned out to hold.
enum Content {
    Binary,
    Text,
}

/// Something in a directory that may have text.
struct Entry {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Directory,
    File,
}

/// The entries of a directory by their names, without those that are left out.
fn sorted_entries(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let file_type = entry.file_type()?;
        let kind = if file_type.is_file() {
            Kind::File
        } else if file_type.is_dir() && !is_cache(&entry.path()) {
            Kind::Directory
        } else {
            continue;
        };
        entries.push(Entry {
            path: entry.path(),
            kind,
        });
    }
    entries.sort_unstable_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
    Ok(entries)
}

/// See <https://bford.info/cachedir/>. A given directory is not asked: cargo marks the whole
/// registry, and who names a cache means it.
fn is_cache(directory: &Path) -> bool {
    directory.join("CACHEDIR.TAG").is_file()
}

#[cfg(test)]
mod tests;
