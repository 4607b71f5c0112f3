//! Documents: a message in XML or JSON, whichever the account has chosen.

use super::fields::{Fields, Format, MessageError, ReadError};
use super::{json, xml};

/// Parses a document; its first character decides between XML and JSON.
///
/// Invalid UTF-8 is replaced: a follower's text may contain it, and the push must be acknowledged
/// all the same. The fields used here never contain it.
pub(super) fn read(body: &[u8]) -> Result<Fields, ReadError> {
    let text = String::from_utf8_lossy(body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_ascii();
    match text.as_bytes().first() {
        Some(b'<') => xml::read(text),
        Some(b'{') => {
            let mut fields = json::read(text)?;
            fields.format = Format::Json;
            Ok(fields)
        }
        _ => Err(MessageError::Syntax.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::fields::Field;

    #[test]
    fn the_format_is_detected_from_the_first_character() {
        let event =
            |body: &[u8]| read(body).map(|fields| fields.get(Field::Event).map(str::to_owned));
        for body in [
            b"<xml><Event>SCAN</Event></xml>".as_slice(),
            b"\xef\xbb\xbf \r\n<xml><Event>SCAN</Event></xml>\n",
            b"{\"Event\":\"SCAN\"}",
            b"\n\t{\"Event\":\"SCAN\"} ",
            b"<xml><Content><![CDATA[\xf0\x9f]]></Content><Event>SCAN</Event></xml>",
            b"{\"Content\":\"\xf0\x9f\",\"Event\":\"SCAN\"}",
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(event(body), Ok(Some("SCAN".to_owned())), "body {shown:?}");
        }
        for body in [b"".as_slice(), b" ", b"[]", b"Event=SCAN", b"\"\"", b"\0<"] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(
                event(body),
                Err(MessageError::Syntax.into()),
                "body {shown:?}"
            );
        }
    }
}
