//! A statement with its values, and messages of several.

use std::fmt::Write as _;

use futures_util::stream::BoxStream;
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyValue};
use sqlx::error::BoxDynError;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Either, Execute, Executor, SqlSafeStr as _, SqlStr};

use super::literals;

/// The rows and the ends of several statements, as [`Executor::fetch_many`] returns them.
pub(super) type Results<'e> = BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, sqlx::Error>>;

/// A statement with its values.
pub(crate) type Query<'q> = sqlx::query::Query<'q, Any, AnyArguments>;

/// A statement with the values of its placeholders `$1`, `$2` and so on.
#[derive(Debug)]
pub(super) struct Statement {
    sql: SqlStr,
    values: Vec<AnyValue>,
    /// Whether it goes into the prepared-statement cache of SQLite's connection.
    is_cached: bool,
}

/// One or more statements in one text, sent at once, with their values as literals or as
/// parameters. They are executed in their order until one fails.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) text: String,
    /// The values that are not in the text.
    parameters: Option<Vec<AnyValue>>,
    /// Whether it goes into the prepared-statement cache of SQLite's connection.
    is_cached: bool,
}

impl Statement {
    pub(super) fn new(mut query: Query<'_>) -> Result<Self, sqlx::Error> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let kinds = arguments.map(|arguments| arguments.values.0);
        let values = kinds.into_iter().flatten().map(|kind| AnyValue { kind });
        Ok(Self {
            is_cached: Execute::persistent(&query),
            values: values.collect(),
            sql: query.sql(),
        })
    }

    /// Makes a statement of a text without values.
    pub(super) fn from_text(text: impl Into<String>) -> Self {
        Self {
            sql: AssertSqlSafe(text.into()).into_sql_str(),
            values: Vec::new(),
            is_cached: true,
        }
    }
}

impl Message {
    /// Joins statements, with their values in the text.
    pub(super) fn with_literals(statements: &[Statement]) -> Result<Self, sqlx::Error> {
        let texts = statements
            .iter()
            .map(|one| literals::with_literals(one.sql.as_str(), &one.values));
        Ok(Self {
            text: join(texts)?,
            parameters: None,
            is_cached: false,
        })
    }

    /// Joins statements, with their values as parameters. Their placeholders are numbered anew.
    pub(super) fn with_parameters(statements: Vec<Statement>) -> Result<Self, sqlx::Error> {
        let mut parameters = Vec::new();
        let is_cached = statements.iter().all(|one| one.is_cached);
        let texts = statements.into_iter().map(|one| {
            let first = parameters.len();
            parameters.extend(one.values);
            literals::replace_placeholders(one.sql.as_str(), |text, index| {
                let index = first + index;
                if index >= parameters.len() {
                    return Err(literals::MISSING.into());
                }
                Ok(write!(text, "${}", index + 1)?)
            })
        });
        Ok(Self {
            text: join(texts)?,
            parameters: Some(parameters),
            is_cached,
        })
    }

    /// Executes it.
    pub(super) fn send(self, connection: &mut AnyConnection) -> Results<'_> {
        let text = AssertSqlSafe(self.text);
        let Some(parameters) = self.parameters else {
            return connection.fetch_many(text);
        };
        let mut arguments = AnyArguments::default();
        let kinds = parameters.into_iter().map(|value| value.kind);
        arguments.values.0.extend(kinds);
        connection.fetch_many(sqlx::query_with(text, arguments).persistent(self.is_cached))
    }
}

fn join(texts: impl Iterator<Item = Result<String, BoxDynError>>) -> Result<String, sqlx::Error> {
    let texts = texts.collect::<Result<Vec<_>, _>>();
    Ok(texts.map_err(sqlx::Error::Encode)?.join(";\n"))
}

#[cfg(test)]
mod tests {
    use sqlx::Value;

    use super::*;

    #[test]
    fn joined_statements_have_their_own_parameters() {
        let find = sqlx::query("SELECT a FROM x WHERE b = $2 AND c = $1");
        let add = sqlx::query("INSERT INTO x VALUES ($1, $1)").bind("a");
        let [find, add] = [find.bind("c").bind("b"), add].map(|one| Statement::new(one).unwrap());
        let begin = Statement::from_text("BEGIN");
        let message = Message::with_parameters(vec![begin, find, add]).unwrap();
        assert_eq!(
            message.text,
            "BEGIN;\nSELECT a FROM x WHERE b = $2 AND c = $1;\nINSERT INTO x VALUES ($3, $3)"
        );
        let parameters = message.parameters.unwrap();
        let texts = parameters.iter().map(Value::decode::<String>);
        assert_eq!(texts.collect::<Vec<_>>(), ["c", "b", "a"]);
        assert!(message.is_cached);
    }

    #[test]
    fn a_placeholder_never_takes_the_value_of_the_next_statement() {
        let short = sqlx::query("SELECT $2").bind("one");
        let next = sqlx::query("SELECT $1").bind("two");
        let statements = [short, next].map(|one| Statement::new(one).unwrap());
        assert!(Message::with_parameters(statements.into()).is_err());
    }

    #[test]
    fn a_message_is_cached_if_all_its_statements_are() {
        let once = Statement::new(sqlx::query("SELECT 1").persistent(false)).unwrap();
        let statements = vec![once, Statement::from_text("BEGIN")];
        assert!(!Message::with_parameters(statements).unwrap().is_cached);
    }
}
