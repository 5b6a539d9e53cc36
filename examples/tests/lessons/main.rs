//! The short examples as their users run them.

mod bank;
mod buns;
mod karaoke;
mod messages;
mod printing;
mod processes;
mod run;
mod tickets;
mod traffic_light;
