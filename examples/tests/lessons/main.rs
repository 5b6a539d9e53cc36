//! The short examples as their users run them.

mod bank;
mod buns;
mod karaoke;
mod processes;
mod run;
mod traffic_light;
