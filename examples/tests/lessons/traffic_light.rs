//! Cars that wait for green.

use crate::run::{found, helps, told};

#[test]
fn nobody_crosses_at_red() {
    for cars in [1, 30] {
        let found = found("traffic_light", &["--cars", &cars.to_string()]);
        assert_eq!(found["green_when_it_starts"], false);
        assert_eq!(found["crossed_at_first_red"], 0);
        assert_eq!(found["crossed"], 5 * cars);
        assert_eq!(found["crossed_at_red"], 0);
        assert!(found["turns"].as_u64().unwrap() >= 1, "{found}");
    }
}

#[test]
fn it_tells_and_helps() {
    let told = told("traffic_light", &[]);
    assert!(told.contains("10 cars cross"), "{told}");
    helps("traffic_light", "none crosses at red");
}
