//! What the command line asks for.

/// Whether the command line asks for a load: it names a part of its name, or nothing at all.
pub fn is_wanted(name: &str) -> bool {
    let mut wanted = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .peekable();
    wanted.peek().is_none() || wanted.any(|part| name.contains(&part))
}
