//! What becomes of the rounds: a table to read and a JSON file to keep.

pub mod json;
pub mod machine;
pub mod table;
