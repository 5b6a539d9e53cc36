//! ipc-sync
