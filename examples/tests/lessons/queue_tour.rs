//! Python's queue, call by call.

use crate::run::{found, helps, told};

#[test]
fn every_call_has_a_counterpart_or_is_named() {
    let found = found("queue_tour", &[]);
    for call in [
        "q = Queue(3)",
        "q.put(1)",
        "q.put_nowait(2)",
        "q.put(3, timeout=t)",
        "q.get()",
        "q.get_nowait()",
        "q.get(timeout=t)",
        "q.qsize()",
        "q.empty()",
        "q.full()",
        "q.close()",
        "q.put(object)",
        "object = q.get()",
        "queue.Full",
        "queue.Empty",
    ] {
        assert!(!found[call].is_null(), "{call}? {found}");
    }
    let without = found["without_counterpart"].to_string();
    for call in ["unlimited size", "join_thread", "Pool", "authkey"] {
        assert!(without.contains(call), "{call}? {without}");
    }
    assert_eq!(found["unlimited_refused"], true);
}

#[test]
fn it_tells_and_helps() {
    let told = told("queue_tour", &[]);
    assert!(told.contains("tx.push_timeout(3, time)?"), "{told}");
    helps("queue_tour", "counterpart here, run and checked");
}
