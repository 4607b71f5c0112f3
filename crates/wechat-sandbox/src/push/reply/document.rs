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

/// Reads the fields. None for what is no such document, or an element that is there twice.
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
    let mut document = XmlDocument::default();
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => document.open(tag.name().as_ref())?,
            Event::End(_) => document.close()?,
            Event::Text(text) => document.content.push_str(&text.into_inner()),
            Event::CData(text) => document.content.push_str(&text.into_inner()),
            Event::GeneralRef(reference) => document.content.push_str(&resolved(&reference)?),
            Event::Comment(_) | Event::Decl(_) | Event::Empty(_) => {}
            Event::DocType(_) | Event::PI(_) => return None,
            Event::Eof => return document.finish(),
        }
    }
}

/// What was read of an XML document.
#[derive(Default)]
struct XmlDocument {
    /// The elements that are open.
    path: Vec<String>,
    has_root: bool,
    /// How many `<item>` there were.
    items: usize,
    /// The text of the element that was opened last.
    content: String,
    fields: Fields,
}

impl XmlDocument {
    /// Opens an element. None for a root that is not `<xml>`, or is the second one.
    fn open(&mut self, name: &str) -> Option<()> {
        if self.path.is_empty() {
            if self.has_root || name != "xml" {
                return None;
            }
            self.has_root = true;
        }
        let name = match name {
            "item" => {
                self.items += 1;
                (self.items - 1).to_string()
            }
            name => name.to_owned(),
        };
        self.path.push(name);
        self.content.clear();
        Some(())
    }

    /// Closes the open element. None for a field that there was before.
    fn close(&mut self) -> Option<()> {
        let name = self.path.get(1..)?.join("/");
        let content = std::mem::take(&mut self.content);
        if self.path.len() > 1 && !self.has_parts(&name) {
            let before = self.fields.insert(name, content);
            if before.is_some() {
                return None;
            }
        }
        self.path.pop();
        Some(())
    }

    fn has_parts(&self, name: &str) -> bool {
        let part = format!("{name}/");
        self.fields.keys().any(|field| field.starts_with(&part))
    }

    /// Returns the fields. None for a document that is not complete.
    fn finish(self) -> Option<Fields> {
        (self.has_root && self.path.is_empty()).then_some(self.fields)
    }
}

fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    if let Some(text) = resolve_xml_entity(reference) {
        return Some(text.to_owned());
    }
    reference.resolve_char_ref().ok()?.map(String::from)
}
