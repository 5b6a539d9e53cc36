//! The short examples as their users run them.

mod bank;
mod processes;
mod run;
