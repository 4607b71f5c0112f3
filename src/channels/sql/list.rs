//! The pages of a list of codes, in each order.

use super::columns::record;
use super::statement::Statement;
use super::store::ChannelStore;
use crate::channels::channel::ListedCode;
use crate::channels::filter::{ChannelFilter, Order, OrderKey, Position, PositionKey};
use crate::codes::columns;
use crate::db::{Error, ReadKind};

/// Page of a list of codes.
#[derive(Debug, Clone)]
pub struct Page {
    pub items: Vec<ListedCode>,
    /// Where the next page goes on; none at the end.
    pub next: Option<Position>,
}

/// The codes of a list that one statement reads. Codes without a label are last in both
/// directions, which no index does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Labelled,
    Unlabelled,
}

impl ChannelStore {
    /// Lists the unexpired codes after a position, at most `limit` of them. Those of bindings are
    /// left out. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used, [`Error::Busy`] also when it took too long.
    pub async fn list(
        &self,
        filter: &ChannelFilter,
        order: Order,
        after: Option<&Position>,
        limit: u16,
    ) -> Result<Page, Error> {
        let limit = usize::from(limit);
        self.db
            .read(ReadKind::Long, async {
                let mut items = Vec::new();
                for (part, after) in parts(order, after) {
                    let left = limit + 1 - items.len();
                    let statement = self.page_statement(filter, order, part, after, left);
                    items.extend(self.listed(statement).await?);
                    if items.len() > limit {
                        break;
                    }
                }
                let has_more = items.len() > limit;
                items.truncate(limit);
                let last = items.last().filter(|_| has_more);
                let next = last.map(|last| Position::of(last, order.key));
                Ok(Page { items, next })
            })
            .await
    }

    /// Reads codes, within an admitted call.
    async fn listed(&self, statement: Statement) -> Result<Vec<ListedCode>, Error> {
        let mut read = self.db.begin_snapshot().await?;
        let found = statement.query().fetch_all(&mut read).await?;
        read.rollback().await?;
        let listed = found.iter().map(|found| {
            Ok(ListedCode {
                scene: columns::scene(found)?,
                record: record(found)?,
                code: columns::code(found)?,
            })
        });
        listed.collect()
    }

    /// Builds the query for a page. An index gives the page, of which the rows are then read by
    /// their keys. `CROSS` has SQLite keep that order: it would read all codes, to spare the
    /// sorting of a page.
    fn page_statement(
        &self,
        filter: &ChannelFilter,
        order: Order,
        part: Part,
        after: Option<&Position>,
        limit: usize,
    ) -> Statement {
        let columns = part.columns(order.key);
        let order_by = |expression: fn(&str) -> String| {
            let columns = columns.iter().map(|column| expression(column));
            let columns = columns.map(|column| format!("{column} {}", direction(order)));
            columns.collect::<Vec<_>>().join(", ")
        };
        let in_page = if filter.names_are_given() {
            unindexed
        } else {
            str::to_owned
        };
        let mut statement = Statement::default();
        statement.push(
            "SELECT code.kind, code.scene, code.ticket, code.url, code.minted_at, code.asked, code.granted,
               code.label, code.group_name, code.archived, code.created_at, code.created_by, channel.reply
             FROM (SELECT kind, scene FROM code WHERE ",
        );
        self.push_conditions(&mut statement, filter);
        statement.push(part.condition());
        if let Some(after) = after {
            push_after(&mut statement, columns, order, after);
        }
        statement.push(&format!(" ORDER BY {} LIMIT ", order_by(in_page)));
        statement.push_value(i64::try_from(limit).unwrap_or(i64::MAX));
        statement.push(&format!(
            ") AS page CROSS JOIN code
             LEFT JOIN channel
               ON channel.appid = code.appid AND channel.kind = code.kind AND channel.scene = code.scene
             WHERE code.appid = $1 AND code.kind = page.kind AND code.scene = page.scene
             ORDER BY {}",
            order_by(|column| format!("code.{column}"))
        ));
        statement
    }
}

/// Lists the statements that a page may take, in their order, and the position after which each
/// goes on.
fn parts(
    order: Order,
    after: Option<&Position>,
) -> impl Iterator<Item = (Part, Option<&Position>)> {
    let all = match (order.key, after.map(|after| &after.key)) {
        (OrderKey::Label, Some(PositionKey::Label(None))) => {
            [Some((Part::Unlabelled, after)), None]
        }
        (OrderKey::Label, _) => [
            Some((Part::Labelled, after)),
            Some((Part::Unlabelled, None)),
        ],
        (OrderKey::Scene | OrderKey::Created, _) => [Some((Part::All, after)), None],
    };
    all.into_iter().flatten()
}

impl Part {
    fn condition(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Labelled => " AND label_sort IS NOT NULL",
            Self::Unlabelled => " AND label_sort IS NULL",
        }
    }

