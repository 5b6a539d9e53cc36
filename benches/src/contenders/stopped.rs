//! Who is stopped for ever while others use our queue.

use crate::bystander::{Bystander, Stop, stop};
use crate::channel::{Channel, SendItem};
use crate::contenders::ours_mpmc::OursMpmc;
use crate::failure::Failure;
use crate::polled::Polled;
use crate::spin::Retry;
use crate::tally::FOREIGN;

/// A sender with a slot that it has reserved.
pub enum HoldsSlot {}

impl<R> Bystander<Polled<OursMpmc, R>> for HoldsSlot {
    const STOP: Stop = Stop::BeforeTheCrew;

    fn act(channel: &mut Polled<OursMpmc, R>) -> Result<(), Failure> {
        let mut sender = channel.channel().sender()?;
        let _slot = sender
            .reserve()
            .map_err(Failure::contender("reserve a slot"))?;
        stop()
    }
}

/// A receiver with a message that it has taken.
pub enum HoldsMessage {}

impl<R> Bystander<Polled<OursMpmc, R>> for HoldsMessage {
    const STOP: Stop = Stop::BeforeTheCrew;

    fn act(channel: &mut Polled<OursMpmc, R>) -> Result<(), Failure> {
        let mut receiver = channel.channel().receiver()?;
        SendItem::send(&mut channel.channel().sender()?, FOREIGN)?;
        let _message = receiver
            .take()
            .map_err(Failure::contender("take a message"))?
            .ok_or(Failure::EndedEarly)?;
        stop()
    }
}

/// A third sender, wherever it is at that moment.
pub enum AtWork {}

impl<R: Retry> Bystander<Polled<OursMpmc, R>> for AtWork {
    const STOP: Stop = Stop::AtWork;

    fn act(channel: &mut Polled<OursMpmc, R>) -> Result<(), Failure> {
        let mut sender = channel.sender()?;
        loop {
            sender.send(FOREIGN)?;
        }
    }
}
