//! Reads a JSON object field by field, so that each error names its field.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::dropped::{DroppedFields, OddAddress};
use super::text::{is_clean_json, is_clean_text};
use super::unique_keys::UniqueKeys;
use super::{Limits, PeerId, RequestError, body_fault};
use crate::clock::unix_ms;

/// The fields of a request body that have not been read yet.
pub(crate) struct Fields<'l> {
    map: Map<String, Value>,
    limits: &'l Limits,
    dropped: DroppedFields,
}

impl<'l> Fields<'l> {
    /// Parses `body` as one JSON object without duplicate keys, nested at most 128 deep.
    pub(crate) fn parse(body: &[u8], limits: &'l Limits) -> Result<Self, RequestError> {
        let body = body_fault::without_mark(body);
        match serde_json::from_slice(body) {
            Ok(UniqueKeys(Value::Object(map))) => Ok(Self {
                map,
                limits,
                dropped: DroppedFields::default(),
            }),
            Ok(UniqueKeys(other)) => Err(body_fault::not_an_object(&other)),
            Err(error) => Err(body_fault::explain(body, &error)),
        }
    }

    /// Takes a field; null and the empty string count as absent, since that is how nodes leave one
    /// out.
    fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.map.remove(name)?;
        let is_empty = value.is_null() || value.as_str() == Some("");
        (!is_empty).then_some(value)
    }

    /// Reads a field that is dropped if it is wrong.
    pub(crate) fn or_drop<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Option<T>, RequestError>,
    ) -> Option<T> {
        match read(self) {
            Ok(value) => value,
            Err(error) => {
                let field = error.field.unwrap_or_default();
                self.dropped.add(field, error.message);
                None
            }
        }
    }

    /// Returns what was dropped.
    pub(crate) fn into_dropped(self) -> DroppedFields {
        self.dropped
    }

    /// The id of a peer that may have registered long ago.
    pub(crate) fn peer_id(&mut self) -> Result<PeerId, RequestError> {
        self.id(PeerId::parse, PeerId::form)
    }

    /// The id of a peer that registers.
    pub(crate) fn new_peer_id(&mut self) -> Result<PeerId, RequestError> {
        self.id(PeerId::parse_new, PeerId::new_form)
    }

    fn id(
        &mut self,
        parse: fn(&str, &'static str, &Limits) -> Result<PeerId, RequestError>,
        form: fn(&Limits) -> String,
    ) -> Result<PeerId, RequestError> {
        const NAME: &str = "peerId";
        match self.map.get(NAME) {
            None | Some(Value::Null) => Err(RequestError::missing(NAME, &form(self.limits))),
            Some(Value::String(text)) => parse(text, NAME, self.limits),
            Some(_) => Err(RequestError::invalid(NAME, &form(self.limits))),
        }
    }

    /// A short free text without control or invisible characters.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, RequestError> {
        self.clean_text(name, self.limits.string_bytes)
    }

    /// A store id.
    pub(crate) fn store_id(&mut self, name: &'static str) -> Result<Option<String>, RequestError> {
        self.clean_text(name, self.limits.store_bytes)
    }

    fn clean_text(
        &mut self,
        name: &'static str,
        max: usize,
    ) -> Result<Option<String>, RequestError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_clean_text(&text, max) => Ok(Some(text)),
            Some(_) => Err(RequestError::invalid(
                name,
                &format!("a string of 1 to {max} bytes without control or invisible characters"),
            )),
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, RequestError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(Value::Number(number)) if number.as_i64() == Some(0) => Ok(Some(false)),
            Some(Value::Number(number)) if number.as_i64() == Some(1) => Ok(Some(true)),
            Some(_) => Err(RequestError::invalid(name, "true or false")),
        }
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn number<N: TryFrom<i64>>(
        &mut self,
        name: &'static str,
        min: i64,
        max: i64,
    ) -> Result<Option<N>, RequestError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        value
            .as_i64()
            .filter(|number| (min..=max).contains(number))
            .and_then(|number| N::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| {
                RequestError::invalid(name, &format!("a whole number from {min} to {max}"))
            })
    }

    /// A number in `range`, which `form` describes.
    pub(crate) fn decimal(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f64>,
        form: &str,
    ) -> Result<Option<f64>, RequestError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|number| range.contains(number)) {
                Some(number) => Ok(Some(number)),
                None => Err(RequestError::invalid(name, form)),
            },
        }
    }

    /// One of a few words, which `form` lists.
    pub(crate) fn word<W: FromStr>(
        &mut self,
        name: &'static str,
        form: &str,
    ) -> Result<Option<W>, RequestError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_str().and_then(|text| text.parse().ok()) {
            Some(word) => Ok(Some(word)),
            None => Err(RequestError::invalid(name, form)),
        }
    }

    /// The form of a time.
    pub(crate) const TIME_FORM: &'static str = "a time as RFC 3339, e.g. 2026-12-01T00:00:00Z";

    /// A time, in Unix milliseconds.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Option<i64>, RequestError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_str().and_then(unix_ms) {
            Some(unix_ms) => Ok(Some(unix_ms)),
            None => Err(RequestError::invalid(name, Self::TIME_FORM)),
        }
    }

    /// Whether the body has a field that is null.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    /// Drops a number that is zero, and says so.
    pub(crate) fn drop_zero(&mut self, name: &'static str, reason: String) {
        if self.map.get(name).and_then(Value::as_i64) == Some(0) {
            self.map.remove(name);
            self.dropped.add(name, reason);
        }
    }

    pub(crate) fn port(&mut self, name: &'static str) -> Result<Option<u16>, RequestError> {
        self.count(name, i64::from(u16::MAX))
    }

    /// A whole number from 1 to `max`; zero counts as absent.
    pub(crate) fn count<N: TryFrom<i64>>(
        &mut self,
        name: &'static str,
        max: i64,
    ) -> Result<Option<N>, RequestError> {
        if self.map.get(name).and_then(Value::as_i64) == Some(0) {
            self.map.remove(name);
        }
        self.number(name, 1, max)
    }

    /// The addresses of a peer: printable text without blanks. Other entries are dropped, and
    /// returned apart with their positions. The list may be longer than what a peer may list,
    /// because a surplus address must not leak a host either.
    pub(crate) fn addresses(
        &mut self,
        name: &'static str,
    ) -> Result<(Vec<String>, Vec<OddAddress>), RequestError> {
        const MIN_READ: usize = 1024;
        let max = self.limits.addresses.max(MIN_READ);
        let form = format!("an array of at most {max} strings");
        let items = self.items(name, max, &form)?.unwrap_or_default();
        let bytes = self.limits.address_bytes;
        let form = format!("must be a string of {}", address_form(bytes));
        let (mut clean, mut odd) = (Vec::with_capacity(items.len()), Vec::new());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) if is_clean_address(&text, bytes) => clean.push(text),
                value => {
                    self.dropped.add_entry(name, index, &form);
                    odd.push(OddAddress { index, value });
                }
            }
        }
        Ok((clean, odd))
    }

    /// The addresses of a TURN server: as those of a peer, but an entry that is wrong is an error,
    /// since others would try to use what is left. Empty and surplus ones are dropped.
    pub(crate) fn turn_addresses(
        &mut self,
        name: &'static str,
    ) -> Result<Vec<String>, RequestError> {
        let (max, bytes) = (self.limits.addresses, self.limits.address_bytes);
        let form = format!("an array of strings, each of {}", address_form(bytes));
        let items = self.items(name, usize::MAX, &form)?.unwrap_or_default();
        let mut addresses = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match item {
                _ if addresses.len() == max => self.dropped.add_surplus(name, index, max),
                Value::Null => self.dropped.add_entry(name, index, "is empty"),
                Value::String(text) if text.is_empty() => {
                    self.dropped.add_entry(name, index, "is empty");
                }
                Value::String(text) if is_clean_address(&text, bytes) => addresses.push(text),
                _ => {
                    let form = format!("a string of {}", address_form(bytes));
                    return Err(RequestError::invalid(format!("{name}[{index}]"), &form));
                }
            }
        }
        Ok(addresses)
    }

    /// A list of store ids, each once. Wrong and surplus entries are dropped.
    pub(crate) fn stores(&mut self, name: &'static str) -> Vec<String> {
        let (max, bytes) = (self.limits.stores, self.limits.store_bytes);
        let items = self.or_drop(|fields| fields.items(name, usize::MAX, "an array of strings"));
        let form = format!(
            "must be a string of 1 to {bytes} bytes without control or invisible characters"
        );
        let mut stores = Vec::new();
        let mut seen = HashSet::new();
        for (index, item) in items.unwrap_or_default().into_iter().enumerate() {
            match item {
                Value::String(text) if is_clean_text(&text, bytes) => {
                    if seen.contains(&text) {
                        continue;
                    }
                    if stores.len() == max {
                        self.dropped.add_surplus(name, index, max);
                        continue;
                    }
                    seen.insert(text.clone());
                    stores.push(text);
                }
                _ => self.dropped.add_entry(name, index, &form),
            }
        }
        stores
    }

    /// A list of at most `max` items, which `form` describes.
    pub(crate) fn items(
        &mut self,
        name: &'static str,
        max: usize,
        form: &str,
    ) -> Result<Option<Vec<Value>>, RequestError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) if items.len() <= max => Ok(Some(items)),
            Some(_) => Err(RequestError::invalid(name, form)),
        }
    }

    /// Free-form JSON of one kind, e.g. an object, small when written compactly.
    pub(crate) fn json(
        &mut self,
        name: &'static str,
        kind: &str,
        is_kind: fn(&Value) -> bool,
    ) -> Result<Option<Value>, RequestError> {
        let max = self.limits.capabilities_bytes;
        match self.take(name) {
            None => Ok(None),
            Some(value)
                if is_kind(&value) && is_clean_json(&value) && value.to_string().len() <= max =>
            {
                Ok(Some(value))
            }
            Some(_) => Err(RequestError::invalid(
                name,
                &format!(
                    "{kind} of at most {max} bytes of JSON without control or invisible characters"
                ),
            )),
        }
    }
}

fn is_clean_address(text: &str, max_bytes: usize) -> bool {
    is_clean_text(text, max_bytes) && !text.contains(char::is_whitespace)
}

fn address_form(max_bytes: usize) -> String {
    format!("1 to {max_bytes} bytes of printable text without blanks or invisible characters")
}