    /// Returns the columns that give its order. Together they are unique.
    fn columns(self, key: OrderKey) -> &'static [&'static str] {
        match (key, self) {
            (OrderKey::Scene, _) => &["kind", "scene_digits", "scene"],
            (OrderKey::Created, _) => &["created_at", "kind", "scene"],
            (OrderKey::Label, Self::Labelled) => &["label_sort", "kind", "scene"],
            (OrderKey::Label, _) => &["kind", "scene"],
        }
    }
}

fn direction(order: Order) -> &'static str {
    if order.reversed { "DESC" } else { "ASC" }
}

/// Hides a column from the choice of an index: the few codes of a name are found by the name's
/// index and then sorted.
fn unindexed(column: &str) -> String {
    format!("COALESCE({column}, {column})")
}

fn push_after(statement: &mut Statement, columns: &[&str], order: Order, after: &Position) {
    let comparison = if order.reversed { "<" } else { ">" };
    statement.push(&format!(" AND ({}) {comparison} (", columns.join(", ")));
    match &after.key {
        PositionKey::Label(Some(key)) => {
            statement.push_value(key.as_slice());
            statement.push(", ");
        }
        PositionKey::Created(at) => {
            statement.push_value(*at);
            statement.push(", ");
        }
        PositionKey::Label(None) | PositionKey::Scene => {}
    }
    statement.push_value(after.scene.kind().action_name());
    statement.push(", ");
    if after.key == PositionKey::Scene {
        statement.push_value(columns::scene_digits(&after.scene));
        statement.push(", ");
    }
    statement.push_value(columns::scene_text(&after.scene).as_str());
    statement.push(")");
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
    async fn every_list_is_read_from_one_index_in_its_order() {
        let store = ChannelStore::new(Database::in_memory(Arc::new(SystemClock)).await);
        for (key, part, index) in [
            (OrderKey::Scene, Part::All, "code_by_scene"),
            (OrderKey::Created, Part::All, "code_by_creation"),
            (OrderKey::Label, Part::Labelled, "code_by_label"),
            (OrderKey::Label, Part::Unlabelled, "code_without_label"),
        ] {
            for filter in [ChannelFilter::default(), search()] {
                for reversed in [false, true] {
                    let order = Order { key, reversed };
                    let statement = store.page_statement(&filter, order, part, None, 10);
                    let plan = store.db.plan(statement.sql).await;
                    let covering = format!("SEARCH code USING COVERING INDEX {index} (");
                    assert!(
                        plan.iter().any(|step| step.starts_with(&covering)),
                        "{plan:?}"
                    );
                    // Of the rows on the page, only.
                    let sorts = plan.iter().filter(|step| step.contains("TEMP B-TREE"));
                    assert!(sorts.count() <= 1, "{plan:?}");
                    let step = |has: &str| plan.iter().position(|step| step.contains(has));
                    let by_key = step("(appid=? AND kind=? AND scene=?)");
                    let page = step("SCAN page");
                    assert!(page.is_some() && page < by_key, "{plan:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn codes_of_a_name_are_found_by_it() {
        let store = ChannelStore::new(Database::in_memory(Arc::new(SystemClock)).await);
        let named = |label: Option<&str>, group: Option<&str>| ChannelFilter {
            label: label.map(str::to_owned),
            group: group.map(str::to_owned),
            ..search()
        };
        let by_label = "code_by_label (appid=? AND label_sort=?";
        let by_group = "code_by_group (appid=? AND group_name=?";
        for (filter, index) in [
            (named(Some("a"), None), by_label),
            (named(None, Some("a")), by_group),
        ] {
            for (key, part) in [
                (OrderKey::Scene, Part::All),
                (OrderKey::Created, Part::All),
                (OrderKey::Label, Part::Labelled),
            ] {
                let order = Order {
                    key,
                    reversed: false,
                };
                let statement = store.page_statement(&filter, order, part, None, 10);
                let plan = store.db.plan(statement.sql).await;
                assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
            }
        }
    }
}
