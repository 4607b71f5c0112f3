//! The groups of codes.

use sqlx::Row as _;

use super::statement::Statement;
use super::store::ChannelStore;
use crate::channels::channel::Group;
use crate::channels::filter::ChannelFilter;
use crate::db::{Error, ReadKind};

impl ChannelStore {
    /// Lists the groups of the codes in a list, and counts the codes of each. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used, [`Error::Busy`] also when it took too long.
    pub async fn groups(&self, filter: &ChannelFilter) -> Result<Vec<Group>, Error> {
        let statement = self.groups_statement(filter);
        self.db
            .read(ReadKind::Long, async {
                let mut read = self.db.begin_snapshot().await?;
                let found = statement.query().fetch_all(&mut read).await?;
                read.rollback().await?;
                let groups = found.iter().map(|found| {
                    let codes: i64 = found.try_get("codes")?;
                    Ok(Group {
                        name: found.try_get("group_name")?,
                        codes: u64::try_from(codes)
                            .map_err(|_| Error::BadRow("a negative number"))?,
                    })
                });
                groups.collect()
            })
            .await
    }

    /// Builds the query for the groups. It need not read scenes: no code of a binding has a group.
    fn groups_statement(&self, filter: &ChannelFilter) -> Statement {
        let mut statement = Statement::default();
        statement.push("SELECT group_name, COUNT(*) AS codes FROM code WHERE ");
        self.push_unexpired(&mut statement);
        filter.push_conditions(&mut statement);
        statement.push(" AND group_name IS NOT NULL GROUP BY group_name ORDER BY group_name");
        statement
    }
}
