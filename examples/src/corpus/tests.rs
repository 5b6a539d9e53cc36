use std::os::unix::{
    fs::{PermissionsExt as _, symlink},
    net::UnixListener,
};

use nix::unistd::{Uid, setfsuid};
use tempfile::TempDir;

use super::*;

/// A directory with these files in it, removed when dropped.
fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn gather(directory: &TempDir) -> Result<Corpus, CorpusError> {
    Corpus::gather(&[directory.path().into()], Corpus::DEFAULT_LIMIT)
}

/// Gathers with the access of a user who owns nothing, for root may read everything.
fn gather_unprivileged(paths: &[PathBuf]) -> Result<Corpus, CorpusError> {
    /// Of this thread alone. Does nothing for who is not root, and then permissions hold anyway.
    struct FileUser(Uid);
    impl Drop for FileUser {
        fn drop(&mut self) {
            setfsuid(self.0);
        }
    }
    let _user = FileUser(setfsuid(Uid::from_raw(65534)));
    Corpus::gather(paths, Corpus::DEFAULT_LIMIT)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_are_joined_in_the_order_of_their_names_a_line_apart() {
    let directory = tree(&[
        ("b/y.txt", b"three\n"),
        ("c", b"four"),
        ("a", b"one"),
        ("b/x", b"two"),
        ("aa", b""),
    ]);
    let corpus = gather(&directory).unwrap();
    assert_eq!(corpus.text(), b"one\ntwo\nthree\nfour");
    let expected = Summary {
        files: 5,
        bytes: 18,
        ..Summary::default()
    };
    assert_eq!(corpus.summary(), expected);
}

#[test]
fn paths_are_taken_in_the_order_given_and_may_be_files() {
    let directory = tree(&[("a", b"one"), ("b", b"two"), (".hidden", b"named")]);
    let paths = [".hidden", "b", "a"].map(|name| directory.path().join(name));
    let corpus = Corpus::gather(&paths, Corpus::DEFAULT_LIMIT).unwrap();
    assert_eq!(corpus.text(), b"named\ntwo\none");
}

#[test]
fn hidden_ones_caches_links_and_sockets_are_left_out() {
    let directory = tree(&[
        ("a", b"one"),
        (".git/config", b"hidden"),
        (".hidden", b"hidden"),
        (
            "target/CACHEDIR.TAG",
            b"Signature: 8a477f597d28d172789f06886806bc55",
        ),
        ("target/debug/out.txt", b"built"),
        ("src/target/mod.rs", b"source"),
    ]);
    symlink("a", directory.path().join("link")).unwrap();
    symlink(".", directory.path().join("loop")).unwrap();
    let _socket = UnixListener::bind(directory.path().join("socket")).unwrap();
    let corpus = gather(&directory).unwrap();
    assert_eq!(corpus.text(), b"one\nsource");
    let expected = Summary {
        files: 2,
        bytes: 10,
        ..Summary::default()
    };
    assert_eq!(corpus.summary(), expected);
}

#[test]
fn binaries_are_left_out_and_counted() {
    let mut late = vec![b'x'; BINARY_PROBE_LEN as usize];
    late.push(0);
    let mut early = vec![b'x'; BINARY_PROBE_LEN as usize - 1];
    early.push(0);
    let directory = tree(&[("early", &early), ("late", &late), ("latin1", b"caf\xe9")]);
    let corpus = gather(&directory).unwrap();
    let expected = Summary {
        files: 2,
        bytes: late.len() as u64 + 5,
        binaries_skipped: 1,
        ..Summary::default()
    };
    let text = [&late, b"\ncaf\xe9".as_slice()].concat();
    assert!(
        corpus.text() == text,
        "the text is not that of the two files"
    );
    assert_eq!(corpus.summary(), expected);
}

#[test]
fn the_file_that_would_pass_the_limit_is_left_out_and_all_after_it() {
    let directory = tree(&[("a", b"12345"), ("b", b"12345"), ("c", b"1")]);
    let paths = [directory.path().into()];
    for limit in 0..15 {
        let result = Corpus::gather(&paths, limit);
        let expected: &[u8] = match limit {
            0..5 => {
                let error = result.unwrap_err();
                let CorpusError::LimitTooSmall {
                    path,
                    length: 5,
                    limit: l,
                } = &error
                else {
                    panic!("{error}");
                };
                assert_eq!((path, *l), (&directory.path().join("a"), limit));
                continue;
            }
            // The newline between them counts too.
            5..11 => b"12345",
            11..13 => b"12345\n12345",
            _ => b"12345\n12345\n1",
        };
        let corpus = result.unwrap();
        assert_eq!(corpus.text(), expected, "limit {limit}");
        assert_eq!(corpus.summary().bytes, expected.len() as u64);
    }
    let unlimited = Corpus::gather(&paths, u64::MAX).unwrap();
    assert_eq!(unlimited.text(), b"12345\n12345\n1");
}

#[test]
fn no_text_is_an_error_that_says_why() {
    let binaries = tree(&[("a", b"\0"), ("b", b"x\0y"), ("empty", b"")]);
    let error = gather(&binaries).unwrap_err();
    assert!(
        matches!(error, CorpusError::OnlyBinaries { binaries: 2 }),
        "{error}"
    );

    let empty = tree(&[("a", b""), ("b", b"")]);
    let error = gather(&empty).unwrap_err();
    assert!(
        matches!(
            error,
            CorpusError::Empty {
                files: 2,
                unreadable: 0
            }
        ),
        "{error}"
    );

    let directory = tree(&[]);
    for paths in [&[][..], &[directory.path().into()]] {
        let error = Corpus::gather(paths, 1).unwrap_err();
        assert!(
            matches!(
                error,
                CorpusError::Empty {
                    files: 0,
                    unreadable: 0
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn a_missing_path_is_an_error_that_names_it() {
    let directory = tree(&[("a", b"text")]);
    for name in ["no_such", "a/below_a_file"] {
        let paths = [directory.path().join("a"), directory.path().join(name)];
        let error = Corpus::gather(&paths, Corpus::DEFAULT_LIMIT).unwrap_err();
        assert!(matches!(error, CorpusError::Missing { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_named_socket_is_an_error() {
    let directory = tree(&[]);
    let path = directory.path().join("socket");
    let _socket = UnixListener::bind(&path).unwrap();
    let error = Corpus::gather(&[path], Corpus::DEFAULT_LIMIT).unwrap_err();
    assert!(matches!(error, CorpusError::NotAFile { .. }), "{error}");
}

#[test]
fn what_may_not_be_read_is_an_error_if_named_and_counted_if_met() {
    let directory = tree(&[
        ("open", b"text"),
        ("secret", b"secret"),
        ("closed/file", b"secret"),
    ]);
    let root = directory.path();
    set_mode(root, 0o755);
    set_mode(&root.join("open"), 0o644);
    set_mode(&root.join("secret"), 0o000);
    set_mode(&root.join("closed"), 0o000);

    let met = gather_unprivileged(&[root.into()]);
    let named = ["secret", "closed"].map(|name| (name, gather_unprivileged(&[root.join(name)])));
    // So that the directory can be removed by who is not root.
    set_mode(&root.join("closed"), 0o755);

    let met = met.unwrap();
    assert_eq!(met.text(), b"text");
    assert_eq!(met.summary().unreadable_skipped, 2);
    for (name, result) in named {
        let error = result.unwrap_err();
        assert!(matches!(error, CorpusError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_writer_that_fails_is_an_error() {
    let directory = tree(&[("a", b"12345")]);
    let mut full = [0; 3];
    let error =
        Corpus::gather_into(&[directory.path().into()], 100, &mut full.as_mut_slice()).unwrap_err();
    assert!(matches!(error, CorpusError::Write { .. }), "{error}");
}

#[test]
fn the_default_paths_are_there() {
    let paths = Corpus::default_paths();
    assert_eq!(paths[0], Path::new("."));
    assert!(paths.iter().all(|path| path.is_dir()), "{paths:?}");
}
