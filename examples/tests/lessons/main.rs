//! The short examples as their users run them.

mod bank;
mod buns;
mod chat;
mod karaoke;
mod manners;
mod messages;
mod printing;
mod processes;
mod queue_tour;
mod readme;
mod run;
mod tickets;
mod traffic_light;
mod verdict;
