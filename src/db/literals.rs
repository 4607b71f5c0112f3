//! Writes values and names into the text of a statement: values for messages of several
//! statements, in which PostgreSQL's protocol has no parameters.

use std::fmt::Write as _;

use sqlx::Value as _;
use sqlx::any::{AnyTypeInfoKind, AnyValue};
use sqlx::error::BoxDynError;

/// The error of a placeholder that has no value.
pub(super) const MISSING: &str = "a placeholder without a value";

/// Writes a statement with its values in place of `$1`, `$2` and so on.
pub(super) fn with_literals(sql: &str, values: &[AnyValue]) -> Result<String, BoxDynError> {
    replace_placeholders(sql, |text, index| {
        write_literal(text, values.get(index).ok_or(MISSING)?)
    })
}

/// Quotes a name of a table or a column, for a statement.
pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Replaces the placeholders of a statement. `write` gets the index of each, 0 for `$1`. No `$` may
/// stand in the text for anything else.
pub(super) fn replace_placeholders(
    sql: &str,
    mut write: impl FnMut(&mut String, usize) -> Result<(), BoxDynError>,
) -> Result<String, BoxDynError> {
    let mut pieces = sql.split('$');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = piece.split_at(digits);
        let index = number.parse::<usize>()?.checked_sub(1).ok_or(MISSING)?;
        write(&mut text, index)?;
        text.push_str(rest);
    }
    Ok(text)
}

/// Writes a value as a literal with its type, as a parameter has one.
fn write_literal(text: &mut String, value: &AnyValue) -> Result<(), BoxDynError> {
    if value.is_null() {
        // Without a type the server takes the one that it needs.
        text.push_str("NULL");
        return Ok(());
    }
    match value.type_info().kind() {
        AnyTypeInfoKind::BigInt => write!(text, "'{}'::bigint", value.try_decode::<i64>()?)?,
        AnyTypeInfoKind::Text => write_text(text, &value.try_decode::<String>()?)?,
        other => return Err(format!("no literal for {other:?}").into()),
    }
    Ok(())
}

/// Writes a text as an escape string, which every server reads alike, whatever its
/// `standard_conforming_strings`.
fn write_text(text: &mut String, value: &str) -> Result<(), BoxDynError> {
    if value.contains('\0') {
        return Err("PostgreSQL's texts hold no NUL".into());
    }
    text.push_str("E'");
    for part in value.split_inclusive(['\'', '\\']) {
        text.push_str(part);
        if let Some(special @ ('\'' | '\\')) = part.chars().last() {
            text.push(special);
        }
    }
    text.push_str("'::text");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::db::statement::{Message, Query, Statement};

    fn literal(query: Query<'_>) -> Result<String, sqlx::Error> {
        let statement = Statement::new(query)?;
        Ok(Message::with_literals(&[statement])?.text)
    }

    #[test]
    fn values_are_quoted_with_their_types() {
        let query = sqlx::query("SELECT $2, $1, $3, $2 FROM x WHERE a = $10")
            .bind(-7_i64)
            .bind(r"it's \ 'it'")
            .bind(None::<String>);
        let query = (4..=9).fold(query, |query, n| query.bind(i64::from(n)));
        let text = literal(query.bind("ten")).unwrap();
        let quoted = r"E'it''s \\ ''it'''::text";
        assert_eq!(
            text,
            format!("SELECT {quoted}, '-7'::bigint, NULL, {quoted} FROM x WHERE a = E'ten'::text")
        );
    }

    #[test]
    fn what_has_no_literal_is_an_error() {
        let query = |text| sqlx::query("SELECT $1").bind(text);
        assert!(literal(query("a\0b")).is_err(), "it would end the message");
        assert!(literal(sqlx::query("SELECT $2").bind("one")).is_err());
        assert!(literal(sqlx::query("SELECT $1").bind(1.5_f64)).is_err());
        assert_eq!(literal(sqlx::query("SELECT 1")).unwrap(), "SELECT 1");
    }
}
