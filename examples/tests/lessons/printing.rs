//! Three that print.

use crate::run::{found, helps, told};
use serde_json::json;

#[test]
fn a_lock_keeps_blocks_whole_and_join_keeps_order() {
    let found = found("printing", &["--blocks", "2"]);
    assert_eq!(found["mixed"], true);
    assert_eq!(found["blocks_lock"], 6);
    assert_eq!(found["order_join"], json!([0, 0, 1, 1, 2, 2]));
    // Three that think one after another: 20 ms twice each, and four lines of 1 ms.
    let join = found["seconds_join"].as_f64().unwrap();
    assert!(join >= 3.0 * 2.0 * (0.020 + 0.004), "{found}");
}

#[test]
fn it_tells_and_helps() {
    let told = told("printing", &[]);
    assert!(told.contains("printer 0 block 0 line 0"), "{told}");
    assert!(told.contains("join makes them do everything in turn"));
    helps("printing", "Three processes print");
}
