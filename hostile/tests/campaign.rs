//! Damaged memory of every kind of object: errors or correct work.

use hostile::campaign::{Campaign, run_if_hostile};
use hostile::{Random, SUBJECTS};
use ipc_process::test_name;

/// `HOSTILE_SEED` runs it again; a seed of the day finds what no fixed one does.
fn seed() -> u64 {
    let given = std::env::var("HOSTILE_SEED").ok();
    let seed = given.map_or_else(Random::seed, |it| it.parse().expect("a number"));
    eprintln!("HOSTILE_SEED={seed}");
    seed
}

#[test]
fn no_damage_leads_to_more_than_an_error() {
    run_if_hostile();
    let report = Campaign::new(seed())
        .operations(80_000)
        .live(1_000)
        .under_test(test_name!())
        .run()
        .unwrap();
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!(report.rows.len(), SUBJECTS.len());
    for row in &report.rows {
        // The damage hits, and not everything is refused because of it.
        assert!(row.refused > 0 && row.refused < row.operations, "{report}");
        assert!(row.mutations > 100 && row.live_mutations > 10, "{report}");
    }
    // Other memory that comes and goes may take the room between guard pages for a while.
    let (mapped, caged) = (report.total(|it| it.mapped), report.total(|it| it.caged));
    assert!(mapped > 0 && caged * 10 >= mapped * 7, "{report}");
}
