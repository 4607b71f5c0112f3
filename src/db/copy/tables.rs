//! The tables of a database, as its own catalogue describes them.

use sqlx::{AnyConnection, Executor as _, Row as _};

use crate::db::literals::quoted_name;
use crate::db::url::Dialect;

/// A table with its columns in the order of their names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

/// A column of a table, with its type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
}

/// The types that the migrations use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Integer,
    Text,
    Bytes,
}

impl ColumnKind {
    /// Parses a declared type, in small letters.
    fn of(declared: &str) -> Option<Self> {
        match declared {
            "bigint" => Some(Self::Integer),
            "text" => Some(Self::Text),
            "bytea" => Some(Self::Bytes),
            _ => None,
        }
    }
}

impl Table {
    /// The columns for a statement.
    pub(super) fn column_list(&self) -> String {
        let names = self.columns.iter().map(|column| quoted_name(&column.name));
        names.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn quoted_name(&self) -> String {
        quoted_name(&self.name)
    }
}

/// All columns of all tables but that of the migrations, which creates itself.
const SQLITE: &str =
    "SELECT tables.name AS table_name, columns.name AS column_name, lower(columns.type) AS kind
     FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
     WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
       AND tables.name <> '_sqlx_migrations'";
const POSTGRES: &str =
    "SELECT columns.table_name::text, columns.column_name::text, columns.data_type::text AS kind
     FROM information_schema.columns AS columns
     JOIN information_schema.tables AS tables USING (table_schema, table_name)
     WHERE table_schema = current_schema() AND tables.table_type = 'BASE TABLE'
       AND table_name <> '_sqlx_migrations'";

/// Lists the tables in the order of their names.
///
/// # Errors
/// Also for a column of a type that the migrations do not use.
pub(super) async fn list(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<Vec<Table>, sqlx::Error> {
    let sql = match dialect {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
    };
    let mut found = Vec::new();
    for row in connection.fetch_all(sql).await? {
        let text = |name| row.try_get::<String, _>(name);
        found.push((text("table_name")?, text("column_name")?, text("kind")?));
    }
    found.sort();
    let mut tables: Vec<Table> = Vec::new();
    for (table, name, kind) in found {
        let kind = ColumnKind::of(&kind).ok_or_else(|| sqlx::Error::TypeNotFound {
            type_name: format!("{kind} of {table}.{name}"),
        })?;
        let column = Column { name, kind };
        match tables.last_mut().filter(|last| last.name == table) {
            Some(last) => last.columns.push(column),
            None => tables.push(Table {
                name: table,
                columns: vec![column],
            }),
        }
    }
    Ok(tables)
}
