//! Producers, consumers and the end between them.

use crate::run::{found, helps, told};
use serde_json::json;

#[test]
fn sentinels_have_to_be_counted() {
    let found = found("buns", &["--buns", "300"]);
    for (key, ended, eaten) in [
        ("one", json!(["sentinel"]), 300),
        ("by_producers", json!(["sentinel", "sentinel"]), 600),
        ("by_parent", json!(["sentinel", "sentinel"]), 900),
        ("too_few", json!(["sentinel", "starved"]), 900),
        ("none", json!(["starved", "starved"]), 900),
        ("closed", json!(["closed", "closed"]), 900),
    ] {
        assert_eq!(found[format!("{key}_ended")], ended);
        assert_eq!(found[format!("{key}_eaten")], eaten);
    }
}

#[test]
fn it_tells_and_helps() {
    let told = told("buns", &[]);
    assert!(told.contains("Starved"), "{told}");
    assert!(told.contains("closes the queue"), "{told}");
    helps("buns", "ended by sentinels: enough, too few, none");
}
