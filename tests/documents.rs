//! The documents match the code.

use peer_registry::protocol::ErrorCode;

const API: &str = include_str!("../docs/api.md");

/// The words in backticks in the second column of the table of errors.
fn documented_codes() -> Vec<&'static str> {
    let (_, section) = API.split_once("\n## Errors\n").unwrap();
    let (table, _) = section.split_once("\n### ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let codes = rows.skip(1).filter_map(|row| row.split('|').nth(2));
    codes
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn the_table_of_errors_has_each_code() {
    let documented = documented_codes();
    for code in ErrorCode::ALL {
        assert!(documented.contains(&code.as_str()), "{code}");
    }
}

#[test]
fn the_table_of_errors_has_no_unknown_code() {
    for documented in documented_codes() {
        let is_code = ErrorCode::ALL
            .iter()
            .any(|code| code.as_str() == documented);
        assert!(is_code, "{documented}");
    }
}

#[test]
fn the_embedded_example_builds_from_the_lines_in_the_document() {
    let nodes = include_str!("../docs/nodes.md");
    let (_, rest) = nodes.split_once("```toml\n").unwrap();
    let (manifest, _) = rest.split_once("```").unwrap();
    let example = include_str!("../examples/embed.rs");
    for name in ["peer_registry", "tokio"] {
        assert!(example.contains(&format!("{name}::")), "{name}");
        let line = format!("\n{} = ", name.replace('_', "-"));
        assert!(manifest.contains(&line), "{line}");
    }
}
