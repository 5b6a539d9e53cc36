//! The race for the last tickets.

use crate::run::{found, helps, run, told};

#[test]
fn only_without_a_lock_too_many_are_sold() {
    for clients in [5, 10, 15, 100] {
        let found = found("tickets", &["--clients", &clients.to_string()]);
        assert!(found["no_lock"].as_u64().unwrap() > 4, "{found}");
        for way in ["file_lock", "join", "mutex", "shared_count"] {
            assert_eq!(found[way], 4, "{way} {found}");
            assert_eq!(found[format!("{way}_left")], 0);
        }
        assert_eq!(found["join_asked_at_once"], 1);
        for way in ["mutex_kills", "count_kills"] {
            assert!(found[way].as_u64().unwrap() <= 4, "{way} {found}");
            let killed = found[format!("{way}_killed")].as_u64().unwrap();
            assert!((1..=clients / 3 + 1).contains(&killed), "{way} {found}");
        }
    }
}

#[test]
fn without_more_clients_than_tickets_there_is_no_race() {
    let ended = run("tickets", &["--clients", "3", "--tickets", "3"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--clients"), "{}", ended.stderr);
}

#[test]
fn it_tells_and_helps() {
    let told = told("tickets", &[]);
    assert!(told.contains("15 clients, 4 tickets"), "{told}");
    assert!(told.contains("no lock: oversold"), "{told}");
    helps("tickets", "query all at once");
}
