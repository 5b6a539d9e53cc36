//! The JSON file with the tickets, and what everybody does who buys one.

use examples::Failure;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// What it takes to pay.
pub const PAYING: Duration = Duration::from_millis(1);

/// The JSON file. It is written by one call, within one page, so it is whole whoever is killed when.
#[derive(Serialize, Deserialize)]
pub struct Office {
    pub left: u32,
    pub buyers: Vec<u32>,
}

const FILE_LEN: usize = 1024;

impl Office {
    pub fn read(file: &File) -> Result<Self, Failure> {
        loop {
            let mut bytes = [0; FILE_LEN];
            file.read_exact_at(&mut bytes, 0)?;
            match serde_json::from_slice(&bytes) {
                Ok(office) => return Ok(office),
                // Who reads without a lock may meet half of a write.
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    pub fn write(&self, file: &File) -> Result<(), Failure> {
        let padded = format!("{:FILE_LEN$}", serde_json::to_string(self)?);
        Ok(file.write_all_at(padded.as_bytes(), 0)?)
    }

    /// What everybody does who buys: read, pay, write.
    pub fn buy(file: &File, buyer: u32) -> Result<Bought, Failure> {
        let mut office = Office::read(file)?;
        if office.left == 0 {
            return Ok(Bought::Nothing);
        }
        std::thread::sleep(PAYING);
        office.left -= 1;
        office.buyers.push(buyer);
        office.write(file)?;
        Ok(Bought::Ticket)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bought {
    Ticket,
    Nothing,
}
