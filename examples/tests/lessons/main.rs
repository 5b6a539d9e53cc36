//! The short examples as their users run them.

mod bank;
mod karaoke;
mod processes;
mod run;
mod traffic_light;
