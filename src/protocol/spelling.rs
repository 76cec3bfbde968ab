//! Names and flags that are spelled a little differently.

/// Shorter names, such as `_` and `t`, are those that caches and trackers add.
const MIN_CHARS: usize = 4;

/// Longer ones are not compared, since the comparison takes time in proportion.
const MAX_CHARS: usize = 64;

/// Words around a name, as in `isTurn` or `withStores`.
const WORDS_BEFORE: [&str; 7] = ["is", "has", "with", "only", "get", "show", "filter"];
const WORDS_AFTER: [&str; 3] = ["only", "filter", "flag"];

/// Names that clients add for purposes of their own, and that resemble those of a registry.
const OTHERS: [&str; 6] = [
    "apiversion",
    "appversion",
    "clientversion",
    "libversion",
    "sdkversion",
    "restore",
];

/// A name, and other words that people use for it, as stems.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    pub(crate) name: &'static str,
    pub(crate) synonyms: &'static [&'static str],
}

/// A flag in any of the spellings that programming languages give to it.
pub(crate) fn flag_of(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Whether two names differ at most in case, hyphens and underscores.
pub(crate) fn is_spelled_as(given: &str, name: &str) -> bool {
    let letters = |text: &str| {
        let bytes = text.bytes().filter(|byte| !matches!(byte, b'_' | b'-'));
        bytes
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    // A name has few hyphens, if any.
    given.len() <= name.len() + MIN_CHARS && letters(given) == letters(name)
}

/// Returns the name that the parameter `given` is most likely meant to be; `None` if it resembles no
/// name.
pub(crate) fn nearest(given: &str, names: &[Name]) -> Option<&'static str> {
    let given = stem(given.get(..MAX_CHARS).unwrap_or(given));
    if OTHERS.contains(&given.as_str()) {
        return None;
    }
    let bare = WORDS_BEFORE
        .iter()
        .filter_map(|word| given.strip_prefix(word));
    let bare = bare.chain(
        WORDS_AFTER
            .iter()
            .filter_map(|word| given.strip_suffix(word)),
    );
    let mut bare = std::iter::once(given.as_str()).chain(bare);
    let is_meant =
        |name: &&Name, text: &str| stem(name.name) == text || name.synonyms.contains(&text);
    let exact = bare.find_map(|text| names.iter().find(|name| is_meant(name, text)));
    if let Some(name) = exact {
        return Some(name.name);
    }
    if !(MIN_CHARS..MAX_CHARS).contains(&given.len()) {
        return None;
    }
    let candidates = names.iter().filter_map(|&Name { name, .. }| {
        let known = stem(name);
        if known.contains(&given) || given.contains(&known) {
            return Some((strsim::osa_distance(&given, &known), name));
        }
        edits_to(&given, &known).map(|edits| (edits, name))
    });
    candidates.min().map(|(_, name)| name)
}

/// Returns the field of `names` that the unknown field `given` is most likely meant to be. Stricter than
/// for parameters, since nodes send fields of their own, e.g. `realAddress` beside `addresses`.
pub(crate) fn misspelled_name(given: &str, names: &[&'static str]) -> Option<&'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !(MIN_CHARS..MAX_CHARS).contains(&given.len()) || !given.bytes().all(is_plain) {
        return None;
    }
    let given = stem(given);
    let meant = match given.as_str() {
        "network" | "networkname" | "net" | "netid" | "chain" | "chainid" => "networkId",
        "addr" | "multiaddr" | "listenaddr" | "listenaddresse" => "addresses",
        _ => {
            let near = names
                .iter()
                .filter_map(|name| Some((edits_to(&given, &stem(name))?, *name)));
            near.min()?.1
        }
    };
    names.iter().find(|name| **name == meant).copied()
}

/// The number of edits between two stems, if they are few for the length.
fn edits_to(given: &str, known: &str) -> Option<usize> {
    let max_edits = match known.len() {
        0..=8 => 1,
        9..=13 => 2,
        _ => 3,
    };
    // The comparison takes long, and cannot find what differs too much in length.
    if known.len().abs_diff(given.len()) > max_edits {
        return None;
    }
    let edits = strsim::osa_distance(given, known);
    (edits <= max_edits).then_some(edits)
}

/// The letters of a name in lowercase, in the singular.
fn stem(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let mut stem: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    if stem.ends_with("ies") {
        stem.truncate(stem.len() - "ies".len());
        stem.push('y');
    } else if stem.ends_with('s') && !stem.ends_with("ss") {
        stem.pop();
    }
    stem
}
