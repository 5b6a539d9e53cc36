//! All kinds of objects under kills, stops, joins and leaves: the account comes out.

use hostile::Random;
use hostile::chaos::{Chaos, run_if_chaos};
use ipc_process::test_name;
use std::time::Duration;

#[test]
fn the_account_comes_out_after_kills_stops_joins_and_leaves() {
    run_if_chaos(Some(test_name!()));
    let given = std::env::var("HOSTILE_SEED").ok();
    let seed = given.map_or_else(Random::seed, |it| it.parse().expect("a number"));
    eprintln!("HOSTILE_SEED={seed}");
    let tally = Chaos::new(seed, Duration::from_secs(10))
        .under_test(test_name!())
        .run(|_| {})
        .unwrap();
    assert!(tally.violations.is_empty(), "seed {seed}\n{tally}");
    assert!(
        tally.kills > 0 && tally.stops > 0 && tally.leaves > 0,
        "{tally}"
    );
    for (kind, done) in &tally.done {
        assert!(*done > 0, "nothing was done with {kind}\n{tally}");
    }
}
