//! What the exit code of an example says.

use examples::{Failure, Lesson};
use ipc_process::{ExitStatusKind, Process, WorkResult, Worker, run_if_worker, test_name};
use std::process::{ExitCode, Stdio};

fn teach(worker: &mut Worker) -> WorkResult {
    let judge = |lesson: &mut Lesson| -> Result<(), Failure> {
        lesson.expect("sum", 1 + 1, 2, "a sum");
        match worker.params() {
            b"right" => {}
            b"hanging" => loop {
                std::thread::park();
            },
            b"wrong" => lesson.check("colour", "red", false, "a colour"),
            _ => return Err("could not be taught".into()),
        }
        Ok(())
    };
    let code = Lesson::run("judged", true, judge);
    let codes = [0, 1, 2].map(ExitCode::from);
    let code = codes.iter().position(|&it| it == code);
    Ok(worker.set_result(&[code.ok_or("another code")? as u8])?)
}

#[test]
fn wrong_is_1_and_failed_or_hanging_is_2() {
    // In a process of its own, as a lesson ends its process after some time.
    run_if_worker("verdict", &[("teach", &teach)]);
    for (what, code) in [("right", 0), ("wrong", 1), ("failing", 2)] {
        let mut worker = Process::builder("verdict", "teach")
            .under_test(test_name!())
            .params(what)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let found = worker.join().unwrap().into_result().unwrap();
        assert_eq!(found, [code], "{what}");
    }
    let mut worker = Process::builder("verdict", "teach")
        .under_test(test_name!())
        .params("hanging")
        .env("EXAMPLE_SECONDS", "0")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let complaint = std::io::read_to_string(worker.take_stderr().unwrap()).unwrap();
    assert_eq!(complaint, "judged: does not come to an end\n");
    let status = worker.join().unwrap().status;
    assert_eq!(status, ExitStatusKind::Code(2));
}
