//! Deposits, withdrawals and transfers.

use crate::run::{found, helps, told};

#[test]
fn only_without_a_lock_money_is_lost() {
    let found = found("bank", &["--tellers", "3", "--kills", "8"]);
    assert_ne!(found["balance_no_lock"], 1000);
    assert_eq!(found["balance_mutex"], 1000);
    assert_eq!(found["balance_atomic"], 1000);
    assert_eq!(found["missing"], 100);
    assert_eq!(found["repaired_sum"], 1000);
    assert_eq!(found["killed"], 8);
    assert_eq!(found["sum_after_kills"], 1000);
    assert!(found["transfers"].as_u64().unwrap() >= 8 * 100, "{found}");
}

#[test]
fn it_tells_and_helps() {
    let told = told("bank", &[]);
    assert!(told.contains("OwnerDied"), "{told}");
    helps("bank", "whose teller is killed half way");
}
