//! Names and values as forms send them.

use axum::body::Bytes;

/// A query, or a body of the same form.
pub(crate) struct Form(Bytes);

impl Form {
    /// An absent query is an empty one.
    pub(crate) fn of_query(query: Option<String>) -> Self {
        Self(query.unwrap_or_default().into())
    }

    /// Takes a body as a form, whatever its Content-Type says.
    pub(crate) fn of_body(body: Bytes) -> Self {
        Self(body)
    }

    /// The first value of a name; empty if there is none.
    pub(crate) fn value(&self, name: &str) -> String {
        url::form_urlencoded::parse(&self.0)
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    }
}
