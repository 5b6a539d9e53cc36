//! Questions and answers.

use crate::run::{found, helps, told};
use serde_json::json;

#[test]
fn everybody_gets_the_right_answers_but_over_one_queue() {
    let found = found("messages", &["--clients", "12"]);
    let shouted = json!(["HELLO", "HOW ARE YOU?", "BYE"]);
    assert_eq!(found["pipe_answers"], shouted);
    assert_eq!(found["channel_answers"], shouted);
    assert_eq!(found["both_ways_answer"], 7);
    assert_eq!(found["server_told"], true);
    assert_eq!(found["clients_served"], 11);
    assert_eq!(found["requests_served"], 1101);
}

#[test]
fn it_tells_and_helps() {
    let told = told("messages", &[]);
    assert!(told.contains("how are you? -> HOW ARE YOU?"), "{told}");
    assert!(told.contains("got its own question"), "{told}");
    helps("messages", "Questions and answers between processes");
}
