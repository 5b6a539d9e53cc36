//! An initialiser may be killed at any instruction: after every single change that it makes to a
//! segment, there is the whole value, or none and another computes it.

mod common;

use common::leftover::{create, dead};
use ipc_core::Segment;
use ipc_process::test_name;
use ipc_sync::OnceCell;
use test_kit::solo::{alone, skip};
use test_kit::stepped::contents_after_each_change;

#[test]
fn of_an_initialisation() {
    alone(test_name!(), |scratch| {
        const VALUE: [u64; 20] = [7; 20];
        let path = scratch.join("segment");
        drop(OnceCell::<[u64; 20]>::create_in(&create(&path), "cell").unwrap());
        let before = || {
            let segment = Segment::open(&path).unwrap();
            OnceCell::<[u64; 20]>::open_in(&segment, "cell").unwrap()
        };
        let init = |cell: OnceCell<[u64; 20]>| {
            cell.get_or_init(|| VALUE).unwrap();
        };
        let Some(states) = contents_after_each_change(&path, before, init) else {
            return skip("this process may not trace");
        };
        let mut found = Vec::new();
        for contents in &states {
            let segment = dead(scratch, contents);
            let cell = OnceCell::<[u64; 20]>::open_in(&segment, "cell").unwrap();
            let value = cell.get().unwrap();
            assert!(value.is_none_or(|it| it == VALUE), "half a value");
            found.push(value.is_some());
            let other = value.unwrap_or([8; 20]);
            assert_eq!(cell.get_or_init(|| [8; 20]).unwrap(), other);
            assert_eq!(cell.get().unwrap(), Some(other));
            segment.recover().unwrap();
            assert_eq!(segment.participants().unwrap().len(), 1);
        }
        assert!(states.len() > 4, "{}", states.len());
        found.dedup();
        assert_eq!(found, [false, true]);
    });
}
