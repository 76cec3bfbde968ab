//! The secrets, which only the operator and the TURN servers may know.
//!
//! There are no flags for them, since every user of the machine can read the command line of a
//! process. They are given as text, or in a file that a setting names.

use super::declaration::SecretText;
use super::reader::Reader;
use super::secret::Secret;

pub(crate) const TURN_SHARED_SECRET: SecretText = SecretText {
    name: "TURN_SHARED_SECRET",
    file_name: "TURN_SHARED_SECRET_FILE",
    meaning: "Secrets shared with the TURN servers, comma-separated; the first one signs",
};

pub(crate) const ADMIN_TOKEN: SecretText = SecretText {
    name: "ADMIN_TOKEN",
    file_name: "ADMIN_TOKEN_FILE",
    meaning: "Token of the admin paths, which do not exist without it; at least 16 characters",
};

/// Minimum length of an admin token, so that guessing it is hopeless.
const MIN_TOKEN_CHARS: usize = 16;

/// The secrets of the server.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// Shared with TURN servers. The first one signs; the others are accepted by TURN servers while
    /// it replaces them.
    pub(crate) turn: Vec<Secret>,
    pub(crate) admin_token: Option<Secret>,
}

impl Secrets {
    pub(crate) fn read(settings: &mut Reader<'_>) -> Self {
        let turn = settings.secret(&TURN_SHARED_SECRET);
        let turn: Vec<_> = turn.iter().flat_map(Secret::split).collect();
        if let Some(fault) = turn.iter().find_map(Secret::fault) {
            let SecretText {
                name, file_name, ..
            } = TURN_SHARED_SECRET;
            settings.add_fault(format!("{name}, or the file of {file_name}, {fault}"));
        }
        // Not a fault: the TURN servers have the same secret, and this start must not fail for it.
        if turn.iter().any(|secret| !is_hard_to_guess(secret)) {
            settings.add_notice(format!(
                "{} has a secret that is easy to guess (fewer than {MIN_TOKEN_CHARS} characters, or all the \
                 same): check that no part of it was taken for a comment, and choose a longer one",
                TURN_SHARED_SECRET.name
            ));
        }
        let token = settings.secret(&ADMIN_TOKEN);
        if let Some(fault) = token.as_ref().and_then(Secret::fault) {
            let SecretText {
                name, file_name, ..
            } = ADMIN_TOKEN;
            settings.add_fault(format!("{name}, or the file of {file_name}, {fault}"));
        }
        if let Some(token) = &token
            && !is_hard_to_guess(token)
        {
            settings.add_fault(format!(
                "{} must have at least {MIN_TOKEN_CHARS} characters that are not all the same, \
                 e.g. the output of openssl rand -hex 32",
                ADMIN_TOKEN.name
            ));
        }
        Self {
            turn,
            admin_token: token,
        }
    }
}

fn is_hard_to_guess(token: &Secret) -> bool {
    let mut chars = token.as_str().chars();
    let first = chars.next();
    token.as_str().chars().count() >= MIN_TOKEN_CHARS && chars.any(|c| Some(c) != first)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::server::config::reader::Given;

    const ADMIN_TOKEN: &str = super::ADMIN_TOKEN.name;
    const ADMIN_TOKEN_FILE: &str = super::ADMIN_TOKEN.file_name;
    const TURN_SHARED_SECRET: &str = super::TURN_SHARED_SECRET.name;
    const TURN_SHARED_SECRET_FILE: &str = super::TURN_SHARED_SECRET.file_name;
    const TOKEN: &str = "token-of-the-operator";

    fn read(given: &[(&str, &str)]) -> Result<Secrets, String> {
        let given = given
            .iter()
            .map(|(name, value)| (name.to_string(), value.into()));
        let given = Given::from_iter(given);
        let mut settings = Reader::new(&given);
        let secrets = Secrets::read(&mut settings);
        let checked = settings.finish().map(|()| secrets);
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
        for good in [TOKEN, "aaaaaaaaaaaaaaab", "token of the operator"] {
            let secrets = read(&[(ADMIN_TOKEN, good)]).unwrap();
            let token = secrets.admin_token.unwrap();
            assert_eq!(token.expose(), good.as_bytes());
        }
    }

    #[test]
    fn a_blank_at_the_end_of_a_secret_is_refused_and_never_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let token = file(folder.path(), "token", "token-of-the-operator \n");
        let lines = file(folder.path(), "lines", "north\nold\n");
        for (name, value) in [
            (ADMIN_TOKEN, " token-of-the-operator"),
            (ADMIN_TOKEN, "token-of-the-operator\u{a0}"),
            (ADMIN_TOKEN, "                    "),
            (ADMIN_TOKEN_FILE, &token),
            (TURN_SHARED_SECRET, "north, old"),
            (TURN_SHARED_SECRET, "north "),
            (TURN_SHARED_SECRET, " "),
            (TURN_SHARED_SECRET_FILE, &lines),
        ] {
            let fault = read(&[(name, value)]).unwrap_err();
            assert!(fault.contains(name), "{fault}");
            let reason = ["has a blank", "has a control character"];
            assert!(reason.iter().any(|part| fault.contains(part)), "{fault}");
            assert!(!fault.contains("north") && !fault.contains("token-of"));
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
