//! What the command line asks for.

/// Whether to run the load `name`: the command line contains a part of this name, or no name.
pub fn is_wanted(name: &str) -> bool {
    let mut wanted = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .peekable();
    wanted.peek().is_none() || wanted.any(|part| name.contains(&part))
}
