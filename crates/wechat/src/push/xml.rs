//! XML messages: `<xml>` with one element for each field. No declarations, no entities.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

use super::fields::{Field, Fields, MessageError, ReadError};

/// Maximum depth of nested elements. WeChat's are 4 deep; chosen, not documented.
const MAX_DEPTH: usize = 32;

pub(super) fn read(text: &str) -> Result<Fields, ReadError> {
    let mut document = Document::default();
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().map_err(|error| read_error(&error))? {
            Event::Start(tag) => document.open(tag.name().as_ref())?,
            Event::End(_) => document.close()?,
            Event::Empty(tag) => {
                document.open(tag.name().as_ref())?;
                document.close()?;
            }
            Event::Text(text) => document.text(&text.into_inner())?,
            Event::CData(text) => document.text(&text.into_inner())?,
            Event::GeneralRef(reference) => document.text(&resolve_reference(&reference)?)?,
            Event::Decl(_) => document.declare()?,
            Event::Comment(_) => {}
            Event::DocType(_) | Event::PI(_) => return Err(ReadError::Forbidden),
            Event::Eof => return Ok(document.finish()?),
        }
    }
}

/// State of the parser.
#[derive(Debug, Default)]
struct Document {
    /// Number of open elements.
    depth: usize,
    has_root: bool,
    /// The field whose element is open, and its text so far.
    current: Option<(Field, String)>,
    fields: Fields,
}

