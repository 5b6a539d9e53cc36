//! Parameters arrive as they were given, of any size, shared.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use ipc_process::{Builder, Params, Process, run_if_worker, test_name};

fn digest(bytes: &[u8]) -> [u8; 8] {
    // Its keys are fixed, so that it gives the same in every process.
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish().to_ne_bytes()
}

/// Bytes of which no two blocks are alike.
fn pattern(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=len as u64 / 8).flat_map(u64::to_ne_bytes).collect();
    bytes.truncate(len);
    bytes
}

fn become_worker() {
    run_if_worker(
        "params",
        &[
            ("digest", &|worker| {
                let digest = digest(worker.params());
                Ok(worker.set_result(&digest)?)
            }),
            ("maps", &|worker| {
                let address = worker.params().as_ptr() as usize;
                let maps = std::fs::read_to_string("/proc/self/maps")?;
                let line = maps
                    .lines()
                    .find(|line| line.starts_with(&format!("{address:x}-")))
                    .ok_or("the parameters do not start a mapping")?;
                Ok(worker.set_result(line.as_bytes())?)
            }),
        ],
    );
}

fn worker(role: &str, test: &str) -> Builder {
    Process::builder("params", role).under_test(test)
}

fn digest_in_worker(builder: Builder) -> Vec<u8> {
    builder
        .spawn()
        .unwrap()
        .join()
        .unwrap()
        .into_result()
        .unwrap()
}

#[test]
fn bytes_of_any_size_arrive() {
    become_worker();
    for len in [0, 1, 4095, 4096, 4097, 100 << 20] {
        let bytes = pattern(len);
        let found = digest_in_worker(worker("digest", test_name!()).params(&bytes));
        assert_eq!(found, digest(&bytes), "{len} bytes");
    }
    let none_given = digest_in_worker(worker("digest", test_name!()));
    assert_eq!(none_given, digest(b""));
}

#[test]
fn bytes_of_any_type_arrive() {
    become_worker();
    let bytes = || worker("digest", test_name!());
    for builder in [
        bytes().params("text"),
        bytes().params(String::from("text")),
        bytes().params(b"text"),
        bytes().params(*b"text"),
        bytes().params(b"text".as_slice()),
        bytes().params(b"text".to_vec()),
        bytes().params(Params::new(b"text").unwrap()),
        bytes().params("not these").params("text"),
    ] {
        assert_eq!(digest_in_worker(builder), digest(b"text"));
    }
}

#[test]
fn many_workers_share_what_was_written_once() {
    become_worker();
    let params = Params::from_writer("shared", |file| {
        (0..64).try_for_each(|n| file.write_all(&[n; 1 << 16]))
    })
    .unwrap();
    let mut workers: Vec<_> = (0..4)
        .map(|_| {
            worker("digest", test_name!())
                .params(&params)
                .spawn()
                .unwrap()
        })
        .collect();
    for worker in &mut workers {
        let found = worker.join().unwrap().into_result().unwrap();
        assert_eq!(found, digest(params.as_slice()));
    }
}

#[test]
fn the_worker_maps_the_file_of_its_parent_read_only() {
    become_worker();
    let params = Params::from_writer("one-file", |file| file.write_all(&[7; 8192])).unwrap();
    let line = digest_in_worker(worker("maps", test_name!()).params(&params));
    let line = String::from_utf8(line).unwrap();
    let own = std::fs::read_to_string("/proc/self/maps").unwrap();
    let address = format!("{:x}-", params.as_slice().as_ptr() as usize);
    let own = own.lines().find(|line| line.starts_with(&address)).unwrap();
    // address, permissions, offset, device, inode, name
    let fields = |line: &str| -> Vec<String> {
        line.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(fields(&line), fields(own));
    assert_eq!(fields(own)[0], "r--p");
    assert!(own.contains("one-file"));
}
