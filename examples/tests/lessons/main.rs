//! The short examples as their users run them.

mod bank;
mod buns;
mod chat;
mod karaoke;
mod messages;
mod printing;
mod processes;
mod queue_tour;
mod run;
mod tickets;
mod traffic_light;
