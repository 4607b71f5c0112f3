//! Which codes a list or a file has, and in which order: the parameters that they share.

use utoipa::IntoParams;

use crate::channels::{ChannelFilter, Order, OrderKey};
use crate::codes::SceneFilter;
use crate::http::api::query::{archived, boolean, scene};
use crate::http::problem::Problem;

/// The most scenes of one request: each is a condition of the statement. Chosen.
const MAX_SCENES: usize = 100;

/// The parameters, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct SelectionParams {
    /// Part of the label, the group or the scene, without regard to case.
    q: Option<String>,
    /// Codes with exactly this label.
    label: Option<String>,
    /// Codes of exactly this group.
    group: Option<String>,
    /// `true`: permanent codes only; `false`: temporary ones only.
    permanent: Option<bool>,
    /// Codes of one scene: `id:123` or `str:poster`; with `permanent:` or `temporary:` in front,
    /// such as `permanent:str:poster`, the one of that kind. Given more than once, codes of each
    /// of them.
    #[param(max_items = 100)]
    scene: Option<Vec<String>>,
    /// `true`: archived codes only; `all`: these too.
    #[param(pattern = "^(false|true|all)$", default = "false")]
    archived: Option<String>,
    /// The order; with `-` in front it is reversed. Codes without a label are last in both orders
    /// by label.
    #[param(pattern = "^-?(scene|label|created)$", default = "scene")]
    sort: Option<String>,
}

/// The selected codes and their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) filter: ChannelFilter,
    pub(crate) order: Order,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            filter: ChannelFilter {
                archived: Some(false),
                ..ChannelFilter::default()
            },
            order: Order::default(),
        }
    }
}

impl Selection {
    /// The names of its parameters.
    pub(crate) const NAMES: [&str; 7] = [
        "q",
        "label",
        "group",
        "permanent",
        "scene",
        "archived",
        "sort",
    ];

    /// Those that may be given more than once.
    pub(crate) const LISTS: [&str; 1] = ["scene"];

    /// Reads one parameter. Returns whether it is one of [`Selection::NAMES`].
    ///
    /// # Errors
    /// When its value is not valid.
    pub(crate) fn read(&mut self, name: &str, value: &str) -> Result<bool, Problem> {
        let filter = &mut self.filter;
        match name {
            "q" => filter.search = Some(value.to_owned()).filter(|text| !text.is_empty()),
            "label" => filter.label = Some(value.to_owned()),
            "group" => filter.group = Some(value.to_owned()),
            "permanent" => filter.permanent = Some(boolean(name, value)?),
            "scene" => filter.scenes.push(one_more(&filter.scenes, value)?),
            "archived" => filter.archived = archived(value)?,
            "sort" => self.order = order(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Parses one more scene.
fn one_more(scenes: &[SceneFilter], value: &str) -> Result<SceneFilter, Problem> {
    if scenes.len() == MAX_SCENES {
        let message = format!("must be given {MAX_SCENES} times at most");
        return Err(Problem::invalid_parameter("scene", message));
    }
    scene(value)
}

/// Parses the order of a list.
fn order(value: &str) -> Result<Order, Problem> {
    let (reversed, key) = match value.strip_prefix('-') {
        Some(key) => (true, key),
        None => (false, value),
    };
    let key = match key {
        "scene" => OrderKey::Scene,
        "label" => OrderKey::Label,
        "created" => OrderKey::Created,
        _ => {
            let message = "must be scene, label or created, perhaps with - in front";
            return Err(Problem::invalid_parameter("sort", message));
        }
    };
    Ok(Order { key, reversed })
}

/// The name of an order.
pub(super) fn order_name(order: Order) -> &'static str {
    match (order.key, order.reversed) {
        (OrderKey::Scene, false) => "scene",
        (OrderKey::Scene, true) => "-scene",
        (OrderKey::Label, false) => "label",
        (OrderKey::Label, true) => "-label",
        (OrderKey::Created, false) => "created",
        (OrderKey::Created, true) => "-created",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::i18n::lang::Lang;

    fn read(name: &str, value: &str) -> Result<Selection, String> {
        let mut selection = Selection::default();
        match selection.read(name, value) {
            Ok(true) => Ok(selection),
            Ok(false) => Err("not a parameter".to_owned()),
            Err(problem) => Err(problem.explanation(Lang::En)),
        }
    }

    #[test]
    fn an_order_is_read_as_it_is_named() {
        for key in [OrderKey::Scene, OrderKey::Label, OrderKey::Created] {
            for reversed in [false, true] {
                let order = Order { key, reversed };
                let selection = read("sort", order_name(order)).unwrap();
                assert_eq!(selection.order, order);
            }
        }
    }

    #[test]
    fn archived_codes_are_selected_where_they_are_asked_for() {
        assert_eq!(Selection::default().filter.archived, Some(false));
        for (value, want) in [("false", Some(false)), ("true", Some(true)), ("all", None)] {
            let selection = read("archived", value).unwrap();
            assert_eq!(selection.filter.archived, want, "{value}");
        }
    }

    #[test]
    fn an_empty_search_finds_all() {
        assert_eq!(read("q", "").unwrap(), Selection::default());
    }

    #[test]
    fn what_cannot_be_selected_is_refused_with_what_could_be() {
        for (name, value, want) in [
            (
                "sort",
                "name",
                "sort must be scene, label or created, perhaps with - in front.",
            ),
            (
                "sort",
                "--label",
                "sort must be scene, label or created, perhaps with - in front.",
            ),
            ("archived", "yes", "archived must be false, true or all."),
            ("permanent", "all", "permanent must be true or false."),
            (
                "scene",
                "7",
                "scene must be id:NUMBER or str:TEXT, perhaps with permanent:, temporary: or unattributed: in front.",
            ),
            ("limit", "7", "not a parameter"),
        ] {
            assert_eq!(read(name, value), Err(want.to_owned()), "{name}={value}");
        }
    }

    #[test]
    fn every_name_is_read() {
        for name in Selection::NAMES {
            assert_ne!(read(name, "").err().as_deref(), Some("not a parameter"));
        }
    }
}
