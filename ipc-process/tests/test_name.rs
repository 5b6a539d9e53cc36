//! `test_name!` is the name by which the harness knows a test.

use ipc_process::test_name;

/// Whether the harness of this program lists the test.
fn is_listed(name: &str) -> bool {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("--list")
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().any(|line| line == format!("{name}: test"))
}

#[test]
fn at_the_root() {
    assert_eq!(test_name!(), "at_the_root");
    assert!(is_listed(test_name!()));
}

mod outer {
    mod inner {
        use ipc_process::{Process, run_if_worker, test_name};

        #[test]
        fn in_modules() {
            assert_eq!(test_name!(), "outer::inner::in_modules");
            assert!(super::super::is_listed(test_name!()));
        }

        #[test]
        fn in_closures() {
            let direct = test_name!();
            let nested = || [0].map(|_| test_name!())[0];
            assert_eq!(direct, nested());
            assert!(super::super::is_listed(nested()));
        }

        #[test]
        fn leads_a_worker_to_its_role() {
            run_if_worker("names", &[("ok", &|_| Ok(()))]);
            let mut worker = Process::builder("names", "ok")
                .under_test(test_name!())
                .spawn()
                .unwrap();
            assert!(worker.join().unwrap().success());
        }

        #[test]
        #[ignore = "run by `reaches_an_ignored_test`, as a worker"]
        fn ignored() {
            run_if_worker("names", &[("ignored", &|_| Ok(()))]);
        }

        #[test]
        fn reaches_an_ignored_test() {
            let name = test_name!().replace("reaches_an_ignored_test", "ignored");
            let mut worker = Process::builder("names", "ignored")
                .under_test(&name)
                .spawn()
                .unwrap();
            assert!(worker.join().unwrap().success());
        }
    }
}
