//! Reads what only the operator and the TURN servers may know.
//!
//! There are no flags for these, since every user of the machine can read the command line of a
//! process. They come from the environment (or `.env`), or from a file that a setting names.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};

use super::checker::Checker;
use super::cost::Secret;

const TURN_SHARED_SECRET: &str = "TURN_SHARED_SECRET";
const TURN_SHARED_SECRET_FILE: &str = "TURN_SHARED_SECRET_FILE";
const ADMIN_TOKEN: &str = "ADMIN_TOKEN";
const ADMIN_TOKEN_FILE: &str = "ADMIN_TOKEN_FILE";

/// Characters that an admin token must have, so that guessing is of no use.
const MIN_TOKEN_CHARS: usize = 16;

/// Bytes of a file with a secret; whoever names a larger one means another file.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What `--help` says about settings that have no flag.
pub(super) const HELP: &str = "\
Secrets, in the environment, in .env, or in a file (there are no flags, which others could read):
  TURN_SHARED_SECRET, or TURN_SHARED_SECRET_FILE=PATH
          Secrets shared with the TURN servers, comma-separated; the first one signs
  ADMIN_TOKEN, or ADMIN_TOKEN_FILE=PATH
          Token of the admin paths, which do not exist without it; at least 16 characters";

/// The secrets of the server.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Shared with TURN servers; those after the first are on their way out.
    pub(super) turn: Vec<Secret>,
    pub(super) admin_token: Option<Secret>,
}

impl Secrets {
    /// Reads them from the environment of the process, and from the files named there.
    pub(super) fn read(checker: &mut Checker) -> Self {
        Self::read_from(|name| env::var_os(name), checker)
    }

    fn read_from(variable: impl Fn(&str) -> Option<OsString>, checker: &mut Checker) -> Self {
        let mut secret = |name, file_name| read_secret(&variable, name, file_name, checker);
        let turn = secret(TURN_SHARED_SECRET, TURN_SHARED_SECRET_FILE);
        // Blanks around a token could not be sent in a header.
        let token = secret(ADMIN_TOKEN, ADMIN_TOKEN_FILE).and_then(|token| token.trimmed());
        if let Some(token) = &token
            && !is_hard_to_guess(token)
        {
            checker.fault(format!(
                "{ADMIN_TOKEN} must have at least {MIN_TOKEN_CHARS} characters that are not all \
                 the same, e.g. the output of openssl rand -hex 32"
            ));
        }
        Self {
            turn: turn.iter().flat_map(Secret::split).collect(),
            admin_token: token,
        }
    }
}

/// A secret of the environment or of a file; an empty variable counts as absent.
fn read_secret(
    variable: &impl Fn(&str) -> Option<OsString>,
    name: &str,
    file_name: &str,
    checker: &mut Checker,
) -> Option<Secret> {
    let given = |name| variable(name).filter(|value| !value.is_empty());
    match (given(name), given(file_name)) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            checker.fault(format!(
                "{name} and {file_name} must not be given both, as only one of them can hold"
            ));
            None
        }
        (Some(text), None) => match text.into_string() {
            Ok(text) => Some(Secret::new(text)),
            Err(_) => {
                checker.fault(format!("{name} must be text in UTF-8"));
                None
            }
        },
        (None, Some(path)) => {
            let text = File::open(&path).and_then(read_file);
            let text = text.map_err(|error| error.to_string());
            let reason = match text {
                Ok(text) if text.trim().is_empty() => "it is empty".to_owned(),
                Ok(text) => return Some(Secret::new(text)),
                Err(reason) => reason,
            };
            checker.fault(format!(
                "{file_name} must name a file with a secret in UTF-8, not {path:?}: {reason}"
            ));
            None
        }
    }
}

/// What a file holds, without the end of its last line.
fn read_file(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("it is larger than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::other(reason));
    }
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

fn is_hard_to_guess(token: &Secret) -> bool {
    let mut chars = token.as_str().chars();
    let first = chars.next();
    token.as_str().chars().count() >= MIN_TOKEN_CHARS && chars.any(|c| Some(c) != first)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::*;

    const TOKEN: &str = "token-of-the-operator";

    fn read(variables: &[(&str, &str)]) -> Result<Secrets, String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let mut checker = Checker::default();
        let variable = |name: &str| variables.get(name).map(OsString::from);
        let secrets = Secrets::read_from(variable, &mut checker);
        let checked = checker.finish().map(|()| secrets);
        checked.map_err(|error| error.to_string())
    }

    fn file(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_token_that_is_easy_to_guess_is_refused_and_not_shown() {
        for easy in ["x", "123456789012345", "aaaaaaaaaaaaaaaaaaaaaa", "ääääääää"] {
            let fault = read(&[(ADMIN_TOKEN, easy)]).unwrap_err();
            assert!(
                fault.starts_with("ADMIN_TOKEN must have at least 16"),
                "{fault}"
            );
            assert!(!fault.contains(easy) || easy == "x", "{fault}");
        }
        for good in [TOKEN, "aaaaaaaaaaaaaaab", "  token-of-the-operator  "] {
            let secrets = read(&[(ADMIN_TOKEN, good)]).unwrap();
            let token = secrets.admin_token.unwrap();
            assert_eq!(token.expose(), good.trim().as_bytes());
        }
    }

    #[test]
    fn nothing_given_is_no_secret() {
        for variables in [
            &[][..],
            &[(ADMIN_TOKEN, ""), (ADMIN_TOKEN_FILE, "")],
            &[(TURN_SHARED_SECRET, ",")],
        ] {
            let secrets = read(variables).unwrap();
            assert!(secrets.turn.is_empty() && secrets.admin_token.is_none());
        }
    }

    #[test]
    fn a_file_holds_a_secret_and_the_end_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let token = file(folder.path(), "token", "token-of-the-operator\n");
        let turn = file(folder.path(), "turn", "north,old\r\n");
        let variables = [
            (ADMIN_TOKEN_FILE, &*token),
            (TURN_SHARED_SECRET_FILE, &*turn),
        ];
        let secrets = read(&variables).unwrap();
        assert_eq!(secrets.admin_token.unwrap().expose(), TOKEN.as_bytes());
        let turn: Vec<_> = secrets.turn.iter().map(Secret::expose).collect();
        assert_eq!(turn, [b"north".as_slice(), b"old"]);
    }

    #[test]
    fn a_secret_given_twice_is_a_fault() {
        let fault = read(&[(ADMIN_TOKEN, TOKEN), (ADMIN_TOKEN_FILE, "/nowhere")]).unwrap_err();
        assert!(
            fault.starts_with("ADMIN_TOKEN and ADMIN_TOKEN_FILE"),
            "{fault}"
        );
        let both = [(TURN_SHARED_SECRET, "a"), (TURN_SHARED_SECRET_FILE, "b")];
        assert!(
            read(&both)
                .unwrap_err()
                .starts_with("TURN_SHARED_SECRET and")
        );
    }

    #[test]
    fn a_file_that_holds_no_secret_is_a_fault_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let empty = file(folder.path(), "empty", "\n");
        let large = file(folder.path(), "large", &"x".repeat(70_000));
        let missing = folder.path().join("missing");
        let itself = folder.path();
        for path in [
            &*empty,
            &*large,
            missing.to_str().unwrap(),
            itself.to_str().unwrap(),
        ] {
            let fault = read(&[(ADMIN_TOKEN_FILE, path)]).unwrap_err();
            assert!(
                fault.starts_with("ADMIN_TOKEN_FILE must name a file"),
                "{fault}"
            );
            assert!(fault.contains(path), "{fault}");
        }
    }
}
