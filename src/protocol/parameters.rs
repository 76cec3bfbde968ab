//! Reads the parameters of a query string one by one, so that each error names its parameter.

use std::collections::HashMap;

use super::spelling::{Name, flag_of, nearest};
use super::{Limits, PeerId, RequestError, is_visible};

/// The maximum number of parameters, known or unknown. Parsing a whole head of parameters would cost
/// as much as a hundred heartbeats.
const MAX_PARAMETERS: usize = 32;

/// The known parameters of a query string that have not been read yet.
pub(crate) struct Parameters(HashMap<&'static str, Given>);

/// A parameter as it was given.
#[derive(Debug, PartialEq, Eq)]
enum Given {
    /// A name alone, for example `includeStores`.
    Name,
    /// A name and a value, unescaped; for example `limit=5`.
    Value(String),
}

impl Parameters {
    /// Finds the parameters with these names. Others are ignored, unless their names look like
    /// misspelled ones of these.
    pub(crate) fn parse(query: &str, names: &[Name]) -> Result<Self, RequestError> {
        // Counts separators instead of parameters, since parsing is what costs time.
        if query.bytes().filter(|&byte| byte == b'&').count() >= MAX_PARAMETERS {
            let form = format!("at most {MAX_PARAMETERS} parameters");
            return Err(RequestError::invalid("query", &form));
        }
        let mut found = HashMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else {
                continue;
            };
            let Some(Name { name: known, .. }) = names.iter().find(|known| known.name == name)
            else {
                match nearest(&name, names) {
                    Some(meant) => return Err(misspelled(&name, meant)),
                    None => continue,
                }
            };
            let given = match pair.contains('=') {
                true => Given::Value(value.into_owned()),
                false => Given::Name,
            };
            if found.get(known).is_some_and(|earlier| *earlier != given) {
                return Err(RequestError::invalid(*known, "given once"));
            }
            found.insert(*known, given);
        }
        Ok(Self(found))
    }

    /// Takes a value as it is; an empty one counts as absent.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<String> {
        match self.0.remove(name) {
            Some(Given::Value(value)) => Some(value).filter(|value| !value.is_empty()),
            Some(Given::Name) | None => None,
        }
    }

    /// Takes a flag, in any of the spellings that programming languages give to it.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, RequestError> {
        if self.0.get(name) == Some(&Given::Name) {
            return Ok(Some(true));
        }
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let error = || RequestError::invalid(name, "true or false");
        flag_of(&value).map(Some).ok_or_else(error)
    }

    /// Takes a number of at least one; a very large one counts as the largest `u32`.
    pub(crate) fn count(&mut self, name: &'static str) -> Result<Option<u32>, RequestError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match value.trim().parse::<u64>() {
            Ok(count) if count > 0 => Ok(Some(u32::try_from(count).unwrap_or(u32::MAX))),
            _ => Err(RequestError::invalid(name, "a whole number of at least 1")),
        }
    }

    /// Takes a text that peers can have announced.
    pub(crate) fn text(
        &mut self,
        name: &'static str,
        max_bytes: usize,
    ) -> Result<Option<String>, RequestError> {
        let value = self.value(name);
        Self::checked_text(name, value, max_bytes)
    }

    /// Takes a text like [`text`](Self::text), whose blanks at the ends do not count.
    pub(crate) fn trimmed_text(
        &mut self,
        name: &'static str,
        max_bytes: usize,
    ) -> Result<Option<String>, RequestError> {
        let value = self.value(name).map(|value| value.trim_ascii().to_owned());
        Self::checked_text(name, value.filter(|value| !value.is_empty()), max_bytes)
    }

    fn checked_text(
        name: &'static str,
        value: Option<String>,
        max_bytes: usize,
    ) -> Result<Option<String>, RequestError> {
        let Some(value) = value else {
            return Ok(None);
        };
        // Unescaping replaced bytes that are not UTF-8.
        let is_utf8 = !value.contains(char::REPLACEMENT_CHARACTER);
        if value.len() <= max_bytes && is_visible(&value) && is_utf8 {
            Ok(Some(value))
        } else {
            let form =
                format!("1 to {max_bytes} bytes of UTF-8 without control or invisible characters");
            Err(RequestError::invalid(name, &form))
        }
    }

    /// Takes the id of a peer.
    pub(crate) fn peer_id(
        &mut self,
        name: &'static str,
        limits: &Limits,
    ) -> Result<Option<PeerId>, RequestError> {
        let value = self.value(name);
        value
            .map(|text| PeerId::parse(&text, name, limits))
            .transpose()
    }
}

/// Names the misspelled parameter only if it is plain: the error repeats text that another person may
/// have put into a link, and the client may display it.
fn misspelled(name: &str, meant: &'static str) -> RequestError {
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let form = match is_plain {
        true => format!("spelled {meant}, not {name}"),
        false => format!("spelled {meant}"),
    };
    RequestError::invalid(meant, &form)
}
