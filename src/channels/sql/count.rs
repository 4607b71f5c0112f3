//! How many codes a list has.

use sqlx::Row as _;

use super::conditions::KIND_OF_BINDINGS;
use super::statement::Statement;
use super::store::ChannelStore;
use crate::channels::filter::ChannelFilter;
use crate::db::{Error, ReadKind};

impl ChannelStore {
    /// Counts the codes of a list on all of its pages. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used, [`Error::Busy`] also when it took too long.
    pub async fn count(&self, filter: &ChannelFilter) -> Result<u64, Error> {
        let statement = self.count_statement(filter);
        self.db
            .read(ReadKind::Long, async {
                let mut read = self.db.begin_snapshot().await?;
                let found = statement.query().fetch_one(&mut read).await?;
                read.rollback().await?;
                let count: i64 = found.try_get(0)?;
                u64::try_from(count).map_err(|_| Error::BadRow("a negative number"))
            })
            .await
    }

    fn count_statement(&self, filter: &ChannelFilter) -> Statement {
        if filter.reads_names() {
            self.count_by_names(filter)
        } else {
            self.count_by_kind(filter)
        }
    }

    fn count_by_names(&self, filter: &ChannelFilter) -> Statement {
        let mut statement = Statement::default();
        statement.push("SELECT COUNT(*) FROM (SELECT 1 FROM code WHERE ");
        self.push_conditions(&mut statement, filter);
        statement.push(filter.count_order());
        statement.push(") AS listed");
        statement
    }

    /// Builds the count without names. It reads scenes only of the kind of bindings, so a small
    /// index has all other codes.
    fn count_by_kind(&self, filter: &ChannelFilter) -> Statement {
        let mut statement = Statement::default();
        statement.push("SELECT (SELECT COUNT(*) FROM code WHERE ");
        self.push_unexpired(&mut statement);
        filter.push_conditions(&mut statement);
        statement.push(&format!(" AND kind <> '{KIND_OF_BINDINGS}'"));
        statement.push(") + (SELECT COUNT(*) FROM code WHERE ");
        self.push_conditions(&mut statement, filter);
        statement.push(&format!(" AND kind = '{KIND_OF_BINDINGS}')"));
        statement
    }
}

impl ChannelFilter {
    /// Returns the order in which a search is counted: that of a list, which has PostgreSQL read
    /// the list's index, as for a page. It would read the rows of all codes otherwise, in twice the
    /// time.
    fn count_order(&self) -> &'static str {
        if self.search.is_some() && !self.names_are_given() {
            " ORDER BY kind, scene_digits, scene"
        } else {
            ""
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::db::Database;

    fn search() -> ChannelFilter {
        ChannelFilter {
            search: Some("a".to_owned()),
            archived: Some(false),
            ..ChannelFilter::default()
        }
    }

    #[tokio::test]
    async fn codes_are_counted_without_their_rows() {
        let store = ChannelStore::new(Database::in_memory(Arc::new(SystemClock)).await);
        let group = ChannelFilter {
            group: Some("a".to_owned()),
            ..search()
        };
        let permanent = ChannelFilter {
            permanent: Some(true),
            archived: Some(false),
            ..ChannelFilter::default()
        };
        for (filter, index) in [
            (ChannelFilter::default(), "code_by_expiry"),
            (permanent, "code_by_"),
            (search(), "code_by_scene"),
            (group, "code_by_group"),
        ] {
            let plan = store.db.plan(store.count_statement(&filter).sql).await;
            let mut reads = plan.iter().filter(|step| step.contains(" code "));
            let first = reads.next().expect("the codes are read");
            assert!(
                first.contains(&format!("COVERING INDEX {index}")),
                "{plan:?}"
            );
            assert!(
                reads.all(|step| step.contains("COVERING INDEX")),
                "{plan:?}"
            );
            assert!(!plan.iter().any(|step| step.contains("B-TREE")), "{plan:?}");
        }
    }
}
