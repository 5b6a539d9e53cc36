//! The fault lab's program: see the library.

fn main() -> std::process::ExitCode {
    lab::cli::main()
}
