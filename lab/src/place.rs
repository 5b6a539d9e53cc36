//! Which line of the source an instruction is of.

/// The function and line, and which functions it is inlined into, from the inside out: those of
/// this project, or the innermost if there is none. 0 is before or after the operation.
pub fn describe(address: u64) -> String {
    if address == 0 {
        return "outside the operation".to_owned();
    }
    let mut frames = Vec::new();
    let mut first = None;
    backtrace::resolve(
        std::ptr::without_provenance_mut(address as usize),
        |symbol| {
            let name = symbol
                .name()
                .map(|it| format!("{it:#}"))
                .unwrap_or_default();
            let file = symbol.filename().map(|it| it.display().to_string());
            let line = symbol.lineno().unwrap_or_default();
            let short = file
                .as_deref()
                .map(|it| it.rsplit('/').next().unwrap_or(it).to_owned());
            let text = match short {
                Some(file) => format!("{} ({file}:{line})", last_names(&name)),
                None => last_names(&name),
            };
            first.get_or_insert_with(|| text.clone());
            if ["ipc_core", "ipc_sync", "ipc_queue"]
                .iter()
                .any(|it| name.contains(it))
            {
                frames.push(text);
            }
        },
    );
    match (frames.is_empty(), first) {
        (false, _) => frames[..frames.len().min(3)].join(", in "),
        (true, Some(text)) => text,
        (true, None) => format!("{address:#x}"),
    }
}

/// The last two names of a path, without types in brackets.
fn last_names(path: &str) -> String {
    let mut depth = 0;
    let path = path.replace("->", "");
    let plain = path.chars().filter(|&it| {
        depth += i32::from(it == '<');
        let is_outside = depth == 0;
        depth -= i32::from(it == '>');
        is_outside
    });
    let plain: String = plain.collect();
    let mut names: Vec<&str> = plain
        .rsplit("::")
        .filter(|it| !it.is_empty())
        .take(2)
        .collect();
    names.reverse();
    names.join("::")
}
