//! What a registry leaves out of what a node announces.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RequestError;

/// A part of a registration that the registry did not store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedField {
    /// The field, in its wire spelling, e.g. `addresses[16]`.
    pub field: String,
    /// Why it was left out.
    pub reason: String,
}

/// The reason, after the name of the field if the reason does not have it.
impl fmt::Display for DroppedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.contains(&self.field) {
            true => f.write_str(&self.reason),
            false => write!(f, "{} ({})", self.field, self.reason),
        }
    }
}

/// An announcement, without the details that were wrong but harm nobody.
#[derive(Clone, Debug, PartialEq)]
pub struct Announced<T> {
    /// What is left.
    pub request: T,
    /// The entries of `addresses` that were left out. A registry that keeps hosts private must look
    /// at them, too.
    pub odd_addresses: Vec<OddAddress>,
    /// What is wrong with a `cryptoIPv6` that was left out. A registry that needs one must refuse the
    /// announcement with it.
    pub odd_crypto_ipv6: Option<RequestError>,
    /// The positions that the addresses of the TURN offer had in `turnAddresses`.
    pub turn_positions: Vec<usize>,
    /// What was left out.
    pub dropped: DroppedFields,
}

/// An entry of `addresses` that cannot be an address, e.g. a number, or text with blanks.
#[derive(Clone, Debug, PartialEq)]
pub struct OddAddress {
    /// Its position in the list.
    pub index: usize,
    /// What the node sent.
    pub value: Value,
}

/// The fields that were left out of one announcement: the first ones by name, and how many more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DroppedFields {
    named: Vec<DroppedField>,
    more: usize,
}

impl DroppedFields {
    /// The maximum that is named. A node with a fault has it in all of its thousand stores.
    const MAX_NAMED: usize = 16;

    /// Adds a field. `reason` must not contain what the node announced: it may be private.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, reason: impl Into<String>) {
        if self.has_room() {
            self.named.push(DroppedField {
                field: field.into().into_owned(),
                reason: reason.into(),
            });
        }
    }

    /// Adds an entry of a list. `reason` goes on with the sentence that its name begins, e.g. "is
    /// empty", and must not contain what the node announced.
    pub fn add_entry(&mut self, list: &str, index: usize, reason: &str) {
        // A body may have tens of thousands of wrong entries: only those that are shown cost time.
        if self.has_room() {
            self.named.push(DroppedField {
                field: format!("{list}[{index}]"),
                reason: format!("{list}[{index}] {reason}"),
            });
        }
    }

    /// Adds an entry of a list of which only the first `max` are kept.
    pub fn add_surplus(&mut self, list: &str, index: usize, max: usize) {
        if self.has_room() {
            self.named.push(DroppedField {
                field: format!("{list}[{index}]"),
                reason: format!("{list}[{index}] is beyond the {max} entries that are kept"),
            });
        }
    }

    /// Whether another field is named; counts it if not.
    fn has_room(&mut self) -> bool {
        let has_room = self.named.len() < Self::MAX_NAMED;
        self.more += usize::from(!has_room);
        has_room
    }

    /// Returns the list for a response; `None` if nothing was left out.
    pub fn into_list(mut self) -> Option<Vec<DroppedField>> {
        if self.more > 0 {
            self.named.push(DroppedField {
                field: "...".to_owned(),
                reason: format!("{} more", self.more),
            });
        }
        (!self.named.is_empty()).then_some(self.named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_dropped_stores_make_a_short_list() {
        let mut dropped = DroppedFields::default();
        assert_eq!(dropped.clone().into_list(), None);
        for index in 0..1000 {
            dropped.add_entry("stores", index, "is too long");
        }
        let list = dropped.into_list().unwrap();
        assert_eq!(list.len(), 17);
        assert_eq!(list[15].field, "stores[15]");
        assert_eq!(list[15].reason, "stores[15] is too long");
        assert_eq!(list[16].reason, "984 more");
    }
}
