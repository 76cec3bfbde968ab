//! JSON in which no object names a key twice.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The max number of values in a body. Short values take up to a hundred times their length in memory,
/// so that the length of a body alone would be a weak bound. A registration has some thousand.
const MAX_VALUES: usize = 65_536;

/// An object with keys counts as this many values: it takes memory for eleven keys at once.
const OBJECT_VALUES: usize = 20;

/// Parses JSON in which no object names a key twice.
///
/// Parsers disagree on which of two equal keys counts, so accepting both would let a proxy and
/// the registry read different requests from the same bytes.
pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Value> {
    let left = Cell::new(MAX_VALUES);
    let mut parser = serde_json::Deserializer::from_slice(json);
    let value = UniqueKeys { left: &left }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct UniqueKeys<'c> {
    /// How many values there may still be.
    left: &'c Cell<usize>,
}

impl UniqueKeys<'_> {
    fn count<E: Error>(self, values: usize) -> Result<(), E> {
        match self.left.get().checked_sub(values) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(E::custom(format!("more than {MAX_VALUES} values"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for UniqueKeys<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.is_empty() {
                self.count(OBJECT_VALUES)?;
            }
            let value = access.next_value_seed(self)?;
            if map.contains_key(&key) {
                let shown: String = key.escape_debug().take(64).collect();
                return Err(A::Error::custom(format!("duplicate key {shown}")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_many_short_values_takes_little_memory() {
        let list = |value: &str, count| format!("[{}]", vec![value; count].join(","));
        assert!(parse(list("0", MAX_VALUES - 1).as_bytes()).is_ok());
        let objects = MAX_VALUES / (OBJECT_VALUES + 2);
        assert!(parse(list(r#"{"":0}"#, objects - 1).as_bytes()).is_ok());
        for json in [
            list("0", MAX_VALUES),
            list("[]", MAX_VALUES),
            list(r#"{"":0}"#, objects + 1),
        ] {
            let error = parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("more than 65536 values"), "{error}");
        }
    }

    #[test]
    fn nothing_may_follow_a_value_and_no_key_may_come_twice() {
        for json in [
            "{} x",
            "{}{}",
            r#"{"a":1,"a":1}"#,
            r#"[{"a":{"b":1,"b":1}}]"#,
        ] {
            assert!(parse(json.as_bytes()).is_err(), "{json}");
        }
        assert_eq!(
            parse(b" {\"a\":[1,null]} ").unwrap(),
            serde_json::json!({"a": [1, null]})
        );
    }
}
