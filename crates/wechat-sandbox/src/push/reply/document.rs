//! The fields of a message in XML or JSON, by their path: `Content`, `Articles/0/Title`.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};
use serde_json::Value;

use crate::push::callback::DataFormat;

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Xml,
    Json,
}

impl From<DataFormat> for Format {
    fn from(format: DataFormat) -> Self {
        match format {
            DataFormat::Xml => Self::Xml,
            DataFormat::Json => Self::Json,
        }
    }
}

type Fields = HashMap<String, String>;

/// None for what is no such document, or has a field twice.
pub(super) fn fields(text: &str, format: Format) -> Option<Fields> {
    match format {
        Format::Xml => xml(text),
        Format::Json => json(text),
    }
}

fn json(text: &str) -> Option<Fields> {
    let document: Value = serde_json::from_str(text).ok()?;
    document.as_object()?;
    let mut fields = Fields::new();
    collect(&document, "", &mut fields);
    Some(fields)
}

fn collect(value: &Value, path: &str, fields: &mut Fields) {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}/{name}")
        }
    };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                collect(value, &below(name), fields);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, &below(&index.to_string()), fields);
            }
        }
        Value::String(text) => {
            fields.insert(path.to_owned(), text.clone());
        }
        other => {
            fields.insert(path.to_owned(), other.to_string());
        }
    }
}

/// `<xml>` with an element for each field; the `n`th `<item>` of a list is its part `n`.
fn xml(text: &str) -> Option<Fields> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut has_root = false;
    let mut items = 0;
    let mut content = String::new();
    let mut fields = Fields::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                if path.is_empty() {
                    if has_root || tag.name().as_ref() != "xml" {
                        return None;
                    }
                    has_root = true;
                }
                let name = match tag.name().as_ref() {
                    "item" => {
                        items += 1;
                        (items - 1).to_string()
                    }
                    name => name.to_owned(),
                };
                path.push(name);
                content.clear();
            }
            Event::End(_) => {
                let name = path.get(1..)?.join("/");
                let has_parts = fields.keys().any(|it| it.starts_with(&format!("{name}/")));
                if path.len() > 1 && !has_parts {
                    let twice = fields.insert(name, std::mem::take(&mut content));
                    if twice.is_some() {
                        return None;
                    }
                }
                content.clear();
                path.pop();
            }
            Event::Text(text) => content.push_str(&text.into_inner()),
            Event::CData(text) => content.push_str(&text.into_inner()),
            Event::GeneralRef(reference) => content.push_str(&resolved(&reference)?),
            Event::Comment(_) | Event::Decl(_) | Event::Empty(_) => {}
            Event::DocType(_) | Event::PI(_) => return None,
            Event::Eof => return (has_root && path.is_empty()).then_some(fields),
        }
    }
}

fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    if let Some(text) = resolve_xml_entity(reference) {
        return Some(text.to_owned());
    }
    reference.resolve_char_ref().ok()?.map(String::from)
}
