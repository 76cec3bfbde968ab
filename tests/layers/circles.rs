//! No source files import each other, directly or through other files.
//!
//! An import counts for the file that defines the item: a `mod.rs` that only declares and re-exports
//! is skipped. Modules for tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path from the crate's root, such as `server::registry`.
type Module = Vec<String>;

struct Sources {
    /// The text of each module, without its tests.
    texts: BTreeMap<Module, String>,
}

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut texts = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|it| it == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                    texts.insert(module_of(&root, &path), code.to_owned());
                }
            }
        }
        texts.retain(|module, _| module.last().is_none_or(|name| name != "tests"));
        Self { texts }
    }

    /// The module that has the item at `path`, through the re-exports of maps.
    fn owner(&self, path: &[String]) -> Option<Module> {
        let len = (0..=path.len())
            .rev()
            .find(|len| self.texts.contains_key(&path[..*len]))?;
        let (module, rest) = path.split_at(len);
        let Some(item) = rest.first() else {
            return Some(module.to_vec());
        };
        let exported = self
            .imports(module, "pub")
            .into_iter()
            .find(|import| import.last() == Some(item) && import[..import.len() - 1] != *module);
        match exported {
            Some(import) => self.owner(&import),
            None => Some(module.to_vec()),
        }
    }

    /// The paths that a module imports, from the crate's root; those that begin with `prefix`.
    fn imports(&self, module: &[String], prefix: &str) -> Vec<Module> {
        let mut imports = Vec::new();
        let code: String = self.texts[module]
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for part in code.split(';') {
            let Some(start) = part.rfind("use ") else {
                continue;
            };
            let visibility = part[..start].rsplit('\n').next().unwrap().trim();
            if visibility.starts_with(prefix)
                && (visibility.is_empty() || visibility.starts_with("pub"))
            {
                // An alias leads to the same item.
                let tree = part[start + 4..].replace(" as ", "=");
                let tree: String = tree.split_whitespace().collect();
                flatten(&tree, &mut Vec::new(), &mut imports);
            }
        }
        imports
            .iter()
            .filter_map(|path| self.absolute(module, path))
            .collect()
    }

    /// A path from the crate's root; `None` if it leads to another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Module> {
        // The binaries declare the modules that they share by the path of the file.
        if let [root, shared, ..] = path
            && root == "crate"
            && let shared = vec!["bin".to_owned(), "shared".to_owned(), shared.clone()]
            && root_of(module).len() == 2
            && self.texts.contains_key(&shared)
        {
            return Some([&shared, &path[2..]].concat());
        }
        let mut base = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (base, rest) = (root_of(module), &rest[1..]),
            "peer_registry" => (base, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                if !self.texts.contains_key(&base) {
                    return None;
                }
                base.pop();
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The modules that each module imports items of.
    fn graph(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let edges = self.texts.keys().map(|module| {
            let imports = self.imports(module, "").into_iter();
            let owners = imports.filter_map(|path| self.owner(&path));
            let others = owners.filter(|owner| owner != module && !self.is_map(module));
            (module.clone(), others.collect())
        });
        edges.collect()
    }

    /// Whether a module has nothing but declarations and re-exports.
    fn is_map(&self, module: &[String]) -> bool {
        let items = [
            "fn ", "struct ", "enum ", "impl ", "trait ", "const ", "type ",
        ];
        let code = self.texts[module].lines();
        let mut code = code.map(|line| {
            line.trim_start_matches("pub(super) ")
                .trim_start_matches("pub ")
        });
        !code.any(|line| items.iter().any(|item| line.starts_with(item)))
    }
}

/// Each binary is a tree of its own.
fn root_of(module: &[String]) -> Module {
    match module.first().map(String::as_str) {
        Some("bin") => module[..2].to_vec(),
        _ => Vec::new(),
    }
}

fn module_of(root: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(root).unwrap().with_extension("");
    let path = match path.file_name().unwrap().to_str().unwrap() {
        "mod" | "lib" | "main" => path.parent().unwrap().to_owned(),
        _ => path,
    };
    let parts: PathBuf = path;
    parts
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect()
}

/// Writes out a tree of imports as paths.
fn flatten(tree: &str, base: &mut Vec<String>, paths: &mut Vec<Module>) {
    let len = base.len();
    let (names, group) = match tree.split_once('{') {
        Some((names, group)) => (names, group.strip_suffix('}')),
        None => (tree, None),
    };
    let names = names.split("::").filter(|name| !name.is_empty());
    base.extend(names.map(|name| name.split('=').next().unwrap().to_owned()));
    match group {
        None => paths.push(base.clone()),
        Some(group) => {
            let (mut depth, mut start) = (0, 0);
            for (index, sign) in group.char_indices() {
                match sign {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        flatten(&group[start..index], base, paths);
                        start = index + 1;
                    }
                    _ => {}
                }
            }
            if start < group.len() {
                flatten(&group[start..], base, paths);
            }
        }
    }
    base.truncate(len);
}

/// What can be reached from a module.
fn reachable(graph: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    let mut next: Vec<_> = graph[from].iter().collect();
    while let Some(module) = next.pop() {
        if found.insert(module.clone()) {
            next.extend(&graph[module]);
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = Sources::read();
    let graph = sources.graph();
    assert!(
        graph.values().map(BTreeSet::len).sum::<usize>() > 300,
        "imports are found"
    );
    let mut circles = BTreeSet::new();
    for module in graph.keys() {
        let reached = reachable(&graph, module);
        if reached.contains(module) {
            let circle: BTreeSet<_> = reached
                .into_iter()
                .filter(|other| reachable(&graph, other).contains(module))
                .map(|module| module.join("::"))
                .collect();
            circles.insert(circle);
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}
