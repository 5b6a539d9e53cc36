//! The cursors' orderings under loom: `RUSTFLAGS="--cfg loom" cargo test -p ipc-queue --release`.
