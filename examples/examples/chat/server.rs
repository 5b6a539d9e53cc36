//! The server: gives clients places and handlers, and looks after them.

use crate::room::{NOBODY, PLACES, Room};
use examples::Failure;
use ipc_process::{ExitStatusKind, Process};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How often it looks after the handlers.
const TICK: Duration = Duration::from_millis(10);

/// What the server is to do.
pub enum Order {
    Admit(TcpStream),
    /// The handler of this client, to see what happens.
    Kill(u32),
    Stop,
}

struct Handler {
    member: u32,
    process: Process,
}

pub struct Server {
    room: Room,
    handlers: [Option<Handler>; PLACES],
    members: u32,
    orders: Receiver<Order>,
}

impl Server {
    /// A server for those who come to this port; it takes orders besides.
    pub fn new(listener: TcpListener) -> Result<(Self, Sender<Order>), Failure> {
        let (order, orders) = channel();
        let admit = order.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if admit.send(Order::Admit(stream)).is_err() {
                    return;
                }
            }
        });
        let server = Self {
            room: Room::create()?,
            handlers: [const { None }; PLACES],
            members: 0,
            orders,
        };
        Ok((server, order))
    }

    /// Serves until it is told to stop. All handlers end with it.
    pub fn run(mut self) -> Result<(), Failure> {
        loop {
            match self.orders.recv_timeout(TICK) {
                Ok(Order::Admit(stream)) => self.admit(stream)?,
                Ok(Order::Kill(member)) => self.kill(member)?,
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            for place in 0..PLACES {
                self.look_after(place)?;
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream) -> Result<(), Failure> {
        let Some(place) = self.handlers.iter().position(Option::is_none) else {
            // It may have left already.
            let _ = stream.write_all(b"* the room is full\n");
            return Ok(());
        };
        self.members += 1;
        let member = self.members;
        self.room.seat(place, member)?;
        let welcome = format!("* you are {member}");
        self.room.tell(place, member, welcome.as_bytes())?;
        let process = Process::builder("chat", "handler")
            .name(format!("handler-{member}"))
            .params(serde_json::to_vec(&(place, member))?)
            .fd("client", stream)
            .fd("segment", self.room.segment().descriptor()?)
            .spawn()?;
        self.handlers[place] = Some(Handler { member, process });
        Ok(())
    }

    fn kill(&mut self, member: u32) -> Result<(), Failure> {
        let mut handlers = self.handlers.iter_mut().flatten();
        let handler = handlers.find(|handler| handler.member == member);
        Ok(handler.ok_or("no such client")?.process.kill()?)
    }

    /// If the client has lost its place, or its handler has ended, the place is free again.
    fn look_after(&mut self, place: usize) -> Result<(), Failure> {
        let Some(handler) = &mut self.handlers[place] else {
            return Ok(());
        };
        let is_expelled = self.room.who_is_at(place)? == NOBODY;
        if is_expelled {
            // It may be stuck in writing to the client, so it is not asked.
            handler.process.kill()?;
        } else if handler.process.is_alive() {
            return Ok(());
        }
        let (member, exit) = (handler.member, handler.process.join()?);
        let news = match exit.status {
            _ if is_expelled => format!("* {member} was too slow"),
            ExitStatusKind::Code(0) => format!("* {member} has left"),
            status => format!("* {member} was lost ({status})"),
        };
        self.handlers[place] = None;
        self.room.free(place)?;
        self.room.tell_others(NOBODY, news.as_bytes())
    }
}
