//! What a worker process is.

use crate::run::{found, helps, told};
use serde_json::json;

#[test]
fn every_end_is_as_expected() {
    let found = found("processes", &[]);
    assert_eq!(found["order"], json!(["runner 2", "runner 0", "runner 1"]));
    let codes = ["exit code 0", "exit code 1", "exit code 101", "exit code 7"];
    assert_eq!(found["exit_codes"], json!(codes));
    assert_eq!(found["terminated"], "killed by signal 15");
    assert_eq!(found["killed"], "killed by signal 9");
    assert_eq!(found["identities"].as_array().unwrap().len(), 3);
    assert_eq!(found["orphan_gone"], true);
    let refused = "worker `daemon` may start no workers, and so not `sleeper`";
    let told = found["daemon_childless"].as_str().unwrap();
    assert!(told.starts_with(refused), "{told}");
    assert_eq!((&found["plain"], &found["shared"]), (&json!(5), &json!(6)));
    assert_eq!(found["plain_lock_stranded"], true);
    assert_eq!(found["mutex"], "OwnerDied, repaired");
}

#[test]
fn it_tells_and_helps() {
    let told = told("processes", &[]);
    assert!(told.contains("should not happen"), "{told}");
    assert!(told.contains("worker-2 has pid"), "{told}");
    helps("processes", "Starts, joins, and ends");
}
