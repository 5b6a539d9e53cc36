//! The chat: by its own script, and as a server for clients of this test.

use crate::run::{command, found, helps, run, start, told};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn clients_come_and_go_and_one_is_killed() {
    let found = found("chat", &[]);
    assert_eq!(found["numbers"], json!([1, 2, 3]));
    assert_eq!(
        found["hello"],
        json!(["you: hello", "1: hello", "1: hello"])
    );
    assert_eq!(found["left"], json!(["* 2 has left", "* 2 has left"]));
    assert_eq!(found["carl_gone"], true);
    assert_eq!(found["still_here"][1], "1: still here");
    assert_eq!(found["too_slow"], true);
    assert!(found["unread"].as_u64().unwrap() > 0, "{found}");
    assert_eq!(found["heard_all"], 8);
}

/// Killed, the server takes its handlers with it.
#[test]
fn it_serves_clients_from_elsewhere() {
    let mut server = start(command("chat", &["--listen", "127.0.0.1:0"]));
    let line = server.line();
    let address = line.strip_prefix("listening on ").unwrap();
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).unwrap();
        BufReader::new(stream)
    };
    let hear = |client: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        client.read_line(&mut line).unwrap();
        line
    };
    let mut one = connect();
    assert_eq!(hear(&mut one), "* you are 1\n");
    let mut two = connect();
    assert_eq!(hear(&mut two), "* you are 2\n");
    // Longer than a line may be, and ended as telnet does.
    let long = "x".repeat(1500);
    let line = format!("{long}\r\n");
    one.get_mut().write_all(line.as_bytes()).unwrap();
    let pieces = [1000, 500].map(|len| "x".repeat(len));
    for piece in &pieces {
        assert_eq!(hear(&mut one), format!("you: {piece}\n"));
        assert_eq!(hear(&mut two), format!("1: {piece}\n"));
    }
    // More than there is room for.
    let mut others: Vec<_> = (0..15).map(|_| connect()).collect();
    let last = others.last_mut().unwrap();
    assert_eq!(hear(last), "* the room is full\n");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let mut rest = String::new();
    // The end of file, or a reset: there is nobody at the other end.
    while two.read_line(&mut rest).is_ok_and(|len| len > 0) {}
    server.assert_nothing_left();
}

#[test]
fn it_tells_and_helps() {
    let told = told("chat", &[]);
    assert!(told.contains("is killed"), "{told}");
    helps("chat", "with a process for each client");
    let ended = run("chat", &["--listen", "nowhere"]);
    assert_eq!(ended.code, Some(2));
}
