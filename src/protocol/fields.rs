//! Reads a JSON object field by field, so that each error names its field.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::dropped::DroppedFields;
use super::spelling::{flag_of, is_spelled_as, misspelled_name};
use super::text::{is_clean_json, is_clean_text};
use super::{Limits, PeerId, RequestError, body_fault, unique_keys};
use crate::clock::unix_ms;

mod lists;

/// The max number of fields of a body in which misspelled ones are looked for. Nodes send less than 30.
const MAX_SPELLINGS: usize = 64;

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
        match unique_keys::parse(body) {
            Ok(Value::Object(map)) => Ok(Self {
                map,
                limits,
                dropped: DroppedFields::default(),
            }),
            Ok(other) => Err(body_fault::not_an_object(&other)),
            Err(error) => Err(body_fault::explain(body, &error)),
        }
    }

    /// Takes a field; null and the empty string count as absent, since that is how nodes leave one
    /// out.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.respell(name);
        let value = self.map.remove(name)?;
        let is_empty = value.is_null() || value.as_str() == Some("");
        (!is_empty).then_some(value)
    }

    /// Looks at a field, which stays.
    fn peek(&mut self, name: &str) -> Option<&Value> {
        self.respell(name);
        self.map.get(name)
    }

    /// Moves a field to its right name, if only its case, hyphens or underscores are different
    /// (`networkID`, `peer_id`): the node means this field and no other.
    fn respell(&mut self, name: &str) {
        let is_given = self.map.get(name).is_some_and(|value| !value.is_null());
        if is_given || self.map.len() > MAX_SPELLINGS {
            return;
        }
        let mut keys = self.map.iter().filter_map(|(key, value)| {
            (key != name && !value.is_null() && is_spelled_as(key, name)).then_some(key)
        });
        // Two of them contradict each other.
        if let (Some(key), None) = (keys.next(), keys.next()) {
            let key = key.clone();
            if let Some(value) = self.map.remove(&key) {
                self.map.insert(name.to_owned(), value);
            }
        }
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

    /// Returns what was dropped. Of the fields that were not read, it names those that look like a
    /// misspelled one of `names`; others are ignored.
    pub(crate) fn into_dropped(mut self, names: &[&'static str]) -> DroppedFields {
        if self.map.len() > MAX_SPELLINGS {
            return self.dropped;
        }
        for (key, value) in &self.map {
            let is_known = names.contains(&key.as_str());
            let meant = misspelled_name(key, names).filter(|_| !is_known && !value.is_null());
            if let Some(meant) = meant {
                let reason = format!("{key} is no field here: did you mean {meant}?");
                self.dropped.add(key.clone(), reason);
            }
        }
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
        let limits = self.limits;
        match self.peek(NAME) {
            None | Some(Value::Null) => Err(RequestError::missing(NAME, &form(limits))),
            Some(Value::String(text)) => parse(text, NAME, limits),
            Some(_) => Err(RequestError::invalid(NAME, &form(limits))),
        }
    }

    /// A short free text without control or invisible characters.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, RequestError> {
        self.clean_text(name, self.limits.string_bytes)
    }

    /// A short free text, whose blanks at the ends do not count.
    pub(crate) fn trimmed_text(
        &mut self,
        name: &'static str,
    ) -> Result<Option<String>, RequestError> {
        if let Some(Value::String(text)) = self.peek(name) {
            let trimmed = Value::from(text.trim_ascii());
            self.map.insert(name.to_owned(), trimmed);
        }
        self.text(name)
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
            Some(value) => {
                let flag = match &value {
                    Value::String(text) => flag_of(text),
                    Value::Number(number) => flag_of(&number.to_string()),
                    _ => None,
                };
                let error = || RequestError::invalid(name, "true or false");
                flag.map(Some).ok_or_else(error)
            }
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
    pub(crate) fn is_null(&mut self, name: &str) -> bool {
        self.peek(name).is_some_and(Value::is_null)
    }

    /// Drops a number that is zero, and says so.
    pub(crate) fn drop_zero(&mut self, name: &'static str, reason: String) {
        if self.peek(name).and_then(Value::as_i64) == Some(0) {
            self.map.remove(name);
            self.dropped.add(name, reason);
        }
    }

    /// Replaces a number that is over `max` with `max`, and says so.
    pub(crate) fn lower_to(&mut self, name: &'static str, max: u32, reason: String) {
        let number = self.peek(name).and_then(Value::as_f64);
        if number.is_some_and(|number| number > f64::from(max)) {
            self.map.insert(name.to_owned(), max.into());
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
        if self.peek(name).and_then(Value::as_i64) == Some(0) {
            self.map.remove(name);
        }
        self.number(name, 1, max)
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
