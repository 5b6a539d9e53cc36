//! Teaches a server with a process for each client: who talks over TCP, and what goes to all, goes
//! through shared memory. Each handler has an inbox; a client that does not read loses its place, and
//! a handler that is killed takes nobody with it.
//!
//! `cargo run --release -p examples --example chat -- --help`

mod client;
mod handler;
mod room;
mod server;

use clap::Parser;
use client::Client;
use examples::{Failure, Lesson, complain, print};
use ipc_process::run_if_worker;
use server::{Order, Server};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::mpsc::Sender;
use std::thread;

/// A chat over TCP, with a process for each client. Without --listen, scripted clients come, talk,
/// and go on a port of this machine.
#[derive(Parser)]
#[command(name = "chat")]
struct Options {
    /// Serve clients (`nc`, `telnet`) at this address, until interrupted.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Print one JSON object instead of telling what happens.
    #[arg(long, conflicts_with = "listen")]
    json: bool,
}

/// What everybody in the crowd says.
const LINES: usize = 5;
const CROWD: usize = 8;

fn main() -> ExitCode {
    run_if_worker("chat", &[("handler", &handler::handle)]);
    let options = Options::parse();
    if let Some(address) = options.listen {
        return match serve(address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(format_args!("chat: {error}"));
                ExitCode::from(2)
            }
        };
    }
    Lesson::run("chat", options.json, |lesson| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (server, orders) = Server::new(listener)?;
        let serving = thread::spawn(move || server.run());
        let taught = teach(lesson, address, &orders);
        orders.send(Order::Stop)?;
        serving.join().map_err(|_| "the server panicked")??;
        taught
    })
}

fn serve(address: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind(address)?;
    print(format_args!("listening on {}\n", listener.local_addr()?));
    let (server, _orders) = Server::new(listener)?;
    server.run()
}

fn teach(lesson: &mut Lesson, address: SocketAddr, orders: &Sender<Order>) -> Result<(), Failure> {
    lesson.part("Clients come, talk, and go");
    let mut anna = Client::connect(address)?;
    let mut bert = Client::connect(address)?;
    let mut carl = Client::connect(address)?;
    let who = [anna.number, bert.number, carl.number];
    lesson.expect("numbers", who, [1, 2, 3], "each has a handler process");
    anna.say("hello")?;
    let heard = [anna.hear()?, bert.hear()?, carl.hear()?];
    let expected = ["you: hello", "1: hello", "1: hello"];
    lesson.expect("hello", heard, expected, "all hear it, the sender an echo");
    drop(bert);
    let heard = [anna.hear()?, carl.hear()?];
    let expected = ["* 2 has left"; 2];
    lesson.expect("left", heard, expected, "all hear who leaves");

    lesson.part("The handler of client 3 is killed");
    orders.send(Order::Kill(carl.number))?;
    let is_gone = carl.hear_if_connected()?.is_none();
    lesson.expect("carl_gone", is_gone, true, "its client is disconnected");
    let heard = anna.hear()?;
    let sentence = "the others hear of it";
    lesson.expect("lost", heard, "* 3 was lost (killed by signal 9)", sentence);
    let mut dora = Client::connect(address)?;
    anna.say("still here")?;
    let heard = [anna.hear()?, dora.hear()?];
    let expected = ["you: still here", "1: still here"];
    lesson.expect("still_here", heard, expected, "and talk on");

    lesson.part("Client 5 does not read");
    let mut eve = Client::connect(address)?;
    let long = "bla".repeat(320);
    let mut said = 0;
    // Until there is no room in the connection, and then in the inbox.
    let heard = loop {
        anna.say(&long)?;
        said += 1;
        let heard = [anna.hear()?, dora.hear()?];
        if heard != [format!("you: {long}"), format!("1: {long}")] {
            break heard;
        }
    };
    lesson.say(format_args!("{said} long lines later ..."));
    lesson.note("lines_until_too_slow", said);
    let is_told = heard.iter().any(|it| it == "* 5 was too slow");
    lesson.expect("too_slow", is_told, true, "it has lost its place");
    let mut unread = 0;
    while eve.hear_if_connected()?.is_some() {
        unread += 1;
    }
    let sentence = "and is disconnected: so much had come to it";
    lesson.check("unread", unread, (1..=said).contains(&unread), sentence);
    drop((anna, dora, eve));

    lesson.part(format_args!(
        "{CROWD} clients talk at once, {LINES} lines each"
    ));
    crowd(lesson, address)
}

fn crowd(lesson: &mut Lesson, address: SocketAddr) -> Result<(), Failure> {
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        clients.push(Client::connect(address)?);
    }
    let talk = |mut client: Client| -> Result<(Client, Vec<String>), Failure> {
        for line in 0..LINES {
            client.say(&format!("line {line}"))?;
        }
        let mut heard = Vec::new();
        while heard.len() < CROWD * LINES {
            let line = client.hear()?;
            // News of those of before.
            if !line.starts_with('*') {
                heard.push(line);
            }
        }
        // Not gone before all have heard all.
        Ok((client, heard))
    };
    let numbers: Vec<_> = clients.iter().map(|client| client.number).collect();
    let talking: Vec<_> = (clients.into_iter())
        .map(|client| thread::spawn(move || talk(client)))
        .collect();
    let mut complete = 0;
    let mut gone = Vec::new();
    for thread in talking {
        let (client, heard) = thread.join().map_err(|_| "a client panicked")??;
        // Of each one all lines, in their order.
        let is_complete = numbers.iter().all(|&number| {
            let whose = match number == client.number {
                true => "you".to_owned(),
                false => number.to_string(),
            };
            let lines = (0..LINES).map(|line| format!("{whose}: line {line}"));
            let start = format!("{whose}: ");
            let theirs = heard.iter().filter(|it| it.starts_with(&start));
            theirs.eq(lines.collect::<Vec<_>>().iter())
        });
        complete += usize::from(is_complete);
        gone.push(client);
    }
    let sentence = "clients have heard everybody, each line once and in order";
    lesson.expect("heard_all", complete, CROWD, sentence);
    Ok(())
}
