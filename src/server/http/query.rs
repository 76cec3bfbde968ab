//! Reads query parameters one by one, so that each error names its parameter.

use std::collections::HashMap;

use actix_web::web;

use crate::protocol::{Limits, PeerId, RequestError, is_visible};
use crate::server::policy::selection::PageStart;

/// The maximum number of parameters, known or unknown. Parsing a whole head of parameters would cost
/// as much as a hundred heartbeats.
const MAX_PARAMETERS: usize = 32;

/// The parameters of a query string; unknown ones are ignored.
pub(crate) struct Query(HashMap<String, String>);

/// Names the parameter only if its name is short and alphanumeric: the error repeats text that
/// another person may have put into a link, and the client may display it.
fn repeated(name: String) -> RequestError {
    const MAX_NAME_CHARS: usize = 64;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain && (1..=MAX_NAME_CHARS).contains(&name.len()) {
        RequestError::invalid(name, "given once")
    } else {
        RequestError::invalid("query", "parameters of different names")
    }
}

impl Query {
    pub(crate) fn parse(text: &str) -> Result<Self, RequestError> {
        // Counts separators instead of parameters, since parsing is what costs time.
        if text.bytes().filter(|&byte| byte == b'&').count() >= MAX_PARAMETERS {
            let form = format!("at most {MAX_PARAMETERS} parameters");
            return Err(RequestError::invalid("query", &form));
        }
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|_| RequestError::invalid("query", "name=value pairs, URL-encoded"))?
            .into_inner();
        let mut parameters = HashMap::with_capacity(pairs.len());
        for (name, value) in pairs {
            if parameters.insert(name.clone(), value).is_some() {
                return Err(repeated(name));
            }
        }
        Ok(Self(parameters))
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, RequestError> {
        match self.0.remove(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(RequestError::invalid(name, "true or false")),
        }
    }

    pub(crate) fn count(&mut self, name: &'static str) -> Result<Option<usize>, RequestError> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => Err(RequestError::invalid(name, "a whole number of at least 1")),
        }
    }

    pub(crate) fn text(
        &mut self,
        name: &'static str,
        max_bytes: usize,
    ) -> Result<Option<String>, RequestError> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        // Decoding the query string replaced bytes that are not UTF-8.
        let is_utf8 = !text.contains(char::REPLACEMENT_CHARACTER);
        if (1..=max_bytes).contains(&text.len()) && is_visible(&text) && is_utf8 {
            Ok(Some(text))
        } else {
            let form =
                format!("1 to {max_bytes} bytes of UTF-8 without control or invisible characters");
            Err(RequestError::invalid(name, &form))
        }
    }

    /// Reads where the previous page ended: a peer id, and after `~` the id where the first page
    /// began.
    pub(crate) fn cursor(&mut self, name: &'static str) -> Result<Option<PageStart>, RequestError> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        // Of any length: the peer may have registered under a higher limit than today's.
        let limits = Limits {
            peer_id_chars: usize::MAX,
            ..Limits::default()
        };
        let (last, first) = match text.split_once('~') {
            Some((last, first)) => (last, Some(first)),
            None => (text.as_str(), None),
        };
        let mut ids = [last].into_iter().chain(first);
        if !ids.all(|id| PeerId::is_well_formed(id, &limits)) {
            let form = "the nextCursor of the page before";
            return Err(RequestError::invalid(name, form));
        }
        Ok(Some(PageStart::After {
            last: last.to_owned(),
            first: first.map(str::to_owned),
        }))
    }

    pub(crate) fn peer_id(
        &mut self,
        name: &'static str,
        limits: &Limits,
    ) -> Result<Option<PeerId>, RequestError> {
        self.0
            .remove(name)
            .map(|text| PeerId::parse(&text, name, limits))
            .transpose()
    }
}
