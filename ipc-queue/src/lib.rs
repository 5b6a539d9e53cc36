//! ipc-queue
