//! Descriptors arrive under their keys, and only they.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use ipc_process::{Builder, Error, Params, Process, run_if_worker, test_name};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

mod common;
use common::{Echo, echo};

/// What the descriptors of this process refer to, without the directory itself.
fn open_files() -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        // The descriptor of the listing is closed by now in later entries.
        if let Ok(target) = std::fs::read_link(entry?.path()) {
            files.push(target.to_string_lossy().into_owned());
        }
    }
    Ok(files)
}

fn become_worker() {
    run_if_worker(
        "descriptors",
        &[
            ("echo", &echo),
            ("concat", &|worker| {
                let mut text = String::new();
                let mut keys = worker.params().to_vec();
                keys.sort();
                for key in keys {
                    let key = char::from(key).to_string();
                    File::from(worker.take_fd(&key)?).read_to_string(&mut text)?;
                }
                Ok(worker.set_result(text.as_bytes())?)
            }),
            ("errors", &|worker| {
                let never = worker.fd("b").unwrap_err().to_string();
                let _taken = worker.take_fd("a")?;
                let again = worker.take_fd("a").unwrap_err().to_string();
                Ok(worker.set_result(format!("{never}\n{again}").as_bytes())?)
            }),
            ("flags", &|worker| {
                let flags = fcntl(worker.fd("a")?, FcntlArg::F_GETFD)?;
                match FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC) {
                    true => Ok(()),
                    false => Err("open across exec".into()),
                }
            }),
            ("list", &|worker| {
                let files = open_files()?.join("\n");
                Ok(worker.set_result(files.as_bytes())?)
            }),
            ("count-own", &|worker| {
                let (reader, _writer) = io::pipe()?;
                let params = Params::new(b"shared")?;
                let run = || {
                    worker_of("list", &String::from_utf8_lossy(worker.params()))
                        .params(&params)
                        .fd("a", &reader)
                        .spawn()?
                        .join()
                };
                run()?;
                let before = open_files()?.len();
                for _ in 0..20 {
                    run()?.into_result()?;
                }
                let after = open_files()?.len();
                match before == after {
                    true => Ok(()),
                    false => Err(format!("{before} descriptors before, {after} after").into()),
                }
            }),
        ],
    );
}

fn worker_of(role: &str, test: &str) -> Builder {
    Process::builder("descriptors", role).under_test(test)
}

fn join(builder: Builder) -> String {
    let result = builder.spawn().unwrap().join().unwrap().into_result();
    String::from_utf8(result.unwrap()).unwrap()
}

/// The reading end of a pipe with a text in it.
fn pipe_of(text: &str) -> io::PipeReader {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader
}

#[test]
fn a_pipe_connects_parent_and_worker() {
    become_worker();
    let (mut ours, requests, replies) = Echo::pipes();
    let mut worker = worker_of("echo", test_name!())
        .fd("requests", requests)
        .fd("replies", replies)
        .spawn()
        .unwrap();
    for byte in 0..=255 {
        let mut reply = [0];
        ours.requests.write_all(&[byte]).unwrap();
        ours.replies.read_exact(&mut reply).unwrap();
        assert_eq!(reply, [byte]);
    }
    drop(ours.requests);
    assert!(worker.join().unwrap().success());
    // The worker's ends were given away: nothing keeps this pipe open.
    assert_eq!(ours.replies.read(&mut [0]).unwrap(), 0);
}

#[test]
fn each_key_gets_its_own_descriptor() {
    become_worker();
    let text = join(
        worker_of("concat", test_name!())
            .params("cab")
            .fd("c", pipe_of("three"))
            .fd("a", pipe_of("one "))
            .fd("b", pipe_of("two ")),
    );
    assert_eq!(text, "one two three");
}

#[test]
fn keys_may_be_any_text() {
    become_worker();
    let mut worker = Process::builder("descriptors", "errors")
        .under_test(test_name!())
        .name("odd")
        .fd("a", pipe_of(""))
        .fd("x=1;%\0ü", pipe_of(""))
        .spawn()
        .unwrap();
    let text = worker.join().unwrap().into_result().unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("worker `odd` has no descriptor `b` (it has: a, x=1;%\0ü)"));
}

#[test]
fn a_missing_descriptor_is_an_error_with_the_names_of_those_there() {
    become_worker();
    let text = join(worker_of("errors", test_name!()).fd("a", pipe_of("")));
    let (never, again) = text.split_once('\n').unwrap();
    assert!(never.contains("no descriptor `b` (it has: a)"), "{never}");
    assert!(
        again.contains("no descriptor `a` (it has: none)"),
        "{again}"
    );
}

#[test]
fn a_key_given_twice_is_refused() {
    become_worker();
    let error = worker_of("flags", test_name!())
        .name("twins")
        .fd("a", pipe_of(""))
        .fd("a", pipe_of(""))
        .spawn()
        .unwrap_err();
    assert!(
        matches!(&error, Error::DuplicateKey { name, key } if name == "twins" && key == "a"),
        "{error}"
    );
}

#[test]
fn what_arrives_is_closed_on_exec() {
    become_worker();
    join(worker_of("flags", test_name!()).fd("a", pipe_of("")));
}

#[test]
fn a_worker_has_no_descriptor_that_it_was_not_given() {
    become_worker();
    let (given, _writer) = io::pipe().unwrap();
    let (kept, _writer) = io::pipe().unwrap();
    let inode = |fd: &io::PipeReader| {
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        std::fs::read_link(link)
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    let files = join(worker_of("list", test_name!()).fd("a", &given));
    let files: HashSet<_> = files.lines().collect();
    assert!(files.contains(&*inode(&given)), "{files:?}");
    assert!(!files.contains(&*inode(&kept)), "{files:?}");
}

#[test]
fn a_parent_keeps_no_descriptor_of_a_worker_that_is_gone() {
    become_worker();
    // In a process of its own: other tests open descriptors meanwhile.
    join(worker_of("count-own", test_name!()).params(test_name!()));
}
