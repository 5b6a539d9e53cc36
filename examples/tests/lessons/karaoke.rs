//! Four rooms and many guests.

use crate::run::{found, helps, told};

#[test]
fn never_more_than_four_inside() {
    for guests in [4, 40] {
        let found = found("karaoke", &["--guests", &guests.to_string()]);
        assert_eq!(found["most_inside"], 4);
        assert_eq!(found["songs"], 2 * guests);
        assert_eq!(found["free_at_the_end"], 4);
        assert_eq!(found["came_back"], 1);
        assert_eq!(found["full_again"], true);
    }
}

#[test]
fn it_tells_and_helps() {
    let told = told("karaoke", &[]);
    assert!(told.contains("12 guests, 4 rooms"), "{told}");
    assert!(told.contains("its room came back"), "{told}");
    helps("karaoke", "a room whose guest is killed is free again");
}
