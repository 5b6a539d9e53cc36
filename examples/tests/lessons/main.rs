//! The short examples as their users run them.

mod bank;
mod buns;
mod karaoke;
mod printing;
mod processes;
mod run;
mod traffic_light;
