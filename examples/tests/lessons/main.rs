//! The short examples as their users run them.

mod processes;
mod run;
