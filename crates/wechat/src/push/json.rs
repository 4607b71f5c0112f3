//! JSON messages: one object, whose used members are strings or numbers.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::fields::{Field, Fields, MessageError};

pub(super) fn read(text: &str) -> Result<Fields, MessageError> {
    let Members(members) = serde_json::from_str(text).map_err(|_| MessageError::Syntax)?;
    let mut fields = Fields::default();
    for (field, value) in members {
        match value {
            Value::String(text) => fields.put(field, text)?,
            Value::Number(number) => fields.put(field, number.to_string())?,
            Value::Null => fields.put(field, String::new())?,
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(MessageError::Syntax);
            }
        }
    }
    Ok(fields)
}

/// All used members, duplicates included: a map would silently keep the last one.
struct Members(Vec<(Field, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            match Field::named(&name) {
                Some(field) => members.push((field, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_numbers_are_values() {
        for (text, want) in [
            (r#"{"EventKey":"123"}"#, Ok(Some("123"))),
            (r#"{"EventKey":123}"#, Ok(Some("123"))),
            (r#"{"EventKey":null}"#, Ok(None)),
            (r#"{"EventKey":""}"#, Ok(None)),
            (r#"{"Event\u004bey":"\u5c55\/"}"#, Ok(Some("展/"))),
            (
                r#"{"a":[{"EventKey":"no"}],"EventKey":"yes"}"#,
                Ok(Some("yes")),
            ),
            (r#"{"eventkey":"no"}"#, Ok(None)),
            ("{}", Ok(None)),
            (
                r#"{"EventKey":"1","Event\u004bey":"2"}"#,
                Err(MessageError::Repeated(Field::EventKey)),
            ),
            (
                r#"{"EventKey":null,"EventKey":"2"}"#,
                Err(MessageError::Repeated(Field::EventKey)),
            ),
            (r#"{"EventKey":["1"]}"#, Err(MessageError::Syntax)),
            (r#"{"EventKey":{}}"#, Err(MessageError::Syntax)),
            (r#"{"EventKey":true}"#, Err(MessageError::Syntax)),
            (r#"{"EventKey":"1"}{}"#, Err(MessageError::Syntax)),
            (r#"{"EventKey":"1",}"#, Err(MessageError::Syntax)),
            (r#"{"EventKey":"1""#, Err(MessageError::Syntax)),
            (r#"{"EventKey":"\ud83d"}"#, Err(MessageError::Syntax)),
        ] {
            let got = read(text);
            let got = got
                .as_ref()
                .map(|fields| fields.get(Field::EventKey))
                .map_err(|flaw| *flaw);
            assert_eq!(got, want, "input {text}");
        }
    }

    #[test]
    fn nesting_depth_is_limited() {
        for (name, want) in [
            ("Content", Ok(Fields::default())),
            ("Event", Err(MessageError::Syntax)),
        ] {
            let depth = 30_000;
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            assert_eq!(read(&format!("{{\"{name}\":{open}{close}}}")), want);
        }
    }
}