impl Document {
    fn open(&mut self, name: &str) -> Result<(), MessageError> {
        match self.depth {
            0 if self.has_root || name != "xml" => return Err(MessageError::Syntax),
            0 => self.has_root = true,
            1 => self.current = Field::named(name).map(|field| (field, String::new())),
            // A field contains only text.
            _ if self.current.is_some() => return Err(MessageError::Syntax),
            MAX_DEPTH.. => return Err(MessageError::Syntax),
            _ => {}
        }
        self.depth += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), MessageError> {
        self.depth -= 1;
        match self.current.take_if(|_| self.depth == 1) {
            Some((field, text)) => self.fields.put(field, text),
            None => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), MessageError> {
        if let Some((_, so_far)) = &mut self.current {
            so_far.push_str(text);
        }
        if self.depth == 0 && !text.trim_ascii().is_empty() {
            return Err(MessageError::Syntax);
        }
        Ok(())
    }

    fn declare(&self) -> Result<(), MessageError> {
        if self.has_root {
            return Err(MessageError::Syntax);
        }
        Ok(())
    }

    fn finish(self) -> Result<Fields, MessageError> {
        if self.has_root && self.depth == 0 {
            Ok(self.fields)
        } else {
            Err(MessageError::Syntax)
        }
    }
}

/// Resolves the five predefined entities and character references. Any other entity would need a
/// declaration.
fn resolve_reference(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, ReadError> {
    if let Some(text) = resolve_xml_entity(reference) {
        return Ok(text.into());
    }
    match reference.resolve_char_ref() {
        Ok(Some(char)) => Ok(char.to_string().into()),
        Ok(None) => Err(ReadError::Forbidden),
        Err(_) => Err(MessageError::Syntax.into()),
    }
}

/// Converts an error of the parser. Truncated markup is forbidden like the complete one.
fn read_error(error: &Error) -> ReadError {
    match error {
        Error::Syntax(
            SyntaxError::InvalidBangMarkup
            | SyntaxError::UnclosedDoctype
            | SyntaxError::UnclosedPI
            | SyntaxError::UnclosedXmlDecl,
        )
        | Error::IllFormed(IllFormedError::MissingDoctypeName) => ReadError::Forbidden,
        _ => MessageError::Syntax.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `EventKey` of a document with this content.
    fn key_in(inside: &str) -> Result<Option<String>, ReadError> {
        read(&format!("<xml>{inside}</xml>"))
            .map(|fields| fields.get(Field::EventKey).map(str::to_owned))
    }

    #[test]
    fn a_field_is_a_child_of_the_root_element() {
        for (inside, want) in [
            ("<EventKey><![CDATA[展会 A]]></EventKey>", Some("展会 A")),
            ("<EventKey>123</EventKey>", Some("123")),
            ("\n <EventKey a='b'>123</EventKey >\n", Some("123")),
            ("<EventKey> a </EventKey>", Some(" a ")),
            (
                "<EventKey>a<![CDATA[<b>&amp;]]>c</EventKey>",
                Some("a<b>&amp;c"),
            ),
            ("<EventKey>&lt;&#65;&#x5c55;&amp;</EventKey>", Some("<A展&")),
            ("<EventKey>a<!-- b -->c</EventKey>", Some("ac")),
            ("<EventKey></EventKey>", None),
            ("<EventKey/>", None),
            ("", None),
            ("text <b>of</b> others", None),
            ("<Other><EventKey>no</EventKey></Other>", None),
            (
                "<Other><Other><EventKey>no</EventKey></Other></Other><EventKey>yes</EventKey>",
                Some("yes"),
            ),
            ("<eventkey>no</eventkey>", None),
            ("<Item/><Item/><EventKey>yes</EventKey>", Some("yes")),
        ] {
            let want = want.map(str::to_owned);
            assert_eq!(key_in(inside), Ok(want), "inside {inside:?}");
        }
        let repeated = MessageError::Repeated(Field::EventKey).into();
        for inside in [
            "<EventKey>a</EventKey><EventKey>a</EventKey>",
            "<EventKey/><EventKey>a</EventKey>",
        ] {
            assert_eq!(key_in(inside), Err(repeated), "inside {inside:?}");
        }
    }

    #[test]
    fn the_root_element_is_xml() {
        for text in [
            "<xml></xml>",
            "<xml/>",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml></xml>\n",
            "<!-- a --><xml></xml><!-- b -->",
        ] {
            assert_eq!(read(text), Ok(Fields::default()), "document {text:?}");
        }
        for text in [
            "<html></html>",
            "<xml></xml><xml></xml>",
            "<xml></xml>text",
            "<xml></xml>&amp;",
            "<xml></xml><?xml version=\"1.0\"?>",
            "<xml>",
            "<xml><a></xml></a>",
            "<xml></xml></xml>",
            "</xml>",
            "<xml><EventKey>a<b/></EventKey></xml>",
            "<xml><EventKey><Event>SCAN</Event></EventKey></xml>",
            "<xml><EventKey>a & b</EventKey></xml>",
            "<xml><EventKey>&#0;</EventKey></xml>",
            "<xml><EventKey>&#xd800;</EventKey></xml>",
            "<xml><![CDATA[",
            "<",
        ] {
            assert_eq!(
                read(text),
                Err(MessageError::Syntax.into()),
                "document {text:?}"
            );
        }
    }

    #[test]
    fn element_nesting_is_limited() {
        let nested = |depth| format!("{}{}", "<xml>".repeat(depth), "</xml>".repeat(depth));
        assert_eq!(read(&nested(MAX_DEPTH)), Ok(Fields::default()));
        assert_eq!(
            read(&nested(MAX_DEPTH + 1)),
            Err(MessageError::Syntax.into())
        );
    }

    #[test]
    fn doctype_entities_and_processing_instructions_are_forbidden() {
        for text in [
            "<!DOCTYPE xml><xml></xml>",
            "<!doctype xml><xml></xml>",
            "<!DOCTYPE xml SYSTEM \"file:///etc/passwd\"><xml></xml>",
            "<!DOCTYPE xml [<!ENTITY a \"b\">]><xml><EventKey>&a;</EventKey></xml>",
            "<!DOCTYPE xml [<!ENTITY a SYSTEM \"http://127.0.0.1/\">",
            "<!DOCTYPE>",
            "<!ENTITY a \"b\"><xml></xml>",
            "<xml><!DOCTYPE xml></xml>",
            "<xml></xml><!DOCTYPE xml>",
            "<xml><EventKey>&a;</EventKey></xml>",
            "<xml><Other>&nbsp;</Other></xml>",
            "<?php echo 1 ?><xml></xml>",
            "<xml><?xml-stylesheet href=\"a\"?></xml>",
            "<?a",
        ] {
            assert_eq!(read(text), Err(ReadError::Forbidden), "document {text:?}");
        }
    }
}
