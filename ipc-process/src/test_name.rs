//! The name of a test as the test harness knows it.

/// Name of the enclosing test function, as the test harness knows it:
/// `module::test_fn`, without the crate. For
/// [`Builder::under_test`](crate::Builder::under_test).
///
/// Closures within the function are seen through; functions within it are not,
/// as they have names of their own.
///
/// ```
/// fn starts_twice() -> &'static str {
///     let name = || ipc_process::test_name!();
///     name()
/// }
/// assert!(starts_twice().ends_with("starts_twice"));
/// ```
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::__name_of_enclosing(&here)
    }};
}

/// For [`test_name!`]: its argument is a function item `here` in the function
/// asked for.
#[doc(hidden)]
pub fn __name_of_enclosing<T>(here: &T) -> &'static str {
    enclosing(std::any::type_name_of_val(here))
}

fn enclosing(path: &str) -> &str {
    let mut name = path.strip_suffix("::here").unwrap_or(path);
    while let Some(outer) = name.strip_suffix("::{{closure}}") {
        name = outer;
    }
    name.split_once("::").map_or(name, |(_crate, name)| name)
}

#[cfg(test)]
mod tests {
    use super::enclosing;

    #[test]
    fn crate_and_closures_are_left_out() {
        assert_eq!(enclosing("krate::test::here"), "test");
        assert_eq!(enclosing("krate::a::b::test::here"), "a::b::test");
        let closures = "krate::a::test::{{closure}}::{{closure}}::here";
        assert_eq!(enclosing(closures), "a::test");
    }
}
