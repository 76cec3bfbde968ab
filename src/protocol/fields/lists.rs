//! Lists, from which wrong and surplus entries are left out.

use std::collections::HashSet;

use serde_json::Value;

use super::Fields;
use crate::protocol::RequestError;
use crate::protocol::dropped::OddAddress;
use crate::protocol::text::is_clean_text;

impl Fields<'_> {
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
        let too_long = format!("is too long: it {form}");
        let (mut clean, mut odd) = (Vec::with_capacity(items.len()), Vec::new());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) if is_clean_address(&text, bytes) => clean.push(text),
                value => {
                    let is_long = value.as_str().is_some_and(|text| text.len() > bytes);
                    let reason = if is_long { &too_long } else { &form };
                    self.dropped.add_entry(name, index, reason);
                    odd.push(OddAddress { index, value });
                }
            }
        }
        Ok((clean, odd))
    }

    /// The addresses of a TURN server: as those of a peer, but an entry that is wrong is an error,
    /// since others would try to use what is left. Empty and surplus ones are dropped. Returns each with
    /// its position.
    pub(crate) fn turn_addresses(
        &mut self,
        name: &'static str,
    ) -> Result<Vec<(usize, String)>, RequestError> {
        let (max, bytes) = (self.limits.addresses, self.limits.address_bytes);
        let form = format!("an array of strings, each of {}", address_form(bytes));
        let items = self.items(name, usize::MAX, &form)?;
        if items.as_ref().is_some_and(Vec::is_empty) {
            let reason = format!("{name} is empty, so there is no TURN server to list");
            self.dropped.add(name, reason);
        }
        let items = items.unwrap_or_default();
        let mut addresses = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match item {
                _ if addresses.len() == max => self.dropped.add_surplus(name, index, max),
                Value::Null => self.dropped.add_entry(name, index, "is empty"),
                Value::String(text) if text.is_empty() => {
                    self.dropped.add_entry(name, index, "is empty");
                }
                Value::String(text) if is_clean_address(&text, bytes) => {
                    addresses.push((index, text))
                }
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
}

fn is_clean_address(text: &str, max_bytes: usize) -> bool {
    is_clean_text(text, max_bytes) && !text.contains(char::is_whitespace)
}

fn address_form(max_bytes: usize) -> String {
    format!("1 to {max_bytes} bytes of printable text without blanks or invisible characters")
}
