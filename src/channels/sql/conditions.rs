//! Which codes are in a list: the conditions that pages, counts and groups share.

use wechat::scene::{Kind, SceneText};

use super::statement::Statement;
use super::store::ChannelStore;
use crate::channels::filter::ChannelFilter;
use crate::channels::label_sort::label_sort;
use crate::codes::columns;
use crate::text::folded;

/// The kind of the codes that sign in.
pub(super) const KIND_OF_BINDINGS: &str = "QR_STR_SCENE";

// The statement takes as many characters of the scene.
const _: () = assert!(SceneText::RESERVED_PREFIX.len() == 5);

impl ChannelStore {
    /// Appends the conditions that every listed code meets, and those of the filter. The account is
    /// `$1`.
    pub(super) fn push_conditions(&self, statement: &mut Statement, filter: &ChannelFilter) {
        self.push_unexpired(statement);
        // Codes of bindings. Of most codes the kind is compared only.
        statement.push(&format!(
            " AND (kind <> '{KIND_OF_BINDINGS}' OR substr(scene, 1, 5) <> "
        ));
        statement.push_value(SceneText::RESERVED_PREFIX);
        statement.push(")");
        filter.push_conditions(statement);
    }

    pub(super) fn push_unexpired(&self, statement: &mut Statement) {
        statement.push("appid = ");
        statement.push_value(self.db.appid());
        statement.push(" AND (expires_at IS NULL OR expires_at > ");
        statement.push_value(self.db.now().as_millisecond());
        statement.push(")");
    }
}

impl ChannelFilter {
    pub(super) fn names_are_given(&self) -> bool {
        self.label.is_some() || self.group.is_some()
    }

    /// Whether a name or the scene of each code is read.
    pub(super) fn reads_names(&self) -> bool {
        self.names_are_given() || self.search.is_some() || !self.scenes.is_empty()
    }

    /// Appends the conditions of the filter. An equality finds an index, and the others are checked
    /// in it.
    pub(super) fn push_conditions(&self, statement: &mut Statement) {
        if let Some(label) = &self.label {
            // By the index of its key, which spellings share.
            statement.push(" AND label_sort = ");
            statement.push_value(label_sort(label).as_slice());
            statement.push(" AND label = ");
            statement.push_value(label.as_str());
        }
        if let Some(group) = &self.group {
            statement.push(" AND group_name = ");
            statement.push_value(group.as_str());
        }
        if let Some(is_archived) = self.archived {
            statement.push(" AND archived = ");
            statement.push_value(i64::from(is_archived));
        }
        if let Some(is_permanent) = self.permanent {
            statement.push(&kinds_condition(is_permanent));
        }
        for (n, scene) in self.scenes.iter().enumerate() {
            statement.push(if n == 0 { " AND (" } else { " OR " });
            let kinds = columns::kinds(scene);
            statement.push(&format!("kind IN ({kinds}) AND scene = "));
            statement.push_value(scene.value().to_string().as_str());
        }
        if !self.scenes.is_empty() {
            statement.push(")");
        }
        if let Some(search) = &self.search {
            // A `CASE`, because PostgreSQL would estimate from its statistics that few names match,
            // and read the rows of all codes instead of the index that has the list's order.
            let pattern = containing(&folded(search));
            statement.push(" AND CASE WHEN folded_names LIKE ");
            statement.push_value(pattern.as_str());
            statement.push(" ESCAPE '!' OR COALESCE(folded_scene, scene) LIKE ");
            statement.push_value(pattern.as_str());
            statement.push(" ESCAPE '!' THEN 1 ELSE 0 END <> 0");
        }
    }
}

/// Builds the condition of permanent codes, or of the others. The kinds of permanent ones sort
/// before the others; a range of kinds keeps an index's order.
fn kinds_condition(is_permanent: bool) -> String {
    if is_permanent {
        format!(" AND kind <= '{}'", Kind::QrLimitStrScene.action_name())
    } else {
        format!(" AND kind >= '{}'", Kind::QrScene.action_name())
    }
}

/// Builds the pattern of texts that contain this one, whose wildcards mean themselves.
fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use wechat::scene::{Scene, TemporaryScene};

    use super::*;

    #[test]
    fn codes_of_bindings_have_one_kind() {
        let scene = Scene::Temporary(TemporaryScene::Text(SceneText::reserved("a")));
        assert_eq!(scene.kind().action_name(), KIND_OF_BINDINGS);
    }

    #[test]
    fn wildcards_of_a_search_mean_themselves() {
        assert_eq!(containing("50%_a!"), "%50!%!_a!!%");
    }
}
