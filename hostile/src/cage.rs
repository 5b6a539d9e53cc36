//! Holes in the address space, just as large as a segment and with nothing beside them: whoever
//! reaches over the end of a mapping that lies in one dies of it.

use std::io;
use std::ops::Range;

/// The room for some mappings of one length, each between pages that nobody may touch.
///
/// The kernel chooses where a segment is mapped. It is left no choice: all other holes that would
/// do are filled.
#[derive(Debug)]
pub struct Cage {
    holes: Vec<Range<usize>>,
}

/// Of x86-64; larger ones elsewhere only make the holes' ends coarser.
const PAGE: usize = 4096;
/// How many holes are filled at once, at most.
const MOST_FILLED: usize = 64;
/// More than an attachment maps.
const SINGLE: usize = 4;

impl Cage {
    /// Makes holes for mappings of this length, of more than a page. They, and what fills the others, stay for the life
    /// of the process.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn new(len: usize, holes: usize) -> io::Result<Self> {
        let len = len.next_multiple_of(PAGE);
        // An attachment maps single pages, too. They shall find room higher up, where the kernel
        // looks first.
        let single = (0..holes * SINGLE).map(|_| reserve(2 * PAGE));
        let single: Vec<usize> = single.collect::<io::Result<_>>()?;
        let mut wanted = Vec::new();
        for _ in 0..holes {
            let around = reserve(len + 2 * PAGE)?;
            let hole = around + PAGE..around + PAGE + len;
            release(&hole)?;
            wanted.push(hole);
        }
        let cage = Self { holes: wanted };
        cage.close()?;
        for page in single {
            release(&(page..page + PAGE))?;
        }
        Ok(cage)
    }

    /// Fills whatever holes have come up meanwhile that the kernel would prefer. Nothing may lie
    /// in the cage's own.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn close(&self) -> io::Result<()> {
        let (mut found, mut filled) = (Vec::new(), Vec::new());
        while found.len() < self.holes.len() && filled.len() < MOST_FILLED {
            let start = reserve(self.holes[0].len())?;
            let range = start..start + self.holes[0].len();
            if self.holes.contains(&range) {
                found.push(range);
            } else {
                filled.push(range);
            }
        }
        if found.len() < self.holes.len() {
            // Somebody has taken a hole by chance, and filling would never end.
            found.append(&mut filled);
        }
        found.iter().try_for_each(release)
    }

    /// Of the mappings of a hole's length whose names contain this, how many there are and how many
    /// lie in holes.
    ///
    /// # Errors
    /// If `/proc/self/maps` cannot be read.
    pub fn count(&self, name: &str) -> io::Result<(usize, usize)> {
        let maps = std::fs::read_to_string("/proc/self/maps")?;
        let of_length = |range: &Range<usize>| range.len() == self.holes[0].len();
        let found: Vec<Range<usize>> = maps
            .lines()
            .filter(|line| line.contains(name))
            .filter_map(range)
            .filter(of_length)
            .collect();
        let caged = found.iter().filter(|it| self.holes.contains(it)).count();
        Ok((found.len(), caged))
    }
}

fn reserve(len: usize) -> io::Result<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping where the kernel likes replaces nothing.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(at.addr())
}

fn release(range: &Range<usize>) -> io::Result<()> {
    let at = std::ptr::without_provenance_mut(range.start);
    // SAFETY: a part of what `reserve` made, which nobody refers to.
    match unsafe { libc::munmap(at, range.len()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The addresses at the beginning of a line of `/proc/self/maps`.
fn range(line: &str) -> Option<Range<usize>> {
    let (start, rest) = line.split_once('-')?;
    let end = rest.split(' ').next()?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}
