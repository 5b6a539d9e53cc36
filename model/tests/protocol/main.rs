//! The protocol holds, in every schedule of small worlds and in random ones of larger worlds; and it
//! does not without any one of its rules.
//!
//! `MODEL_FULL=1 cargo test -p model -- --nocapture --test-threads 1` searches the larger worlds too.

mod exhaustive;
mod mutations;
mod schedules;

/// Whether the searches that take long are wanted.
fn is_full() -> bool {
    let wanted = std::env::var_os("MODEL_FULL").is_some();
    if !wanted {
        println!("skipped: set MODEL_FULL=1 for this one");
    }
    wanted
}
